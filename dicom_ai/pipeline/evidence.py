"""Why no more images of a series, or of a study, are expected: what suffices before the quiet times have passed.

The first that suffices counts: what IAN or a completed MPPS names has come; as many have come as the sender says, or as
the archive counts in a study that was made long ago; or a stack of slices without a gap has come over one association
that was released, from a sender that has always sent so. What is known to be missing makes a report wait, for a while.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog

from dicom_ai.destinations import c_store, qido
from dicom_ai.dicom.headers import read_instance
from dicom_ai.dicom.kept_series import read_series
from dicom_ai.dicom.stack import regular_stack
from dicom_ai.dimse.find import Level, Match, Question, ask
from dicom_ai.domain.announcement import COMPLETED, DISCONTINUED
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.study import Instance
from dicom_ai.errors import ConfigError, PeerUnavailable, PermanentRefusal, RejectedInput, UnsuitableGeometry
from dicom_ai.storage import evidence, transfers
from dicom_ai.storage.database import Database
from dicom_ai.storage.evidence import LOOK_S, SETTLE_S, SeriesState, StudyState

FEWEST_SLICES = 5
FEWEST_SERIES = 5
"""A sender has shown how it sends after so many series."""

IMAGES = frozenset({"MR", "CT", "CR", "DX"})
"""Modalities that count when an archive lists the series of a study; results, notes and screenshots do not."""

_MADE = (("AcquisitionDate", "AcquisitionTime"), ("ContentDate", "ContentTime"), ("SeriesDate", "SeriesTime"))
_CREATED = ("InstanceCreationDate", "InstanceCreationTime")

Count = Callable[[str], Mapping[str, int]]
"""Study UID -> number of images of each of its image series; nothing where the archive does not say.

Raises PeerUnavailable where it does not answer now, PermanentRefusal where it cannot be asked.
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Observer:
    """What looking needs. path: file store path -> file.

    count: study -> images by series, as an archive counts them; None where none is asked. settled_s: such a count is
    believed when the newest image was made longer ago than this. archive: who counts, for the audit trail.
    """

    database: Database
    path: Callable[[str], Path]
    count: Count | None
    settled_s: float
    association_stale_s: float
    archive: Destination | None = None


def counting(archive: Destination) -> Count:
    """Return how a PACS counts: by C-FIND or QIDO-RS at the level of series (NumberOfSeriesRelatedInstances)."""
    return partial(_ask, archive)


def run(observer: Observer) -> str | None:
    """Look at the completeness of the study that waits longest; return its UID, or None when none is due."""
    with observer.database.write() as session:
        study_uid = evidence.claim(session, settle_s=SETTLE_S, look_s=LOOK_S)
    if study_uid is None:
        return None
    with observer.database.read() as session:
        state = evidence.state_of(session, study_uid, stale_s=observer.association_stale_s)
    counted = _counted(observer, state)
    open_series = [one for one in state.series if one.images and not one.evidence]
    found = {one.series_uid: reason for one in open_series if (reason := _series_reason(observer, one, state, counted))}
    whole = _study_reason(state, counted)
    if found or whole:
        with observer.database.write() as session:
            evidence.note(session, state, found, whole)
        log.info("complete", study_uid=study_uid, series=len(found), study=bool(whole))
    return study_uid


def _series_reason(observer: Observer, one: SeriesState, state: StudyState, counted: Mapping[str, int]) -> str:
    came = frozenset(one.images.values())
    announced = state.announced.get(one.series_uid)
    if announced and announced <= came:
        return f"all {len(announced)} images that IAN or MPPS names have come"
    if counted.get(one.series_uid) == len(came):
        return f"the archive counts {len(came)} images, and all have come"
    if state.delivering or not one.one_released_association:
        return ""
    return _by_geometry(observer, state.study_uid, one)


def _by_geometry(observer: Observer, study_uid: str, one: SeriesState) -> str:
    """Return whether slices without a gap came from somebody who says when it is over, by count or by habit.

    A stack without a gap alone says nothing: the first half of one has none either.
    """
    try:
        series = read_series(study_uid, one.series_uid, [observer.path(path) for path in one.images])
    except RejectedInput:
        return ""
    frames = [frame for instance in series.instances for frame in instance.frames]
    if len(frames) < FEWEST_SLICES:
        return ""
    try:
        regular_stack(frames)
    except UnsuitableGeometry:
        return ""
    stack = f"{len(frames)} slices without a gap have come"
    if _sender_counts(series.instances) == len(series.instances):
        return f"{stack}, as many as the sender counts, and the association is over"
    with observer.database.read() as session:
        habit = evidence.habit(session, one.sender, apart_from=one.series_uid)
    usual = habit.together >= FEWEST_SERIES and not habit.split and len(one.images) <= habit.largest
    if usual and _numbered(series.instances):
        return f"{stack} over one association, which is over; so did the sender's last {habit.together} series"
    return ""


