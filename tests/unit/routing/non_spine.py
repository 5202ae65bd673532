"""Invented series of everything but the spine, with headers as archives hold them: well labelled, badly, or hardly.

A header names its region in some of its texts and not in others; body parts are wrong now and then; head and neck share
a coil, and the belly is scanned with elements of the spine coil. The same seed gives the same series.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dicom_ai.domain.study import Series
from tests.unit.routing.headers import AXIAL, CORONAL, SAGITTAL, mr, radiograph


@dataclass(frozen=True)
class Region:
    """A region of the body. share: of all series, in percent. words: as descriptions name it."""

    share: int
    words: Sequence[str]
    body_parts: Sequence[str]
    studies: Sequence[str]
    coils: Sequence[str]
    films: Sequence[tuple[str, str]] = ()


REGIONS: Mapping[str, Region] = {
    "brain": Region(
        40,
        ("brain", "Kopf", "head", "cerveau", "cranio", "hypophyse", "IAC", "orbits", "tête", "encefalo", "頭部"),
        ("BRAIN", "HEAD", "SKULL"),
        ("MRI BRAIN W/O", "MR Kopf", "IRM cérébrale", "RM encefalo", "MRT Schädel", "RM crânio", "Stroke protocol"),
        ("Head_32", "HeadNeck_64", "HeadNeck_20", "HE1-4", "HC1-7;NC1,2", "HNU", "8HRBRAIN"),
        (("Skull lateral", "SKULL"),),
    ),
    "knee": Region(
        12,
        ("knee", "Knie", "genou", "ginocchio", "rodilla", "joelho", "膝"),
        ("KNEE", "LOWER LIMB"),
        ("MRI KNEE LEFT", "MR Knie rechts", "IRM genou", "RM ginocchio"),
        ("TxRx_Knee_15Ch", "8Ch Knee", "Flex_L"),
        (("Knee LAT", "KNEE"),),
    ),
    "joint": Region(
        10,
        ("shoulder", "hip", "ankle", "wrist", "Schulter", "Handgelenk", "épaule", "spalla", "foot"),
        ("SHOULDER", "HIP", "ANKLE", "WRIST", "EXTREMITY"),
        ("MRI SHOULDER RT", "MR Hüfte", "IRM cheville", "RM polso"),
        ("Shoulder_16", "Flex_S", "Hand_Wrist_16", "Body_18"),
        (("Ankle LAT", "ANKLE"), ("Foot lateral", "FOOT")),
    ),
    "abdomen": Region(
        14,
        ("abdomen", "liver", "Leber", "foie", "fegato", "pancreas", "MRCP", "kidneys", "hígado"),
        ("ABDOMEN", "LIVER", "KIDNEY"),
        ("MRI ABDOMEN W/WO", "MR Oberbauch", "IRM foie", "RM addome"),
        ("BO1,2;SP2-4", "Body_18;Spine_32", "Spine_32", "TORSOPA"),
        (("Abdomen lateral decubitus", "ABDOMEN"),),
    ),
    "pelvis": Region(
        8,
        ("pelvis", "prostate", "rectum", "uterus", "Becken", "bassin", "bacino"),
        ("PELVIS", "PROSTATE"),
        ("MRI PROSTATE", "MR Becken", "IRM pelvienne", "RM pelvi cervical cancer"),
        ("BO1,2;SP5-8", "Body_18", "Spine_32"),
    ),
    "breast": Region(
        4, ("breast", "Mamma", "sein", "mammella"), ("BREAST",), ("MRI BREAST BILATERAL", "MR Mamma"), ("8ch Breast",)
    ),
    "heart": Region(
        5,
        ("cardiac", "4CH", "SAX", "Herz", "coeur"),
        ("HEART", "CHEST"),
        ("Cardiac MRI", "MR Herz", "IRM cardiaque"),
        ("SP2-4;BO1", "Body_18"),
        (("Chest LAT", "CHEST"), ("Thorax seitlich", "CHEST")),
    ),
    "neck": Region(
        7,
        ("neck soft tissue", "larynx", "parotid", "thyroid", "carotids", "Halsweichteile"),
        ("NECK",),
        ("MRI NECK SOFT TISSUE", "MR Hals", "IRM larynx", "MRA NECK"),
        ("HeadNeck_64", "HeadNeck_20", "HNU"),
    ),
}

SEQUENCES = (
    "t1_tse",
    "t2_tse",
    "T1",
    "T2",
    "PD FS",
    "STIR",
    "t2_tse_fs",
    "T1 post Gd",
    "T2 SPACE",
    "3D T1",
    "T2*",
    "DWI",
)
PLANES = {AXIAL: ("tra", "ax", "AX"), SAGITTAL: ("sag", "SAG"), CORONAL: ("cor", "COR")}
NAMED, WITH_BODY_PART, WITH_STUDY, WITH_COIL, WRONG_BODY_PART = 0.5, 0.65, 0.8, 0.7, 0.05


def non_spine(count: int, *, seed: int = 5) -> Iterator[tuple[str, Series]]:
    """Yield so many (region, series); every tenth is a radiograph where its region has any."""
    chance = random.Random(seed)
    names = list(REGIONS)
    weights = [REGIONS[name].share for name in names]
    for number in range(count):
        name = chance.choices(names, weights)[0]
        region = REGIONS[name]
        film = number % 10 == 0 and bool(region.films)
        yield name, _film(chance, region) if film else _mr(chance, region)


def _mr(chance: random.Random, region: Region) -> Series:
    plane = chance.choice(list(PLANES))
    words = [chance.choice(SEQUENCES), chance.choice(PLANES[plane])]
    if chance.random() < NAMED:
        words.append(chance.choice(region.words))
    parts = region.body_parts
    if chance.random() < WRONG_BODY_PART:
        parts = [part for other in REGIONS.values() for part in other.body_parts]
    return mr(
        "_".join(words),
        plane,
        BodyPartExamined=_often(chance, WITH_BODY_PART, parts),
        StudyDescription=_often(chance, WITH_STUDY, region.studies),
        ReceiveCoilName=_often(chance, WITH_COIL, region.coils),
    )


def _film(chance: random.Random, region: Region) -> Series:
    description, part = chance.choice(region.films)
    return radiograph(
        description,
        BodyPartExamined=_often(chance, WITH_BODY_PART, [part]),
        ViewPosition=_often(chance, WITH_BODY_PART, ["LL", "LAT"]),
        PatientOrientation="A\\F",
    )


def _often(chance: random.Random, share: float, values: Sequence[str]) -> str | None:
    return chance.choice(values) if chance.random() < share else None
