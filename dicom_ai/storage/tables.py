"""The tables. Times are seconds since 1970; states are the words of domain/; a change here needs a migration."""

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

UID = sa.String(64)
WORD = sa.String(16)
NAME = sa.String(128)
DIGEST = sa.String(64)


class Table(DeclarativeBase):
    """Base of all tables; constraints have predictable names, so that migrations can drop them."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        float: sa.Double(),
        str: sa.Text(),
        dict[str, Any]: sa.JSON(),
        list[Any]: sa.JSON(),
    }


class StudyRow(Table):
    """A study: who it is about, when images last came, and how long it must be quiet (None: as set for the node).

    asked_at: when a person asked for its analysis, whatever its age; None when nobody did. corrected_at: when its
    patient or study attributes last changed. evidence: why no more images are expected, as it was known at evidence_at;
    looked_at: when that was last asked.
    """

    __tablename__ = "studies"
    study_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    patient_id: Mapped[str]
    accession: Mapped[str]
    study_date: Mapped[str] = mapped_column(index=True)
    patient_name: Mapped[str] = mapped_column(server_default="")
    first_received_at: Mapped[float]
    last_received_at: Mapped[float]
    quiet_s: Mapped[float | None]
    routing_until: Mapped[float | None]
    asked_at: Mapped[float | None]
    corrected_at: Mapped[float | None]
    evidence: Mapped[str | None]
    evidence_at: Mapped[float | None]
    looked_at: Mapped[float | None]


class StudyPatientRow(Table):
    """A patient that images of a study name. same_as: the number that a correction has turned this one into."""

    __tablename__ = "study_patients"
    study_uid: Mapped[str] = mapped_column(UID, sa.ForeignKey("studies.study_uid"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[str]
    issuer: Mapped[str]
    birth_date: Mapped[str]
    same_as: Mapped[int | None]


class SeriesRow(Table):
    """A series. revision counts its new images; routed_revision is the one that routing has seen.

    evidence: why no more images are expected, as it was known at evidence_at. facts: its header. derived: what rules
    see beside it (routing.candidate).
    """

    __tablename__ = "series"
    study_uid: Mapped[str] = mapped_column(UID, sa.ForeignKey("studies.study_uid"), primary_key=True)
    series_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    modality: Mapped[str]
    first_received_at: Mapped[float]
    last_received_at: Mapped[float]
    revision: Mapped[int]
    routed_revision: Mapped[int] = mapped_column(default=0)
    input_digest: Mapped[str | None] = mapped_column(DIGEST)
    facts: Mapped[dict[str, Any] | None]
    derived: Mapped[dict[str, Any] | None]
    evidence: Mapped[str | None]
    evidence_at: Mapped[float | None]
    __table_args__ = (
        sa.Index(
            "ix_series_unrouted",
            "last_received_at",
            sqlite_where=sa.text("revision <> routed_revision"),
            postgresql_where=sa.text("revision <> routed_revision"),
        ),
    )


class InstanceRow(Table):
    """A received object. standing: kept (processed), own (made by this node) or asked (an own report asked for).

    Beside a kept one with the same UID: again (not compared with it yet), conflict (other pixels: a person decides) or
    spare (needed by nobody). Without its file: missing, or deleting and deleted by retention. patient: a number of
    study_patients.
    """

    __tablename__ = "instances"
    id: Mapped[int] = mapped_column(primary_key=True)
    study_uid: Mapped[str] = mapped_column(UID)
    series_uid: Mapped[str] = mapped_column(UID)
    sop_instance_uid: Mapped[str] = mapped_column(UID)
    sop_class_uid: Mapped[str] = mapped_column(UID)
    transfer_syntax_uid: Mapped[str] = mapped_column(UID)
    sha256: Mapped[str] = mapped_column(DIGEST)
    size_bytes: Mapped[int] = mapped_column(sa.BigInteger)
    path: Mapped[str] = mapped_column(unique=True)
    standing: Mapped[str] = mapped_column(WORD)
    received_at: Mapped[float]
    calling_ae_title: Mapped[str]
    called_ae_title: Mapped[str]
    peer_address: Mapped[str]
    association_id: Mapped[str] = mapped_column(NAME)
    patient: Mapped[int | None]
    __table_args__ = (
        sa.UniqueConstraint("sop_instance_uid", "sha256"),
        sa.Index(
            "ix_instances_again",
            "study_uid",
            sqlite_where=sa.text("standing = 'again'"),
            postgresql_where=sa.text("standing = 'again'"),
        ),
        sa.Index("ix_instances_study_uid_series_uid", "study_uid", "series_uid"),
        sa.Index(
            "ix_instances_on_disk",
            "study_uid",
            "series_uid",
            sqlite_where=sa.text("standing <> 'deleted'"),
            postgresql_where=sa.text("standing <> 'deleted'"),
        ),
        sa.Index(
            "uq_instances_kept_sop_instance_uid",
            "sop_instance_uid",
            unique=True,
            sqlite_where=sa.text("standing = 'kept'"),
            postgresql_where=sa.text("standing = 'kept'"),
        ),
    )


class AssociationRow(Table):
    """An association in. study_uid: the study it delivered last. Open without a recent beat counts as gone.

    released: how it ended: in order, or by an abort or a broken connection; None while it is open.
    """

    __tablename__ = "associations"
    id: Mapped[str] = mapped_column(NAME, primary_key=True)
    listener: Mapped[str] = mapped_column(NAME)
    calling_ae_title: Mapped[str]
    called_ae_title: Mapped[str]
    peer_address: Mapped[str]
    opened_at: Mapped[float]
    beat_at: Mapped[float]
    closed_at: Mapped[float | None] = mapped_column(index=True)
    released: Mapped[bool | None]
    study_uid: Mapped[str | None] = mapped_column(UID, index=True)
    images: Mapped[int] = mapped_column(default=0)


class AssociationStudyRow(Table):
    """A study that an association delivered, how many of its images, and when the last.

    told: of how many images the audit trail tells.
    """

    __tablename__ = "association_studies"
    association_id: Mapped[str] = mapped_column(sa.ForeignKey("associations.id"), primary_key=True)
    study_uid: Mapped[str] = mapped_column(UID, primary_key=True, index=True)
    images: Mapped[int]
    last_at: Mapped[float] = mapped_column(index=True)
    told: Mapped[int] = mapped_column(default=0, server_default="0")
    __table_args__ = (
        sa.Index(
            "ix_association_studies_untold",
            "study_uid",
            sqlite_where=sa.text("images <> told"),
            postgresql_where=sa.text("images <> told"),
        ),
    )


class RuleVersionRow(Table):
    """One version of all routing rules: who saved it, when, and the rules as routing.toml would hold them."""

    __tablename__ = "rule_versions"
    version: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[float]
    author: Mapped[str]
    note: Mapped[str]
    content: Mapped[dict[str, Any]]


class DecisionRow(Table):
    """What routing last said about one series and rule, with its reasons."""

    __tablename__ = "decisions"
    study_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    series_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    rule: Mapped[str] = mapped_column(NAME, primary_key=True)
    model: Mapped[str]
    taken: Mapped[bool]
    shadow: Mapped[bool]
    reasons: Mapped[list[Any]]
    rules_version: Mapped[int]
    decided_at: Mapped[float]
    __table_args__ = (sa.Index("ix_decisions_rule_decided_at", "rule", "decided_at"),)


class RunRow(Table):
    """One report version of a study. complete: False when it was reported with what there was (PARTIAL)."""

    __tablename__ = "runs"
    id: Mapped[int] = mapped_column(primary_key=True)
    study_uid: Mapped[str] = mapped_column(UID, sa.ForeignKey("studies.study_uid"))
    number: Mapped[int]
    state: Mapped[str] = mapped_column(WORD)
    input_digest: Mapped[str] = mapped_column(DIGEST)
    reason: Mapped[str]
    created_at: Mapped[float]
    changed_at: Mapped[float]
    reported_at: Mapped[float | None]
    complete: Mapped[bool | None]
    findings: Mapped[dict[str, Any] | None]
    __table_args__ = (sa.UniqueConstraint("study_uid", "number"),)


class JobRow(Table):
    """A piece of work. lost: how often its worker died while holding it. key: the same work is never queued twice."""

    __tablename__ = "jobs"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(WORD)
    queue: Mapped[str] = mapped_column(WORD)
    key: Mapped[str] = mapped_column(DIGEST, unique=True)
    run_id: Mapped[int] = mapped_column(sa.ForeignKey("runs.id"), index=True)
    study_uid: Mapped[str] = mapped_column(UID, index=True)
    series_uid: Mapped[str] = mapped_column(UID)
    model: Mapped[str]
    rule: Mapped[str]
    input_digest: Mapped[str] = mapped_column(DIGEST)
    priority: Mapped[int]
    state: Mapped[str] = mapped_column(WORD)
    reason: Mapped[str]
    attempts: Mapped[int]
    lost: Mapped[int]
    owner: Mapped[str | None] = mapped_column(NAME)
    lease_until: Mapped[float | None]
    available_at: Mapped[float]
    token_at: Mapped[float | None]
    created_at: Mapped[float]
    finished_at: Mapped[float | None]
    __table_args__ = (
        sa.Index("ix_jobs_claim", "queue", "state", "priority", "id"),
        sa.Index("ix_jobs_model_finished_at", "model", "finished_at"),
        sa.Index(
            "ix_jobs_failed",
            "study_uid",
            sqlite_where=sa.text("state = 'failed'"),
            postgresql_where=sa.text("state = 'failed'"),
        ),
    )


class AttemptRow(Table):
    """One claim of a job: by whom, when, and how it ended (None while it runs)."""

    __tablename__ = "attempts"
    job_id: Mapped[int] = mapped_column(sa.ForeignKey("jobs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    started_at: Mapped[float]
    ended_at: Mapped[float | None]
    outcome: Mapped[str | None]


class RunJobRow(Table):
    """An analysis that belongs to a run, and the rules that asked for it. included: its outcome was reported."""

    __tablename__ = "run_jobs"
    run_id: Mapped[int] = mapped_column(sa.ForeignKey("runs.id"), primary_key=True)
    job_id: Mapped[int] = mapped_column(sa.ForeignKey("jobs.id"), primary_key=True, index=True)
    requests: Mapped[list[Any]]
    included: Mapped[bool | None]


class ResultRow(Table):
    """A result object. Its identity is saved first; path is None until its bytes are written.

    withdrawn_at: since when nobody should look at it any more, where it has left, and why.
    """

    __tablename__ = "results"
    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(sa.ForeignKey("runs.id"))
    shadow: Mapped[bool]
    slot: Mapped[str] = mapped_column(sa.String(160))
    kind: Mapped[str] = mapped_column(WORD)
    study_uid: Mapped[str] = mapped_column(UID)
    series_uid: Mapped[str] = mapped_column(UID, index=True)
    sop_instance_uid: Mapped[str] = mapped_column(UID, unique=True)
    sop_class_uid: Mapped[str | None] = mapped_column(UID)
    source_series_uid: Mapped[str | None] = mapped_column(UID)
    series_number: Mapped[int]
    created_at: Mapped[str]
    predecessor: Mapped[list[Any] | None]
    path: Mapped[str | None]
    withdrawn_at: Mapped[float | None] = mapped_column(index=True)
    withdrawn_why: Mapped[str | None]
    __table_args__ = (sa.UniqueConstraint("run_id", "shadow", "slot"),)


class OutboxRow(Table):
    """One object for one destination: waiting, sent, unknown, refused, replaced, failed, cancelled or withdrawn.

    checked: what the destination said of patient and study before it was sent.
    """

    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(primary_key=True)
    result_id: Mapped[int] = mapped_column(sa.ForeignKey("results.id"))
    run_id: Mapped[int] = mapped_column(sa.ForeignKey("runs.id"))
    destination: Mapped[str] = mapped_column(NAME)
    state: Mapped[str] = mapped_column(WORD)
    attempts: Mapped[int]
    queued_at: Mapped[float]
    next_at: Mapped[float]
    sent_at: Mapped[float | None] = mapped_column(index=True)
    last_error: Mapped[str]
    checked: Mapped[str] = mapped_column(server_default="")
    __table_args__ = (
        sa.UniqueConstraint("result_id", "destination"),
        sa.Index("ix_outbox_due", "destination", "state", "next_at"),
        sa.Index(
            "ix_outbox_failed",
            "result_id",
            sqlite_where=sa.text("state IN ('failed', 'refused')"),
            postgresql_where=sa.text("state IN ('failed', 'refused')"),
        ),
    )


class DestinationRow(Table):
    """The turn at a destination: one sender at a time, and when it was last reached.

    checked: whether it can be asked about patient and study before something is sent; "" when it never was.
    """

    __tablename__ = "destinations"
    name: Mapped[str] = mapped_column(NAME, primary_key=True)
    owner: Mapped[str | None] = mapped_column(NAME)
    lease_until: Mapped[float | None]
    token_at: Mapped[float | None]
    failures: Mapped[int]
    last_sent_at: Mapped[float | None]
    last_error: Mapped[str]
    checked: Mapped[str] = mapped_column(server_default="")


class PauseRow(Table):
    """A pause of sending: of all (name is empty), a rule, a model or a destination; by whom, why, since when.

    earlier: names that a paused rule had before it was named anew, under which older runs asked for their analyses.
    """

    __tablename__ = "pauses"
    kind: Mapped[str] = mapped_column(WORD, primary_key=True)
    name: Mapped[str] = mapped_column(NAME, primary_key=True)
    since: Mapped[float]
    who: Mapped[str]
    why: Mapped[str]
    earlier: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")


class HoldRow(Table):
    """What waits for a person, or is only told (blocks False). run_id, result_id, destination narrow what it covers.

    Open while ended_at is None. decision: the person's word. detail: the values in doubt; may hold patient data.
    """

    __tablename__ = "holds"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(WORD)
    study_uid: Mapped[str] = mapped_column(UID, index=True)
    run_id: Mapped[int | None] = mapped_column(sa.ForeignKey("runs.id"))
    result_id: Mapped[int | None] = mapped_column(sa.ForeignKey("results.id"))
    destination: Mapped[str] = mapped_column(NAME)
    blocks: Mapped[bool]
    reason: Mapped[str]
    detail: Mapped[dict[str, Any]]
    since: Mapped[float]
    ended_at: Mapped[float | None] = mapped_column(index=True)
    decision: Mapped[str] = mapped_column(WORD)
    who: Mapped[str]
    why: Mapped[str]


class AuditRow(Table):
    """What happened, by whom, to what. Append-only (a trigger refuses changes); no patient data."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float] = mapped_column(index=True)
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[dict[str, Any]]
