"""The names of vertebrae and discs, and which may follow which.

The order is C1 to C7, T1 to T12, L1 to L5, S1; T13 and L6 are the names of the supernumerary ones. A spine may have
11 to 13 thoracic and 4 to 6 lumbar vertebrae (Tokgoz 2014; VERIDAH, arXiv 2601.14066); it always has seven cervical.
"""

from types import MappingProxyType

CERVICAL = tuple(f"C{number}" for number in range(1, 8))
THORACIC = tuple(f"T{number}" for number in range(1, 14))
LUMBAR = tuple(f"L{number}" for number in range(1, 7))
SACRUM = "S1"

LEVELS: tuple[str, ...] = (*CERVICAL, *THORACIC, *LUMBAR, SACRUM)
"""Every level from head to foot, the supernumerary T13 and L6 among them."""

SUPERNUMERARY = ("T13", "L6")

STANDARD: tuple[str, ...] = tuple(level for level in LEVELS if level not in SUPERNUMERARY)
"""The levels of a spine without variants."""

_INDEX = MappingProxyType({level: index for index, level in enumerate(LEVELS)})
_VARIANTS = MappingProxyType({"T11": ("L1",), "T12": ("T13",), "L4": (SACRUM,), "L5": ("L6",)})


def level_index(level: str) -> int:
    """Return the place of a level in LEVELS, 0 for C1; raises ValueError for a name that is no level."""
    try:
        return _INDEX[level]
    except KeyError:
        raise ValueError(f"{level!r} is no vertebral level") from None


def standard_below(level: str) -> str | None:
    """Return the level that follows in a spine without variants; None below S1."""
    if level == "T13":
        return "L1"
    if level in ("L6", "L5"):
        return SACRUM
    place = STANDARD.index(level)
    return STANDARD[place + 1] if place + 1 < len(STANDARD) else None


def levels_below(level: str) -> tuple[tuple[str, bool], ...]:
    """Return what may follow a level: (level, whether it is a variant), the standard one first."""
    level_index(level)
    usual = standard_below(level)
    variants = tuple((variant, True) for variant in _VARIANTS.get(level, ()))
    return (((usual, False),) if usual else ()) + variants


def disc_between(upper: str, lower: str) -> str:
    """Return the name of the disc between two neighbours, "C2/C3".

    Raises ValueError where no spine has these two beside each other, or no disc lies between them (C1 and C2).
    """
    if upper == "C1" or lower not in [level for level, _ in levels_below(upper)]:
        raise ValueError(f"there is no disc between {upper} and {lower}")
    return f"{upper}/{lower}"


def levels_of_disc(disc: str) -> tuple[str, str]:
    """Return the two levels a disc lies between; raises ValueError for a name that is no disc."""
    upper, _, lower = disc.partition("/")
    disc_between(upper, lower)
    return upper, lower