def _study_reason(state: StudyState, counted: Mapping[str, int]) -> str:
    came = {one.series_uid: frozenset(one.images.values()) for one in state.series if one.images}
    named = bool(state.announced) and set(came) <= set(state.announced)
    ended = all(step in (COMPLETED, DISCONTINUED) for step in state.steps.values())
    if named and ended and all(images <= came.get(uid, frozenset()) for uid, images in state.announced.items()):
        return f"everything that IAN or MPPS names has come: {len(state.announced)} series"
    if counted and all(len(came.get(uid, ())) == number for uid, number in counted.items()):
        return f"the archive counts {sum(counted.values())} images in {len(counted)} series, and all have come"
    return ""


def _counted(observer: Observer, state: StudyState) -> Mapping[str, int]:
    """Return what the archive counts, by series, where that can be believed; nothing otherwise.

    A study that is still being made grows in the archive as it does here, and its count says nothing.
    """
    if observer.count is None or not _made_long_ago(observer, state):
        return {}
    try:
        now_counted = observer.count(state.study_uid)
    except (PeerUnavailable, PermanentRefusal, ConfigError) as error:
        log.warning("the archive was not asked for its count", reason=str(error))
        return {}
    with observer.database.write() as session:
        stood_s = evidence.note_count(session, state.study_uid, now_counted)
        if observer.archive is not None:
            transfers.queried(session, "observer", observer.archive, [state.study_uid], purpose="number of its images")
    return now_counted if stood_s >= LOOK_S / 2 else {}


def _ask(archive: Destination, study_uid: str) -> Mapping[str, int]:
    keys = {"SeriesInstanceUID": "", "Modality": "", "NumberOfSeriesRelatedInstances": ""}
    if archive.kind == "stow_rs":
        matches: Sequence[Match] = qido.ask(archive, f"studies/{study_uid}/series", keys)
    else:
        question = Question(Level.SERIES, {"StudyInstanceUID": study_uid, **keys})
        (matches,) = ask(c_store.remote_ae(archive), [question], timeouts=c_store.timeouts(archive))
    series = [match for match in matches if match["Modality"] in IMAGES]
    if not all(match["NumberOfSeriesRelatedInstances"].isdigit() for match in series):
        return {}
    return {match["SeriesInstanceUID"]: int(match["NumberOfSeriesRelatedInstances"]) for match in series}


def _made_long_ago(observer: Observer, state: StudyState) -> bool:
    """Say whether the images were made long ago, by the clocks of scanner and node; no time says nothing.

    The first and the last that came of each series are looked at.
    """
    paths = [path for one in state.series if one.images for path in {min(one.images), [*one.images][-1]}]
    try:
        made = [_made(read_instance(observer.path(path))) for path in paths]
    except RejectedInput:
        return False
    limit = observer.database.clock() - observer.settled_s
    return bool(made) and all(at is not None and at.timestamp() <= limit for at in made)


def _made(instance: Instance) -> datetime | None:
    """Return the latest of the times at which an image says it was acquired or created."""
    found = [_moment(instance, date, time) for date, time in (*_MADE, _CREATED)]
    known = [moment for moment in found if moment is not None]
    return max(known) if known else None


def _moment(instance: Instance, date: str, time: str) -> datetime | None:
    header = instance.header
    if date not in header or time not in header:
        return None
    text = f"{header[date].text.replace('.', '')}{header[time].text.replace(':', '')[:6]:0<6}"
    offset = header["TimezoneOffsetFromUTC"].text if "TimezoneOffsetFromUTC" in header else ""
    try:
        return datetime.strptime(text + offset, "%Y%m%d%H%M%S" + ("%z" if offset else "")).astimezone()
    except ValueError:
        return None


def _sender_counts(instances: Sequence[Instance]) -> int | None:
    """Return how many images the sender says there are (ImagesInAcquisition), where it says one number for all."""
    texts = {
        instance.header["ImagesInAcquisition"].text
        for instance in instances
        if "ImagesInAcquisition" in instance.header
    }
    everywhere = all("ImagesInAcquisition" in instance.header for instance in instances)
    return int(next(iter(texts))) if everywhere and len(texts) == 1 and next(iter(texts)).isdigit() else None


def _numbered(instances: Sequence[Instance]) -> bool:
    """Say whether the images are numbered without a gap."""
    numbers = [instance.header["InstanceNumber"].text for instance in instances if "InstanceNumber" in instance.header]
    if len(numbers) != len(instances) or not all(number.isdigit() for number in numbers):
        return False
    found = sorted(int(number) for number in numbers)
    return found == list(range(found[0], found[0] + len(found)))
