"""The tables of what other systems say of a study: which images a series has, and whether its procedure has ended."""

from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from dicom_ai.storage.tables import UID, WORD, Table


class AnnouncementRow(Table):
    """What IAN or MPPS says that a series has: its SOP instance UIDs. step: of which MPPS; "" for an IAN."""

    __tablename__ = "announcements"
    series_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    step: Mapped[str] = mapped_column(UID, primary_key=True)
    study_uid: Mapped[str] = mapped_column(UID, index=True)
    instances: Mapped[list[Any]]
    at: Mapped[float]


class ProcedureStepRow(Table):
    """A performed procedure step (MPPS) of a study, and its state in the standard's words."""

    __tablename__ = "procedure_steps"
    uid: Mapped[str] = mapped_column(UID, primary_key=True)
    study_uid: Mapped[str] = mapped_column(UID, index=True)
    state: Mapped[str] = mapped_column(WORD)
    at: Mapped[float]


class ArchiveCountRow(Table):
    """What the archive counts of a study, images by series, and since when it has said so."""

    __tablename__ = "archive_counts"
    study_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    counted: Mapped[dict[str, Any]]
    since: Mapped[float]
