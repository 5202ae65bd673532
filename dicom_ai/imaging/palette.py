"""One fixed colour per structure and level, told apart from its neighbours by people with any colour vision.

The hues are Okabe and Ito's (Color Universal Design, 2008), ordered, and some made darker or paler, so that light and
dark take turns along the spine: neighbours stay apart for who sees no colour at all.
"""

from types import MappingProxyType

from dicom_ai.domain.findings import Structure, StructureKind

Rgb = tuple[int, int, int]

_VERTEBRAE: tuple[Rgb, ...] = (
    (230, 159, 0),
    (0, 114, 178),
    (86, 180, 233),
    (185, 75, 0),
    (215, 140, 185),
    (0, 125, 85),
)
_DISCS: tuple[Rgb, ...] = ((250, 250, 250), (140, 235, 235))

_OF_KIND: MappingProxyType[StructureKind, Rgb] = MappingProxyType(
    {
        StructureKind.SPINAL_CORD: (240, 228, 66),
        StructureKind.SPINAL_CANAL: (130, 100, 255),
        StructureKind.SACRUM: (0, 125, 85),
    }
)


def color_of(structure: Structure, *, number: int = 0) -> Rgb:
    """Return the display colour, 0..255 each.

    number: place of the structure among its kind, used where it has no level (an unlabelled vertebra, another kind).
    """
    if structure.kind in _OF_KIND:
        return _OF_KIND[structure.kind]
    place = number if structure.level is None else _place(structure.level)
    cycle = _DISCS if structure.kind is StructureKind.DISC else _VERTEBRAE
    return cycle[place % len(cycle)]


def _place(level: str) -> int:
    """Return how far down the spine a vertebra, or the upper vertebra of a disc, lies."""
    upper = level.split("/")[0]
    first = {"C": 0, "T": 7, "L": 19, "S": 24}.get(upper[:1], 0)
    digits = upper[1:]
    return first + (int(digits) if digits.isdigit() else 0)
