"""Many files at once, without a node: what `dicom-ai process` does, and what developers test with.

One bad series never stops its neighbours: whatever goes wrong with it becomes the reason in its row.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dicom_ai.analysis.files import Written, write_nifti_results, write_study_files
from dicom_ai.analysis.findings_json import document
from dicom_ai.analysis.identities import plan_identities
from dicom_ai.analysis.series import SeriesAnalysis, SeriesFailure, analyse_image
from dicom_ai.analysis.study import report_study
from dicom_ai.analysis.task import analyse_within_memory
from dicom_ai.dicom.headers import read_paths
from dicom_ai.dicom.nifti import is_nifti, read_nifti
from dicom_ai.domain.output import USUAL_OUTPUTS, Output
from dicom_ai.domain.study import Series
from dicom_ai.errors import DicomAiError, RejectedInput
from dicom_ai.inference.predictor import Models
from dicom_ai.routing.explain import route_study
from dicom_ai.routing.rule import RuleSet

log = logging.getLogger(__name__)

Outcome = SeriesAnalysis | SeriesFailure
OUTPUTS = USUAL_OUTPUTS | {Output.XRAY_SEG}
"""What is written: no archive is in the way of masks of radiographs here."""

NIFTI_NEEDS_A_MODEL = "NIfTI carries no headers for rules to look at; name the model with --model"


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one series under one rule. state: done, not routed, refused or failed."""

    study_uid: str
    series_uid: str
    rule: str
    model: str
    state: str
    reason: str = ""
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """One call of `dicom-ai process`.

    model: run this one on every series instead of asking the rules; its own input checks still hold.
    progress: called with what is being done and the share that is done, 0..1.
    """

    models: Models
    out: Path
    rules: RuleSet | None = None
    model: str | None = None
    progress: Callable[[str, float], None] = field(default=lambda what, share: None)

    def run(self, paths: Iterable[Path]) -> tuple[Row, ...]:
        """Analyse everything under the paths, write under `out`, and say what became of each series."""
        self.out.mkdir(parents=True, exist_ok=True)
        niftis = [path for path in paths if is_nifti(path)]
        scan = read_paths(path for path in paths if not is_nifti(path))
        studies: dict[str, list[Series]] = {}
        for series in scan.series:
            studies.setdefault(series.study_uid, []).append(series)
        rows = [Row("", "", "", "", "refused", reason) for _, reason in scan.unreadable]
        entries = []
        for study in studies.values():
            study_rows, entry = self._study(study)
            rows += study_rows
            entries += entry
        for path in niftis:
            row, entry = self._nifti(path)
            rows.append(row)
            entries += entry
        (self.out / "findings.json").write_text(json.dumps(document(entries), indent=1), encoding="utf-8")
        return tuple(rows)

    def _study(self, series: Sequence[Series]) -> tuple[list[Row], list[dict]]:
        wanted, rows = self._wanted(series)
        outcomes = {key: self._outcome(*key, rule=rules[0], series=series) for key, rules in wanted.items()}
        try:
            written, entry = self._report(list(outcomes.values()))
        except DicomAiError as error:
            written, entry = {}, []
            outcomes = {key: _spoiled(outcome, str(error)) for key, outcome in outcomes.items()}
        for (uid, model), rules in wanted.items():
            outcome = outcomes[uid, model]
            state, reason = _state(outcome)
            outputs = tuple(str(path) for path in written.get((uid, model), ()))
            rows += [Row(series[0].study_uid, uid, rule, model, state, reason, outputs) for rule in rules]
        return rows, entry

    def _wanted(self, series: Sequence[Series]) -> tuple[dict[tuple[str, str], list[str]], list[Row]]:
        """Return (series, model) -> rules that asked for it, and a row for each series that nothing asked for."""
        if self.model is not None:
            return {(item.series_uid, self.model): [""] for item in series}, []
        if self.rules is None:
            raise ValueError("a batch without a model needs rules")
        wanted: dict[tuple[str, str], list[str]] = {}
        reasons: dict[str, list[str]] = {item.series_uid: [] for item in series}
        for decision in route_study(series, self.rules, models=self.models.names()):
            if decision.taken:
                wanted.setdefault((decision.series_uid, decision.model), []).append(decision.rule)
            else:
                reasons[decision.series_uid].append(f"{decision.rule}: {decision.summary}")
        taken = {uid for uid, _ in wanted}
        rows = [
            Row(item.study_uid, item.series_uid, "", "", "not routed", "; ".join(reasons[item.series_uid]))
            for item in series
            if item.series_uid not in taken
        ]
        return wanted, rows

    def _outcome(self, series_uid: str, model: str, *, rule: str, series: Sequence[Series]) -> Outcome:
        chosen = next(item for item in series if item.series_uid == series_uid)
        what = f"{_described(chosen)}: {model}"

        def report(share: float) -> None:
            self.progress(what, share)

        def failure(state: str, reason: str) -> SeriesFailure:
            return SeriesFailure(series_uid, rule, model, state, reason, chosen)

        report(0.0)
        try:
            return analyse_within_memory(chosen, self.models, model, rule=rule, progress=report)
        except RejectedInput as error:
            return failure("refused", str(error))
        except DicomAiError as error:
            return failure("failed", str(error))
        except Exception as error:  # the neighbours of a broken series must still be analysed
            log.exception("analysis failed")
            return failure("failed", f"{type(error).__name__}: {error}")

    def _report(self, outcomes: Sequence[Outcome]) -> tuple[Written, list[dict]]:
        analyses = [item for item in outcomes if isinstance(item, SeriesAnalysis)]
        failures = [item for item in outcomes if isinstance(item, SeriesFailure)]
        if not outcomes:
            return {}, []
        folder = self.out / (analyses[0].source.study_uid if analyses else _study_of(failures))
        folder.mkdir(parents=True, exist_ok=True)
        identities = plan_identities(analyses, run=1, created_at=datetime.now(UTC), outputs=OUTPUTS)
        complete = all(item.state != "failed" for item in failures)
        report = report_study(analyses, failures, identities=identities, out=folder, complete=complete)
        return write_study_files(report, folder), [report.findings]

    def _nifti(self, path: Path) -> tuple[Row, list[dict]]:
        if self.model is None:
            return Row(path.name, path.name, "", "", "not routed", NIFTI_NEEDS_A_MODEL), []
        try:
            source = read_nifti(path)
            analysis = analyse_image(
                source,
                self.models.load(self.model),
                modality="",
                progress=lambda share: self.progress(f"{path.name}: {self.model}", share),
            )
            outputs, entry = write_nifti_results(analysis, self.out, name=path.name, created_at=datetime.now(UTC))
        except RejectedInput as error:
            return Row(path.name, path.name, "", self.model, "refused", str(error)), []
        except DicomAiError as error:
            return Row(path.name, path.name, "", self.model, "failed", str(error)), []
        return Row(path.name, path.name, "", self.model, "done", "", tuple(map(str, outputs))), [entry]


def _described(series: Series) -> str:
    element = series.header.get("SeriesDescription")
    return element.text if element and element.text else f"series {series.series_uid[-12:]}"


def _study_of(failures: Sequence[SeriesFailure]) -> str:
    return next(item.series.study_uid for item in failures if item.series)


def _state(outcome: Outcome) -> tuple[str, str]:
    if isinstance(outcome, SeriesFailure):
        return outcome.state, outcome.reason
    return "done", "; ".join(outcome.segmentation.notes)


def _spoiled(outcome: Outcome, reason: str) -> Outcome:
    """Return the failure of a series whose study could not be reported."""
    if isinstance(outcome, SeriesFailure):
        return outcome
    return SeriesFailure(
        outcome.source.series_uid, outcome.rule, outcome.model.name, "failed", f"report: {reason}", outcome.series
    )
