"""Segmentations as DICOM SEG (PS3.3 A.51) on the grid of their source.

BINARY for viewers, LABELMAP for archives that want it, FRACTIONAL for reuse.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.sr.codedict import codes

from dicom_ai.dicom import seg_frames
from dicom_ai.dicom.codes import ANATOMICAL_STRUCTURE, level_modifier, structure_code
from dicom_ai.dicom.result_stamp import stamp, stated, without_name
from dicom_ai.dicom.source_headers import Sources, source_headers
from dicom_ai.domain.findings import Segment, Segmentation, StructureKind
from dicom_ai.domain.image import Radiograph, SourceFrame, SourceImage
from dicom_ai.domain.model import ModelReference
from dicom_ai.domain.result import MANUFACTURER, ResultIdentity
from dicom_ai.errors import DicomAiError, RejectedInput
from dicom_ai.imaging.palette import color_of

MAX_FRACTIONAL_VALUE = 255
_SPINE = frozenset({StructureKind.VERTEBRA, StructureKind.DISC, StructureKind.SACRUM})


@dataclass(frozen=True, slots=True)
class _Mask:
    """What is written. kind: highdicom's arguments that choose the type of segmentation."""

    pixels: np.ndarray
    segments: Sequence[Segment]
    what: str
    kind: dict[str, Any]


class EmptySegmentation(DicomAiError):
    """There is nothing to write: no voxel belongs to any segment. The report says so instead."""


def write_seg(
    sources: Sources,
    source: SourceImage,
    segmentation: Segmentation,
    *,
    identity: ResultIdentity,
    model: ModelReference,
) -> Dataset:
    """Return a BINARY SEG of all segments.

    sources: the series (or its files or data sets) that source was read from; they are not changed.
    Raises EmptySegmentation where no voxel is labelled, and RejectedInput where a source image is missing.
    """
    _check_labels(source, segmentation)
    mask = _Mask(
        segmentation.labels,
        segmentation.segments,
        what=described(segmentation.segments),
        kind={"segmentation_type": hd.seg.SegmentationTypeValues.BINARY},
    )
    return _written(sources, source, mask, identity=identity, model=model)


def write_labelmap_seg(
    sources: Sources,
    source: SourceImage,
    segmentation: Segmentation,
    *,
    identity: ResultIdentity,
    model: ModelReference,
) -> Dataset:
    """Return a LABELMAP SEG of all segments (PS3.3 A.51, since 2024d): another SOP class, which few archives take.

    Raises as write_seg does.
    """
    _check_labels(source, segmentation)
    mask = _Mask(
        segmentation.labels,
        segmentation.segments,
        what=f"{described(segmentation.segments)} label map",
        kind={"segmentation_type": hd.seg.SegmentationTypeValues.LABELMAP},
    )
    return _written(sources, source, mask, identity=identity, model=model)


def write_soft_seg(
    sources: Sources,
    source: SourceImage,
    segmentation: Segmentation,
    *,
    identity: ResultIdentity,
    model: ModelReference,
) -> Dataset:
    """Return a FRACTIONAL SEG of the soft mask: the share of each voxel that belongs to the first segment.

    OCCUPANCY with maximum 255 (PS3.3 C.8.20.2.3). Several viewers cannot show it (OHIF 3.13): never the only result.
    """
    if segmentation.soft is None or not segmentation.segments or not (segmentation.soft > 0).any():
        raise EmptySegmentation("no soft mask to write")
    mask = _Mask(
        np.clip(np.nan_to_num(segmentation.soft), 0, 1).astype(np.float32),
        segmentation.segments[:1],
        what=f"{described(segmentation.segments[:1])} soft mask",
        kind={
            "segmentation_type": hd.seg.SegmentationTypeValues.FRACTIONAL,
            "fractional_type": hd.seg.SegmentationFractionalTypeValues.OCCUPANCY,
            "max_fractional_value": MAX_FRACTIONAL_VALUE,
        },
    )
    return _written(sources, source, mask, identity=identity, model=model)


def described(segments: Sequence[Segment]) -> str:
    """Return what a set of segments is called in a series description: "Spinal cord", "Spine", "Spine and cord"."""
    kinds = {segment.structure.kind for segment in segments}
    if kinds & _SPINE:
        return "Spine and cord" if StructureKind.SPINAL_CORD in kinds else "Spine"
    return segments[0].structure.name if segments else "Segmentation"


def _written(
    sources: Sources, source: SourceImage, mask: _Mask, *, identity: ResultIdentity, model: ModelReference
) -> Dataset:
    headers = _headers_in_order(sources, source)
    pixels = _in_stored_order(mask.pixels, source, len(headers))

    def made(content: np.ndarray) -> Dataset:
        seg = hd.seg.Segmentation(
            source_images=[_of_size(header, content.shape[1:]) for header in headers],
            pixel_array=content,
            segment_descriptions=[_description(segment, model) for segment in mask.segments],
            content_label="AI_SEG",
            content_description="AI result, research use only",
            omit_empty_frames=True,
            **mask.kind,
            **stated(identity, [model], what=mask.what),
        )
        _mend(seg, headers[0], source)
        stamp(seg, headers[0], identity)
        return seg

    return _quickly(pixels, mask, source, made) or made(pixels)


