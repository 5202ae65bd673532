"""The tables of what watches the node: alarms, confirmations of results, devices, and whose turn a duty is."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from dicom_ai.storage.tables import NAME, UID, WORD, Table


class AlarmRow(Table):
    """Something a person must know, from when it was first seen until it is over. subject: a name, never a patient.

    level: 1 warning, 2 serious, 3 critical. acknowledged_level: the level that a person has taken note of; 0: none.
    """

    __tablename__ = "alarms"
    id: Mapped[int] = mapped_column(primary_key=True)
    condition: Mapped[str] = mapped_column(sa.String(32))
    subject: Mapped[str] = mapped_column(NAME)
    level: Mapped[int]
    text: Mapped[str]
    opened_at: Mapped[float]
    seen_at: Mapped[float]
    closed_at: Mapped[float | None]
    acknowledged_at: Mapped[float | None]
    acknowledged_by: Mapped[str]
    acknowledged_level: Mapped[int]
    __table_args__ = (
        sa.Index(
            "uq_alarms_open",
            "condition",
            "subject",
            unique=True,
            sqlite_where=sa.text("closed_at IS NULL"),
            postgresql_where=sa.text("closed_at IS NULL"),
        ),
    )


class AlarmNoticeRow(Table):
    """What a channel was last told of an alarm. over: also that it is over. error: why the last try failed."""

    __tablename__ = "alarm_notices"
    alarm_id: Mapped[int] = mapped_column(sa.ForeignKey("alarms.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(WORD, primary_key=True)
    told_at: Mapped[float | None]
    told_level: Mapped[int]
    over: Mapped[bool]
    error: Mapped[str]


class ConfirmationRow(Table):
    """Whether a destination vouches for a delivered object: sent (asked), confirmed, unconfirmed or refused.

    way: how it was asked: commitment, c-find, qido or written. reason: why it is unconfirmed or refused.
    """

    __tablename__ = "confirmations"
    outbox_id: Mapped[int] = mapped_column(sa.ForeignKey("outbox.id"), primary_key=True)
    state: Mapped[str] = mapped_column(WORD, index=True)
    way: Mapped[str] = mapped_column(WORD)
    transaction_uid: Mapped[str | None] = mapped_column(UID, index=True)
    asked_at: Mapped[float | None]
    tries: Mapped[int]
    next_at: Mapped[float]
    changed_at: Mapped[float]
    reason: Mapped[str]


class DutyRow(Table):
    """Whose turn a duty is that one process at a time does. mark: up to when it is done, where it goes by time."""

    __tablename__ = "duties"
    name: Mapped[str] = mapped_column(WORD, primary_key=True)
    owner: Mapped[str | None] = mapped_column(NAME)
    lease_until: Mapped[float | None]
    done_at: Mapped[float | None]
    mark: Mapped[float | None]


class DeviceRow(Table):
    """What a model runs on in a worker's machine, and what it ran on when that was best."""

    __tablename__ = "devices"
    host: Mapped[str] = mapped_column(NAME, primary_key=True)
    model: Mapped[str] = mapped_column(NAME, primary_key=True)
    device: Mapped[str]
    best: Mapped[str]
    since: Mapped[float]


class CallerRow(Table):
    """Who called the node: when it was last let in, sent a C-ECHO, and was rejected, and why that.

    calling_ae_title: "" where it is not known, as for a TLS handshake that failed.
    """

    __tablename__ = "callers"
    calling_ae_title: Mapped[str] = mapped_column(NAME, primary_key=True)
    address: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    called_at: Mapped[float | None]
    verified_at: Mapped[float | None]
    rejected_at: Mapped[float | None]
    reason: Mapped[str]
