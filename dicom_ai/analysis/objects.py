"""The objects of a run, written into a folder: those that have an identity, each in the form that its slot names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pydicom.dataset import Dataset

from dicom_ai.analysis.identities import SERIES_NUMBER
from dicom_ai.analysis.series import SeriesAnalysis
from dicom_ai.dicom.document_writer import write_pdf, write_picture
from dicom_ai.dicom.fallbacks import PAGE_FILE
from dicom_ai.dicom.seg_writer import write_labelmap_seg, write_seg, write_soft_seg
from dicom_ai.dicom.source_headers import Sources
from dicom_ai.domain.findings import Segmentation
from dicom_ai.domain.image import SourceImage
from dicom_ai.domain.model import ModelReference
from dicom_ai.domain.output import PDF_SLOT, PICTURE_SLOT, Output, output_of, seg_slot
from dicom_ai.domain.result import ResultIdentity, ResultObject
from dicom_ai.imaging.overlay import write_png
from dicom_ai.page.content import Page
from dicom_ai.page.pdf import pdf_of
from dicom_ai.page.picture import picture_of


class SegWriter(Protocol):
    """Writes one form of SEG."""

    def __call__(
        self,
        sources: Sources,
        source: SourceImage,
        segmentation: Segmentation,
        *,
        identity: ResultIdentity,
        model: ModelReference,
    ) -> Dataset:
        """Return the SEG."""


SEG_WRITERS: Mapping[Output, SegWriter] = {
    Output.SEG: write_seg,
    Output.XRAY_SEG: write_seg,
    Output.LABELMAP: write_labelmap_seg,
    Output.SOFT_SEG: write_soft_seg,
}


def write_segs(analysis: SeriesAnalysis, identities: Mapping[str, ResultIdentity], out: Path) -> list[ResultObject]:
    """Write every form of SEG of a series that has an identity."""
    slots = [seg_slot(analysis.model.name, analysis.source.series_uid, form) for form in SEG_WRITERS]
    return [_written_seg(analysis, identities[slot], out) for slot in slots if slot in identities]


def write_page(
    page: Page,
    header: Dataset,
    identities: Mapping[str, ResultIdentity],
    *,
    models: Sequence[ModelReference],
    sources: Sequence[SourceImage],
    out: Path,
) -> list[ResultObject]:
    """Write the page as PNG, and as PDF and Secondary Capture where these have identities."""
    pixels = picture_of(page)
    write_png(pixels, out / PAGE_FILE)
    written = []
    if PDF_SLOT in identities:
        identity = identities[PDF_SLOT]
        document = write_pdf(pdf_of(page), header, identity=identity, models=models, sources=sources)
        written.append(saved(document, identity, out / "page-pdf.dcm"))
    if PICTURE_SLOT in identities:
        identity = identities[PICTURE_SLOT]
        picture = write_picture(pixels, header, identity=identity, models=models)
        written.append(saved(picture, identity, out / "page-picture.dcm"))
    return written


def saved(dataset: Dataset, identity: ResultIdentity, path: Path, *, source_series_uid: str = "") -> ResultObject:
    """Write a data set and return what it is and where it lies."""
    dataset.save_as(path, enforce_file_format=True)
    return ResultObject(identity, str(dataset.SOPClassUID), str(dataset.StudyInstanceUID), source_series_uid, path)


def _written_seg(analysis: SeriesAnalysis, identity: ResultIdentity, out: Path) -> ResultObject:
    if analysis.series is None:
        raise ValueError("a SEG needs the headers of its series")
    form = output_of(identity.slot)
    dataset = SEG_WRITERS[form](
        analysis.series, analysis.source, analysis.segmentation, identity=identity, model=analysis.model
    )
    number = identity.series_number - SERIES_NUMBER[form] + 1
    name = f"{analysis.model.name}-{number}-{'seg' if form in (Output.SEG, Output.XRAY_SEG) else form}.dcm"
    return saved(dataset, identity, out / name, source_series_uid=analysis.source.series_uid)
