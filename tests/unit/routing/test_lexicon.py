"""Words for the spine and for what is not the spine, in eight languages."""

import pytest

from dicom_ai.routing.evidence import normalised
from dicom_ai.routing.lexicon import SPINE_REGIONS, regions_named

FOUND = {
    "cervical": [
        "MR C-Spine w/o",
        "CSPINE",
        "CTSPINE",
        "HWS sag",
        "Halswirbelsäule",
        "IRM rachis cervical",
        "RM columna cervical",
        "RM rachide cervicale",
        "CWK",
        "cervicale wervelkolom",
        "coluna cervical",
        "頸椎MRI",
        "頚椎",
        "C2-C7",
        "RE_MRI_SPINE_CERVICAL_WITHOUT_CONTRAST",
    ],
    "thoracic": [
        "TSPINE",
        "Thoracic spine",
        "BWS",
        "Brustwirbelsäule",
        "rachis dorsal",
        "columna dorsal",
        "colonna dorsale",
        "coluna torácica",
        "TWK",
        "胸椎",
        "TLSPINE",
    ],
    "lumbar": [
        "LSPINE",
        "LSSPINE",
        "lumbar",
        "LWS",
        "Lendenwirbelsäule",
        "rachis lombaire",
        "columna lumbar",
        "rachide lombare",
        "lendenwervelkolom",
        "coluna lombar",
        "腰椎",
        "L5/S1",
    ],
    "whole": [
        "whole spine",
        "Ganzwirbelsäule",
        "rachis entier",
        "columna completa",
        "rachide in toto",
        "全脊椎",
        "scoliosis",
    ],
    "cord": [
        "spinal cord",
        "SpinalCordMRI_new",
        "Rückenmark",
        "RUECKENMARK",
        "moelle épinière",
        "médula espinal",
        "midollo",
        "ruggenmerg",
        "脊髄",
    ],
    "spine": ["MR SPINE", "Rene_MontrealSpine", "Wirbelsäule", "rachis", "wervelkolom", "脊椎"],
    "brain": [
        "MRI BRAIN",
        "Schädel MRT Gehirn",
        "IRM cérébrale",
        "RM_encefalo_(senza_contrasto)",
        "cerebro",
        "hersenen",
        "頭部",
        "脳",
        "pituitary",
    ],
    "head": ["T1w_Head", "MRT Kopf", "cabeza", "testa"],
    "knee": ["knee", "Knie links", "genou", "rodilla", "ginocchio", "joelho", "膝"],
    "abdomen": ["ABDOMEN", "Leber", "foie", "hígado", "fegato", "腹部", "MRCP"],
    "breast": ["BREAST", "Mamma", "sein", "乳房"],
    "heart": ["HEART", "Herz", "cœur cardiaque", "corazón", "cuore", "心臓"],
    "pelvis": [
        "prostate",
        "Becken",
        "uterus",
        "cervix",
    ],
}

NOT_SPINE = [
    "MR PELVIS cervical cancer",
    "cervical carcinoma staging",
    "spin echo",
    "SPINECHO",
    "moelle osseuse",
    "midollo osseo",
    "cerebrospinal fluid",
    "vocal cord",
    "supraspinatus",
    "carotid",
    "vertebral artery",
    "thorax",
    "brain",
    "cervix uteri",
    "T1 sag",
    "T2w",
    "GRE-ME",
    "Head",
]


@pytest.mark.parametrize(("region", "text"), [(region, text) for region, texts in FOUND.items() for text in texts])
def test_words_are_found(region, text):
    assert region in dict(regions_named(normalised(text)))


@pytest.mark.parametrize("text", NOT_SPINE)
def test_words_that_only_look_like_spine_are_not(text):
    assert set(dict(regions_named(normalised(text)))) & set(SPINE_REGIONS) == set()


def test_a_ct_of_the_spine_is_not_the_cervicothoracic_spine():
    assert set(dict(regions_named("ct spine"))) == {"spine"}
