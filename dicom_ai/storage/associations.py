"""Associations in: which are open, and which study each delivers, so that nothing is reported too early."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.storage.database import now
from dicom_ai.storage.tables import AssociationRow, AssociationStudyRow


def opened(
    session: Session,
    association_id: str,
    *,
    listener: str,
    calling_ae_title: str,
    called_ae_title: str,
    peer_address: str,
) -> None:
    """Note that a peer opened an association.

    association_id: unique for ever (a UUID). listener: names the receiving process across restarts ("DICOM_AI:11112").
    """
    at = now(session)
    session.add(
        AssociationRow(
            id=association_id,
            listener=listener,
            calling_ae_title=calling_ae_title,
            called_ae_title=called_ae_title,
            peer_address=peer_address,
            opened_at=at,
            beat_at=at,
        )
    )
    session.flush()


def is_known(session: Session, association_id: str) -> bool:
    """Say whether opened() has been called for this association."""
    return session.get(AssociationRow, association_id) is not None


def delivered(session: Session, association_id: str, study_uid: str, *, own: bool = False) -> None:
    """Note that an association delivered an image of a study; belongs in the transaction that records the image.

    own: the node made it: no image of the study is to be expected for that.
    """
    at = now(session)
    news = {} if own else {"study_uid": study_uid, "images": AssociationRow.images + 1}
    session.execute(sa.update(AssociationRow).where(AssociationRow.id == association_id).values(beat_at=at, **news))
    known = session.get(AssociationStudyRow, (association_id, study_uid))
    if known is None:
        known = AssociationStudyRow(association_id=association_id, study_uid=study_uid, images=0, last_at=at)
        session.add(known)
    known.images += 1
    known.last_at = at
    session.flush()


def beat(session: Session, association_ids: Sequence[str]) -> None:
    """Say that these associations are still open; without a beat they count as gone after a while."""
    session.execute(
        sa.update(AssociationRow).where(AssociationRow.id.in_(association_ids)).values(beat_at=now(session))
    )


def closed(session: Session, association_id: str, *, released: bool = False) -> None:
    """Note that an association ended: in order (released), or by an abort or a broken connection."""
    session.execute(
        sa.update(AssociationRow)
        .where(AssociationRow.id == association_id, AssociationRow.closed_at.is_(None))
        .values(closed_at=now(session), released=released)
    )


def close_left_open(session: Session, listener: str) -> int:
    """Close what a killed process of this listener left open; return how many. For its start-up."""
    result = session.execute(
        sa.update(AssociationRow)
        .where(AssociationRow.listener == listener, AssociationRow.closed_at.is_(None))
        .values(closed_at=now(session))
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


def delivering(session: Session, study_uid: str, *, stale_s: float) -> bool:
    """Say whether an open association delivered this study last.

    One that went on to another study no longer delivers this one: some senders keep an association for ever.
    stale_s: an association without a beat for this long counts as gone.
    """
    open_here = sa.exists().where(
        AssociationRow.study_uid == study_uid,
        AssociationRow.closed_at.is_(None),
        AssociationRow.beat_at >= now(session) - stale_s,
    )
    return bool(session.scalar(sa.select(open_here)))
