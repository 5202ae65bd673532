"""Regular expressions an administrator may write: only those that finish in a time that cannot explode."""

import re
from functools import cache
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

LONGEST_TEXT = 256
"""Characters of a value that a regular expression sees; the longest LO has 64, the longest ST 1024."""

_MOST_UNBOUNDED = 3
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
_FEW = 16


@cache
def compiled(pattern: str, *, case: bool) -> re.Pattern[str]:
    """Compile a pattern. Raises ValueError where it is malformed or could need exponential time.

    Refused: a repeat of what itself repeats or branches, such as (a+)* or (a|b)+, back references, and more than
    three open repeats. With texts cut at 256 characters the worst that is left, a*a*a*b on 256 a's, needs about a
    second and usual ones microseconds.
    """
    try:
        tree = _parser.parse(pattern)
        expression = re.compile(pattern, 0 if case else re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"bad regular expression {pattern!r}: {error}") from None
    if _open_repeats(tree, pattern, inside=False) > _MOST_UNBOUNDED:
        raise ValueError(f"regular expression {pattern!r} has more than {_MOST_UNBOUNDED} open repeats")
    return expression


def found(expression: re.Pattern[str], text: str) -> bool:
    """Tell whether the pattern occurs in the first 256 characters of a text."""
    return expression.search(text[:LONGEST_TEXT]) is not None


def _open_repeats(tree: Any, pattern: str, *, inside: bool) -> int:
    """Count repeats without a small upper bound; refuse them where they lie in another one."""
    count = 0
    for operator, argument in tree:
        if operator in (_constants.GROUPREF, _constants.GROUPREF_EXISTS):
            raise ValueError(f"regular expression {pattern!r} refers back to a group")
        if operator is _constants.BRANCH and inside:
            raise ValueError(f"regular expression {pattern!r} repeats alternatives")
        if operator in _REPEATS:
            count += _of_repeat(argument, pattern, inside=inside)
        else:
            count += sum(_open_repeats(part, pattern, inside=inside) for part in _parts(operator, argument))
    return count


def _of_repeat(argument: Any, pattern: str, *, inside: bool) -> int:
    _, highest, body = argument
    if highest <= 1:
        return _open_repeats(body, pattern, inside=inside)
    if inside:
        raise ValueError(f"regular expression {pattern!r} repeats what repeats")
    return int(highest > _FEW) + _open_repeats(body, pattern, inside=True)


def _parts(operator: Any, argument: Any) -> list[Any]:
    """Return the patterns inside a group, a branch or a look-around."""
    if operator is _constants.SUBPATTERN:
        return [argument[3]]
    if operator is _constants.BRANCH:
        return list(argument[1])
    if operator in (_constants.ASSERT, _constants.ASSERT_NOT):
        return [argument[1]]
    if operator is _constants.ATOMIC_GROUP:
        return [argument]
    return []