def _quickly(
    pixels: np.ndarray, mask: _Mask, source: SourceImage, made: Callable[[np.ndarray], Dataset]
) -> Dataset | None:
    """Return the SEG made from a small one, or None where that is no gain or not possible."""
    binary = mask.kind["segmentation_type"] is hd.seg.SegmentationTypeValues.BINARY
    if not binary or isinstance(source.image, Radiograph) or pixels[0].size % 8:
        return None
    rows = seg_frames.rows_of(pixels, len(mask.segments))
    chosen = seg_frames.chosen_pairs(rows)
    if len(rows) < 2 * len(chosen) or len({number for number, _ in rows}) < len(mask.segments):
        return None
    template = made(seg_frames.mask_of(pixels, chosen))
    if not seg_frames.fits(template):
        return None
    return seg_frames.expanded(template, pixels, rows, _stored_frames(source))


def _of_size(header: Dataset, shape: tuple[int, ...]) -> Dataset:
    """Return the header as highdicom is given it: nameless, and of the size of the mask, which _quickly makes small."""
    image = without_name(header)
    for keyword, size in zip(("Rows", "Columns"), shape, strict=True):
        image[keyword] = DataElement(keyword, "US", size)
    return image


def _stored_frames(source: SourceImage) -> list[SourceFrame]:
    """Return the frames of the source in the order of _in_stored_order."""
    return sorted(source.frames, key=lambda frame: frame.frame_number or 0)


def _check_labels(source: SourceImage, segmentation: Segmentation) -> None:
    grid, labels = _grid(source), segmentation.labels
    if labels.shape != grid.shape:
        raise ValueError(f"labels of shape {labels.shape} on an image of shape {grid.shape}")
    if [segment.number for segment in segmentation.segments] != list(range(1, len(segmentation.segments) + 1)):
        raise ValueError("segments must be numbered from 1 without gaps")
    highest = int(labels.max(initial=0))
    if highest > len(segmentation.segments):
        raise ValueError(f"label {highest} where there are {len(segmentation.segments)} segments")
    if highest == 0:
        raise EmptySegmentation("no voxel is labelled")


def _grid(source: SourceImage) -> np.ndarray:
    return source.image.pixels if isinstance(source.image, Radiograph) else source.image.voxels


def _headers_in_order(sources: Sources, source: SourceImage) -> list[Dataset]:
    """Return the header of each source object, once, in the order of the slices."""
    wanted = list(dict.fromkeys(frame.sop_instance_uid for frame in source.frames))
    headers = source_headers(sources, only=frozenset(wanted), whole=wanted[0])
    missing = [uid for uid in wanted if uid not in headers]
    if missing:
        raise RejectedInput(f"{len(missing)} of {len(wanted)} source images of the segmentation are missing")
    if len(wanted) > 1 and source.frames[0].frame_number is not None:
        raise RejectedInput(f"{len(wanted)} multi-frame objects make one volume; a SEG can name only one as its source")
    ordered = [headers[uid] for uid in wanted]
    size = _grid(source).shape[-2:]
    if any((header.get("Rows"), header.get("Columns")) != size for header in ordered):
        raise RejectedInput(f"source images of the segmentation are not all of {size[0]} x {size[1]} pixels, as it is")
    _mend_source(ordered[0], source)
    return ordered


def _mend_source(header: Dataset, source: SourceImage) -> None:
    """Set and take away what highdicom would copy from the first image and should not, or the other way round."""
    if isinstance(source.image, Radiograph):  # it would be copied without a plane position, against PS3.3 A.51.5.1
        header.pop("FrameOfReferenceUID", None)
        header.pop("PositionReferenceIndicator", None)
    elif source.frames[0].frame_number is None and not header.get("SliceThickness"):
        # Type 2, but a SEG must state one (PS3.3 C.7.6.16.2.1).
        header.SliceThickness = f"{source.image.spacing_mm[0]:.6g}"


def _in_stored_order(pixels: np.ndarray, source: SourceImage, objects: int) -> np.ndarray:
    """Return (frames, rows, columns) in the order of the source's frames; an Enhanced object has its own."""
    if isinstance(source.image, Radiograph):
        return pixels[None]
    numbers = [frame.frame_number for frame in source.frames]
    if objects > 1 or numbers[0] is None:
        return np.ascontiguousarray(pixels)
    stored = np.empty_like(pixels)
    for index, number in enumerate(numbers):
        stored[(number or 1) - 1] = pixels[index]
    return stored


def _description(segment: Segment, model: ModelReference) -> hd.seg.SegmentDescription:
    structure = segment.structure
    description = hd.seg.SegmentDescription(
        segment_number=segment.number,
        segment_label=structure.name[:64],
        segmented_property_category=ANATOMICAL_STRUCTURE,
        segmented_property_type=structure_code(structure),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=model.name,
            family=codes.DCM.ArtificialIntelligence,
            version=model.version,
            source=MANUFACTURER,
            parameters={"sha256": model.digest, "family": model.family},
        ),
        tracking_uid=segment.tracking_uid,
        tracking_id=segment.tracking_id[:64],
        display_color=hd.color.CIELabColor.from_rgb(*color_of(structure, number=segment.number)),
    )
    modifier = level_modifier(structure)
    if modifier is not None:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = Items([hd.sr.CodedConcept.from_code(modifier)])
    return description


def _mend(seg: Dataset, header: Dataset, source: SourceImage) -> None:
    """Set what highdicom leaves out or puts where readers do not look (docs/quirks.md)."""
    if isinstance(source.image, Radiograph):
        seg.PatientOrientation = list(source.image.patient_orientation) or header.get("PatientOrientation", "")
    shared = seg.SharedFunctionalGroupsSequence[0]
    if "SegmentIdentificationSequence" in shared:  # one segment only
        identification = shared.SegmentIdentificationSequence
        del shared.SegmentIdentificationSequence
        for frame in seg.PerFrameFunctionalGroupsSequence:
            frame.SegmentIdentificationSequence = identification
