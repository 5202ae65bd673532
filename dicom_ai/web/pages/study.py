"""One study: its series, what happened to it, which rule took what and why not, jobs, results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException
from starlette.responses import Response

from dicom_ai.domain.browsing import StudySummary
from dicom_ai.errors import RejectedInput
from dicom_ai.storage import (
    browse,
    decisions,
    deliveries,
    holds,
    jobs,
    judgements,
    results,
    retention,
    runs,
    studies,
    timeline,
)
from dicom_ai.storage.decisions import StoredDecision
from dicom_ai.web import downloads, pictures
from dicom_ai.web.asker import Asker
from dicom_ai.web.visit import Visit, Visiting


@dataclass(frozen=True, slots=True)
class RuleAnswer:
    """What a rule said of a series: taken, taken in shadow, or not taken, with the reasons."""

    rule: str
    model: str
    word: str
    reasons: tuple[str, ...]


def show(visit: Visiting, study_uid: str) -> Response:
    """Show a study."""
    with visit.database.read() as session:
        study = require(browse.study(session, study_uid))
        of_runs = runs.all_of(session, study_uid)
        values: dict[str, Any] = {
            "series": browse.series(session, study_uid),
            "answers": _answers(decisions.all_of(session, study_uid)),
            "jobs": jobs.all_of(session, study_uid),
            "runs": of_runs,
            "judged": judgements.latest(session, [run.id for run in of_runs]),
            "objects": results.all_of(session, study_uid, visit.app.files.root),
            "deliveries": deliveries.of_study(session, study_uid),
            "holds": holds.of_study(session, study_uid),
            "moments": timeline.of_study(session, study_uid),
            "keeping": retention.keeping(session, study_uid),
        }
    visit.viewed(f"study {study_uid}")
    return visit.page("study.html", study=study, viewer=viewer_link(visit, study_uid), **values)


def thumbnail(visit: Visiting, study_uid: str, series_uid: str) -> Response:
    """Return a small picture of a series."""
    return thumbnail_of(visit, study_uid, series_uid)


def thumbnail_of(asker: Asker, study_uid: str, series_uid: str) -> Response:
    """Return a small picture of a series. Raises HTTPException where there is none."""
    with asker.database.read() as session:
        paths = studies.paths_of(session, study_uid, series_uid)
    files = [path for path in map(asker.app.files.path, paths) if path.exists()]
    if not files:
        raise HTTPException(404)
    downloads.note_look(asker, study_uid)
    try:
        picture = pictures.thumbnail(files)
    except RejectedInput as error:
        raise HTTPException(404) from error
    return Response(picture, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


def ask(visit: Visiting, study_uid: str) -> Response:
    """Ask for the study's analysis, whatever its age."""
    with visit.database.write() as session:
        if not studies.ask_for(session, study_uid, who=visit.who):
            raise HTTPException(404)
    return visit.go(f"/studies/{study_uid}", notice="The study is routed again and analysed, whatever its age.")


def viewer_link(visit: Visit, study_uid: str) -> str:
    """Return the address of the study in the site's viewer; "" where none is set."""
    url = visit.app.settings.web.viewer_url
    return f"{url}?StudyInstanceUIDs={study_uid}" if url else ""


def require(study: StudySummary | None) -> StudySummary:
    """Return a study that is there. Raises HTTPException."""
    if study is None:
        raise HTTPException(404, "The node has no such study.")
    return study


def _answers(decided: Sequence[StoredDecision]) -> Mapping[str, list[RuleAnswer]]:
    """Return series -> what each rule said, those that took it first."""
    found: dict[str, list[RuleAnswer]] = {}
    for item in sorted(decided, key=lambda item: (not item.taken, item.rule)):
        word = ("shadow" if item.shadow else "taken") if item.taken else "not taken"
        found.setdefault(item.series_uid, []).append(RuleAnswer(item.rule, item.model, word, item.reasons))
    return found
