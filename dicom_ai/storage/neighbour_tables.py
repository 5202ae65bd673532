"""The tables of whom the node exchanges objects with, and of models that are off.

Times are seconds since 1970; a change here needs a migration.
"""

from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from dicom_ai.storage.tables import NAME, WORD, Table


class NeighbourVersionRow(Table):
    """One version of all destinations and peers: who saved it, when, and both as the settings file would hold them.

    A secret parameter is null there: it lies in SecretRow.
    """

    __tablename__ = "neighbour_versions"
    version: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[float]
    author: Mapped[str]
    note: Mapped[str]
    content: Mapped[dict[str, Any]]


class SecretRow(Table):
    """What a destination is reached with and nobody is shown: the value in force; no earlier one is kept."""

    __tablename__ = "destination_secrets"
    destination: Mapped[str] = mapped_column(NAME, primary_key=True)
    parameter: Mapped[str] = mapped_column(NAME, primary_key=True)
    value: Mapped[str]


class TrialRow(Table):
    """What came of the last trial of a destination, of each kind: that it answers, what it takes, a test object."""

    __tablename__ = "destination_trials"
    destination: Mapped[str] = mapped_column(NAME, primary_key=True)
    kind: Mapped[str] = mapped_column(WORD, primary_key=True)
    at: Mapped[float]
    who: Mapped[str]
    said: Mapped[list[Any]]


class ModelOffRow(Table):
    """A model that is off: since when, who turned it off, and why."""

    __tablename__ = "models_off"
    model: Mapped[str] = mapped_column(NAME, primary_key=True)
    since: Mapped[float]
    who: Mapped[str]
    why: Mapped[str]
