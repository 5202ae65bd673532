"""Conditions on states as the partial indexes have them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa


def one_of(column: Any, words: Sequence[str]) -> sa.ColumnElement[bool]:
    """Return that a column has one of some words of this package, written into the statement.

    A database uses a partial index only where it sees that the index holds every row that is asked for: a bound value
    may be anything.
    """
    return column.in_([sa.literal_column(f"'{word}'") for word in words])
