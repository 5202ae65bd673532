"""The tables of the administrator's pages: who may sign in, who has, tokens of the API, judgements of results.

Also the ways by which pages look up what other tables hold.

Times are seconds since 1970; a change here needs a migration. Secrets are kept as digests only.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from dicom_ai.storage.tables import (
    DIGEST,
    NAME,
    UID,
    WORD,
    AttemptRow,
    AuditRow,
    OutboxRow,
    ResultRow,
    RunRow,
    StudyRow,
    Table,
)


class AccountRow(Table):
    """An account. password_hash: argon2; "" for one that signs in by an identity provider, which knows it by subject.

    disabled_at: since when nobody may sign in with it.
    """

    __tablename__ = "accounts"
    name: Mapped[str] = mapped_column(NAME, primary_key=True)
    role: Mapped[str] = mapped_column(WORD)
    password_hash: Mapped[str]
    created_at: Mapped[float]
    disabled_at: Mapped[float | None]
    subject: Mapped[str | None]
    __table_args__ = (sa.Index("uq_accounts_subject", "subject", unique=True),)


class SignInRow(Table):
    """A browser that is signed in. digest: SHA-256 of its cookie; csrf: what its forms must carry."""

    __tablename__ = "sign_ins"
    digest: Mapped[str] = mapped_column(DIGEST, primary_key=True)
    account: Mapped[str] = mapped_column(NAME, sa.ForeignKey("accounts.name", ondelete="CASCADE"), index=True)
    csrf: Mapped[str] = mapped_column(DIGEST)
    begun_at: Mapped[float]
    seen_at: Mapped[float]


class TokenRow(Table):
    """A token of the API. digest: SHA-256 of its text, which was shown once. ends_at: until when it counts."""

    __tablename__ = "tokens"
    digest: Mapped[str] = mapped_column(DIGEST, primary_key=True)
    name: Mapped[str] = mapped_column(NAME, unique=True)
    role: Mapped[str] = mapped_column(WORD)
    made_by: Mapped[str] = mapped_column(NAME)
    created_at: Mapped[float]
    used_at: Mapped[float | None]
    revoked_at: Mapped[float | None]
    ends_at: Mapped[float | None]


class JudgementRow(Table):
    """What a person makes of the results of a run. levels: which of them are meant; scanner: what made the images."""

    __tablename__ = "judgements"
    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(sa.ForeignKey("runs.id"), index=True)
    at: Mapped[float] = mapped_column(index=True)
    who: Mapped[str] = mapped_column(NAME)
    verdict: Mapped[str] = mapped_column(WORD)
    reason: Mapped[str]
    levels: Mapped[list[Any]]
    scanner: Mapped[str]


class AuditStudyRow(Table):
    """A study among several that one event of the trail is about: the lists that a person looked at."""

    __tablename__ = "audit_studies"
    study_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    audit_id: Mapped[int] = mapped_column(sa.ForeignKey("audit.id"), primary_key=True)


sa.Index("ix_audit_actor_id", AuditRow.actor, AuditRow.id)
sa.Index("ix_audit_action_id", AuditRow.action, AuditRow.id)
sa.Index("ix_audit_subject_id", AuditRow.subject, AuditRow.id)

sa.Index("ix_studies_last_received_at_study_uid", StudyRow.last_received_at, StudyRow.study_uid)

# Two columns each: without statistics a database would rather go through all runs, or deliveries, of one state.
sa.Index("ix_runs_study_uid_state", RunRow.study_uid, RunRow.state)
sa.Index("ix_outbox_run_id_state", OutboxRow.run_id, OutboxRow.state)
_ON_THE_WAY = sa.text("state IN ('collecting', 'reporting')")
sa.Index("ix_runs_on_the_way", RunRow.state, RunRow.id, sqlite_where=_ON_THE_WAY, postgresql_where=_ON_THE_WAY)
sa.Index(
    "ix_runs_incomplete",
    RunRow.id,
    sqlite_where=sa.text("complete IS 0"),
    postgresql_where=sa.text("complete IS false"),
)
_PENDING = sa.text("state IN ('waiting', 'unknown')")
sa.Index("ix_outbox_destination_sent_at", OutboxRow.destination, OutboxRow.sent_at)
sa.Index("ix_outbox_pending", OutboxRow.queued_at, sqlite_where=_PENDING, postgresql_where=_PENDING)
sa.Index("ix_attempts_ended_at", AttemptRow.ended_at)
sa.Index("ix_results_study_uid", ResultRow.study_uid)
