"""Words for regions of the body in eight languages, as they stand in descriptions after normalising.

English, German, French, Spanish, Italian, Dutch, Portuguese and Japanese. Texts come without case, accents and
punctuation (see evidence.normalised), so "C-Spine" is "c spine" and "Halswirbelsäule" is "halswirbelsaule". To teach
a word: add it to the region's row; the tests in test_lexicon.py say what every row must and must not find.
"""

import re
from collections.abc import Iterator, Mapping

SPINE_REGIONS = ("cervical", "thoracic", "whole", "cord", "lumbar", "spine")
"""Regions of the spine; "cord" is the cord and "spine" the spine without saying where."""

_WORDS: Mapping[str, tuple[str, ...]] = {
    "cervical": (
        r"\bc ?spine|\bc ?s ?spine|\bc ?sp\b|\bct ?spine(?<!ct spine)",
        r"cervic(al|ale|ales|aal|alis)\b(?! (cancer|carcinom|ca\b))",
        r"\bcerv\b|zervikal|\bhws\b|halswirbel|halsmark|\bcwk\b|nekwervel|halswervel",
        r"\bc[1-7] ?c[1-7]\b|\bc[1-7] ?(t|th|d)[1-9]\b|craniocerv|kraniozerv|cervicothor|cervicobrach",
        "頸椎|頚椎|頸髄|頚髄|頸部脊",
    ),
    "thoracic": (
        r"\bt ?spine|\bth ?spine|\bd ?spine|\bct ?spine(?<!ct spine)|\btl ?(s ?)?spine",
        r"\bbws\b|brustwirbel|brustmark|\btwk\b",
        r"borstwervel|thora[ck][a-z]* (spin|cord|vertebr|wirbel|myel|ruck)|spin[ea][a-z]* (cord )?thora[ck]",
        r"(rachis|colonn[ae]|rachide|columna|coluna|moelle|midollo|medula)( vertebr[a-z]*)? (dors|thorac|torac)",
        r"thora[ck]olumb|dors[oa]l?[oy]? ?l[ou]mb|thoracolomb|toracolomb|dorsal spine",
        r"\bt([1-9]|1[0-2]) ?t([1-9]|1[0-2])\b",
        "胸椎|胸髄",
    ),
    "whole": (
        r"\b(whole|total|full|entire|complete|all) spine|\bspine (whole|total|survey|complete|full)",
        r"(ganz|gesamt)(e |en )?(wirbel|ws\b)|wirbelsaule (gesamt|komplett|ganz)",
        r"total[ea]? (wervelkolom|rachide|columna|coluna)",
        r"(rachis|colonne|moelle)( vertebrale| epiniere)? (entier|complet|total)",
        r"(rachide|colonna)( vertebrale)? (in toto|complet)",
        r"(columna|coluna)( vertebral)? (complet|total)|whole cord|neur[oa]?axis|skolio|scolio|escolio",
        "全脊椎|全脊柱|全脊髄",
    ),
    "cord": (
        r"spinal ?cord|(?<!vocal )(?<!umbilical )\bcord\b|\bmyelo|myelon|ruckenmark|rueckenmark|ruggenmerg",
        r"\bmoelle\b(?! osseuse)|\bmedul+a (espinal|spinal)|\bmidoll(o|are)\b(?! osse)",
        "脊髄",
    ),
    "lumbar": (
        r"\bl ?spine|\bl ?s ?spine|\blss(pine)?\b|\bs ?spine\b|lumb(ar|al|o|aal|aire)",
        r"lomb(ar|al|aire|o)|lumbo ?sacr|lombosacr",
        r"\blws\b|\blwk\b|lendenwirbel|lenden?wervel|\bsacr(um|al)\b|\bl[1-5] ?(l[1-6]|s[1-5])\b",
        r"cauda equina|thora[ck]olumb",
        r"\btl ?spine",
        "腰椎|腰仙椎|仙椎",
    ),
    "spine": (
        r"spine(?!cho)|(?<!cerebro)spinal|vertebr(?![a-z]* arter)|wirbel|\brachis\b",
        r"\brachide\b|\bcolonn[ae]\b|\bcolumna\b|\bcoluna\b",
        r"wervel|\bws\b|intervertebr|discopat",
        "脊椎|脊柱|椎間板",
    ),
    "brain": (
        r"brain|cerebr(?!ospin)|cerebell|cervello|cervelet|cerveau|encephal|encefal",
        r"enzephal|enkephal|\bhirn|gehirn|kleinhirn",
        r"neurocran|neurokran|\bcran(e|ium|ial|io)\b|\bcraneo|\bcranio\b|hersen|pituitar",
        r"hypophys|hipofis|ipofis|\bsella|\biac\b",
        r"inner ear|innenohr|\bcpa\b|akustik|acousti|orbit|hippocamp|epilep|trigemin",
        r"stroke|schlaganfall|meningi|glioma",
        "脳|下垂体|頭部",
    ),
    "head": (r"\bhead\b|\bkopf|schadel|schaedel|\btete\b|\bcabeza|\bcabeca|\btesta\b|hoofd|skull",),
    "neck": (
        r"\bneck\b|\bhals\b|halsweich|\bcou\b|\bcuello|\bcollo\b|pescoco|laryn|pharyn",
        r"thyr[eo]oid|thyroid|schilddr|parotis|parotid",
        r"carotid|carotis|karotis|vertebral[a-z]* arter|brachial plex|plexus brach",
        r"kiefer|\btmj\b|temporomandib",
        "頸部(?!脊)|甲状腺",
    ),
    "knee": (r"\bknee|\bknie|\bgenou|rodilla|ginocchio|joelho|menis[ck]|\bacl\b|patell", "膝"),
    "shoulder": (r"shoulder|schulter|\bepaule|hombro|\bspalla|schouder|\bombro\b|rotator|supraspin|infraspin", "肩"),
    "hip": (
        r"\bhips?\b|\bhufte|\bhuefte|\bhanche|\bcadera|\banca\b|\bheup|quadril|sacroili",
        r"iliosacr|\bsi joint|\bisg\b",
        "股関節",
    ),
    "limb": (
        r"ankle|\bfoot|\bfuss?\b|sprunggel|cheville|\bpied|tobillo|\bpie\b|caviglia",
        r"enkel|\bvoet|tornozelo|achilles|calcane",
        r"\bwrist|\bhand\b|handgelenk|poignet|muneca|\bpolso|\bmano\b|\bpols\b|punho",
        r"finger|elbow|ellenbogen|\bcoude",
        r"\bcodo\b|gomito|elleboog|cotovelo|thigh|oberschenkel|\bcalf\b|unterschenkel",
        r"femur|tibia|humerus|forearm|\bextremit",
        "足|手|肘",
    ),
    "abdomen": (
        r"abdom|\bbauch|\bbuik|\bliver|\bleber|\bfoie|higado|fegato|\bfigado|\blever\b",
        r"pancrea|pankrea|kidney|\bniere|\brenal|\brein\b",
        r"\bmrcp|cholang|\bspleen|\bmilz|adrenal|nebenniere|enterogra|\bbowel|\bdarm|hepat|ventre\b",
        "腹部|肝|膵|腎",
    ),
    "pelvis": (
        r"pelvi|\bbecken|bassin\b|\bbekken|prostat|uter(us|ine|o)|cervix|cervical (cancer|carcinom|ca\b)|\bovar|rectum",
        r"rektum|\brectal|bladder|\bharnblase|vessie",
        "骨盤|前立腺|子宮",
    ),
    "breast": (r"breast|\bmamm|\bbrust\b|\bsein\b|\bseins\b|\bseno\b|\bborst\b", "乳"),
    "heart": (
        r"heart|cardi(?!ff)|kardi|\bherz|\bcoeur|corazon|\bcuore|coracao|\bhart\b",
        r"myocard|short axis|\b[234] ?ch\b|\blge\b",
        "心臓|心筋",
    ),
    "chest": (
        r"chest|\bthorax\b|\btorax\b|\blungs?\b|\blunge|\bpoumon|pulmon|\bpolmon|longen",
        r"mediast|\brib(s|cage)?\b|\baort",
        "胸部|肺",
    ),
    "body": (r"whole ?body|ganzkorper|corps entier|cuerpo entero|total body", "全身"),
}
"""Region -> patterns; one hit is enough."""

_COMPILED = {region: re.compile("|".join(rows)) for region, rows in _WORDS.items()}


def regions_named(words: str) -> Iterator[tuple[str, str]]:
    """Yield every region that a normalised text names, with the word that names it."""
    for region, pattern in _COMPILED.items():
        if hit := pattern.search(words):
            yield region, hit[0]
