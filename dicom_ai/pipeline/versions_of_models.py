"""Two versions of a model on the same studies: one is on, the other in shadow, and their numbers side by side.

The second version is a model folder of its own name, with a rule in shadow that takes the same series. The command
line, the pages and the API call the function here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dicom_ai.measurements.side_by_side import Agreement, Compared, Pair, agreements, compared
from dicom_ai.storage import model_runs
from dicom_ai.storage.database import Session

MOST = 200
"""Runs that are looked at, the newest."""


@dataclass(frozen=True, slots=True)
class StudyPair:
    """One run of a study in which both models gave findings."""

    study_uid: str
    number: int
    reported_at: float
    compared: Compared


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Two models on the same studies. versions: model -> the versions that made the numbers, with their digests.

    worst_in: measurement -> the run with the worst pair.
    """

    one: str
    other: str
    studies: tuple[StudyPair, ...]
    agreements: tuple[Agreement, ...]
    versions: Mapping[str, tuple[str, ...]]
    worst_in: Mapping[str, StudyPair]


def compare(session: Session, one: str, other: str, *, most: int = MOST) -> SideBySide:
    """Compare two models on the newest runs in which both gave findings of the same series."""
    studies, versions = [], {one: dict[str, None](), other: dict[str, None]()}
    for run in model_runs.shared_runs(session, one, other, most=most):
        entries = {name: _entries(run.findings, name) for name in (one, other)}
        found = compared(entries[one], entries[other])
        if not found.pairs and not (entries[one] and entries[other]):
            continue
        studies.append(StudyPair(run.study_uid, run.number, run.reported_at, found))
        for name, of_model in entries.items():
            versions[name].update(dict.fromkeys(_version(entry) for entry in of_model))
    pairs: list[Pair] = [pair for study in studies for pair in study.compared.pairs]
    found_apart = agreements(pairs)
    worst_in = {
        item.key: study
        for item in found_apart
        for study in studies
        if any(pair is item.worst for pair in study.compared.pairs)
    }
    return SideBySide(
        one, other, tuple(studies), found_apart, {name: tuple(known) for name, known in versions.items()}, worst_in
    )


def _entries(findings: Mapping[str, Any], model: str) -> Sequence[Mapping[str, Any]]:
    """Return the series entries of a model, sent or in shadow, of analyses that were done."""
    return [
        entry
        for part in findings.values()
        for entry in part.get("series", ())
        if entry.get("state") == "done" and entry["model"]["name"] == model
    ]


def _version(entry: Mapping[str, Any]) -> str:
    return f"{entry['model']['version']} ({entry['model']['sha256'][:12]})"
