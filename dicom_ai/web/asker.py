"""Who asks, a person on a page or a program by the API: what both need of the node to be answered."""

from collections.abc import Sequence
from typing import Protocol

from dicom_ai.app import App
from dicom_ai.storage.database import Database


class Asker(Protocol):
    """A visit of a page, or a call of the API."""

    @property
    def app(self) -> App:
        """The node."""

    @property
    def database(self) -> Database:
        """The node's database."""

    @property
    def who(self) -> str:
        """Who asks, for the audit trail."""

    def viewed(self, subject: str) -> None:
        """Note that a patient was looked at."""

    def viewed_many(self, study_uids: Sequence[str]) -> None:
        """Note that a list of studies was looked at."""
