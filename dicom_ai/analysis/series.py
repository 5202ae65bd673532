"""One series and one model: read the image, run the model, keep what a report needs."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dicom_ai.dicom.radiograph_reader import read_radiograph
from dicom_ai.dicom.series_reader import read_volume
from dicom_ai.domain.findings import Segmentation
from dicom_ai.domain.image import SourceImage
from dicom_ai.domain.model import ModelOffset, ModelReference, ModelRepeatability
from dicom_ai.domain.study import Series
from dicom_ai.errors import UnsuitableImage
from dicom_ai.inference.predictor import Predictor

READERS: dict[str, Callable[[Series], SourceImage]] = {
    "MR": read_volume,
    "CT": read_volume,
    "CR": read_radiograph,
    "DX": read_radiograph,
}
"""Modality -> how its series become an image."""


@dataclass(frozen=True, slots=True)
class SeriesAnalysis:
    """Everything known of one series after its model ran: enough to report it without the model.

    series: the headers and files it was made from; None for an image that came without DICOM (NIfTI).
    measurements: names of what is to be measured on it, from the model's manifest.
    seconds: how long the model took. otherwise: how it was run when it could not be run as usual, and why.
    offset: of the model against the segmenter of healthy cohorts, repeatability: of its areas, as its manifest states.
    """

    series: Series | None = field(repr=False)
    source: SourceImage = field(repr=False)
    rule: str
    model: ModelReference
    measurements: tuple[str, ...]
    segmentation: Segmentation = field(repr=False)
    seconds: float
    otherwise: str = ""
    offset: ModelOffset | None = None
    repeatability: ModelRepeatability | None = None


@dataclass(frozen=True, slots=True)
class SeriesFailure:
    """A routed series without an analysis. state: "refused" (the images) or "failed" (something broke)."""

    series_uid: str
    rule: str
    model: str
    state: str
    reason: str
    series: Series | None = field(default=None, repr=False)


def read_source(series: Series) -> SourceImage:
    """Return the image of a series by its modality; raise RejectedInput with the reason if it has none."""
    reader = READERS.get(series.modality)
    if reader is None:
        raise UnsuitableImage(f"modality {series.modality or 'missing'} where one of {', '.join(READERS)} is needed")
    return reader(series)


def analyse_series(
    series: Series,
    predictor: Predictor,
    *,
    rule: str = "",
    progress: Callable[[float], None] | None = None,
) -> SeriesAnalysis:
    """Read a series, check it against the model's input, and run the model.

    progress: called with the share of the model's work that is done, 0..1.
    Raises RejectedInput (the images), ModelError (the model).
    """
    analysis = analyse_image(
        read_source(series), predictor, modality=series.modality, rule=rule, series=series, progress=progress
    )
    return analysis


def analyse_image(
    source: SourceImage,
    predictor: Predictor,
    *,
    modality: str,
    rule: str = "",
    series: Series | None = None,
    progress: Callable[[float], None] | None = None,
) -> SeriesAnalysis:
    """As analyse_series, for an image that is already read."""
    predictor.accepts(source, modality=modality)
    started = time.perf_counter()
    segmentation = predictor.predict(source, progress=progress)
    return SeriesAnalysis(
        series=series,
        source=source,
        rule=rule,
        model=predictor.reference,
        measurements=predictor.manifest.measurements,
        segmentation=segmentation,
        seconds=time.perf_counter() - started,
        offset=predictor.manifest.segmenter_offset,
        repeatability=predictor.manifest.repeatability,
    )
