"""One series for one model, as files: what the process that runs the models is given, and does.

Where the memory of the GPU does not suffice, the model is run again with smaller patches (where its weights allow
them), then on the CPU; the analysis says so, so that the job and the report do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dicom_ai.analysis import kept
from dicom_ai.analysis.series import SeriesAnalysis, analyse_series
from dicom_ai.dicom.kept_series import kept as kept_images
from dicom_ai.dicom.kept_series import read_series
from dicom_ai.domain.study import Series
from dicom_ai.errors import DeviceFull, ModelError
from dicom_ai.inference.predictor import Models, Way
from dicom_ai.storage import folders

WAYS = (Way.USUAL, Way.SMALL, Way.CPU)
WAYS_ON_GPU = (Way.USUAL, Way.SMALL)


@dataclass(frozen=True, slots=True)
class Task:
    """An analysis to make. paths: the images of the series. folder: where it is kept; it must not exist yet."""

    study_uid: str
    series_uid: str
    paths: tuple[Path, ...]
    model: str
    rule: str
    folder: Path


def do(task: Task, models: Models, *, ways: Sequence[Way] = WAYS) -> str:
    """Make an analysis and keep it; return why it was made otherwise than usual, "" where it was not.

    Raises RejectedInput (the images), ModelError (the model), Unavailable (the disk, or no memory in any way).
    """
    series = read_series(task.study_uid, task.series_uid, task.paths)
    with kept_images(task.paths):
        analysis = analyse_within_memory(series, models, task.model, rule=task.rule, ways=ways)
    with folders.new_folder(task.folder) as folder:
        kept.save(analysis, folder)
    return analysis.otherwise


def analyse_within_memory(
    series: Series,
    models: Models,
    model: str,
    *,
    rule: str = "",
    ways: Sequence[Way] = WAYS,
    progress: Callable[[float], None] | None = None,
) -> SeriesAnalysis:
    """Analyse a series in the first of the ways for which there is memory.

    What another way than the usual one has loaded is let go again: the next series may find the GPU free.
    Raises what analyse_series raises, and DeviceFull where no way has room.
    """
    full = ""
    for way in ways:
        try:
            analysis = analyse_series(series, models.load(model, way), rule=rule, progress=progress)
            return _told(analysis, way, full)
        except DeviceFull as error:
            full = str(error)
        except ModelError:
            if not full:
                raise  # else: weights that take no smaller patch; the next way may do
        finally:
            if way is not Way.USUAL or full:
                models.forget(model, way)
    raise DeviceFull(full)


def _told(analysis: SeriesAnalysis, way: Way, full: str) -> SeriesAnalysis:
    """Say in the notes, which the report carries, that a model was not run as usual."""
    if way is Way.USUAL:
        return analysis
    otherwise = f"run {way} ({full})"
    segmentation = replace(analysis.segmentation, notes=(*analysis.segmentation.notes, otherwise))
    return replace(analysis, segmentation=segmentation, otherwise=otherwise)
