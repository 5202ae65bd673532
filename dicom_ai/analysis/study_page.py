"""The report on one page: made from what findings.json says, so that no number can differ, and from the key images."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.dataset import Dataset

from dicom_ai import __version__
from dicom_ai.analysis.measure import Measured
from dicom_ai.dicom.page_headers import identity_lines, series_names, study_lines
from dicom_ai.domain.study import Series
from dicom_ai.imaging.key_image import key_image
from dicom_ai.imaging.palette import color_of
from dicom_ai.page.content import KeyPicture, Origin, Page, caption, page_of

TILES_IN_ROW = 2


def study_page(
    entry: Mapping[str, Any], measured: Sequence[Measured], series: Sequence[Series], header: Dataset
) -> Page:
    """Return the page of a study. entry: the study's in findings.json. header: of a source image, normalised."""
    origin = Origin(
        identity=identity_lines(header),
        study=study_lines(header),
        series=series_names(series),
        software=f"dicom_ai {__version__}",
    )
    return page_of(entry, [_picture(item, origin) for item in measured], origin)


def _picture(item: Measured, origin: Origin) -> KeyPicture:
    analysis = item.analysis
    colors = {
        segment.number: color_of(segment.structure, number=segment.number) for segment in analysis.segmentation.segments
    }
    labels = analysis.segmentation.labels
    return KeyPicture(
        caption(analysis.model.name, analysis.source.series_uid, origin),
        key_image(analysis.source.image, labels, colors, tiles_in_row=TILES_IN_ROW),
    )
