"""The volume of each segment: what can be said of any segmentation, also of a model that an administrator added."""

from dicom_ai.domain.findings import Contour, Finding, Quality, Segment, Segmentation
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.imaging.contours import outer_contour
from dicom_ai.measurements.table import quantity


def segment_volumes(source: SourceImage, segmentation: Segmentation) -> tuple[Finding, ...]:
    """Return one finding per segment of a volume: its volume in mm3, outlined in the slice where it is largest.

    Empty for a radiograph, whose pixels have no volume.
    """
    if not isinstance(source.image, Volume):
        return ()
    return tuple(_finding(source, source.image, segmentation, segment) for segment in segmentation.segments)


def _finding(source: SourceImage, image: Volume, segmentation: Segmentation, segment: Segment) -> Finding:
    mask = segmentation.labels == segment.number
    largest = int(mask.sum(axis=(1, 2)).argmax())
    voxel_mm3 = float(image.spacing_mm.prod())
    return Finding(
        structure=segment.structure,
        site=segment.structure.level or segment.structure.name,
        site_level=segment.structure.level,
        series_uid=source.series_uid,
        tracking_id=segment.tracking_id,
        tracking_uid=segment.tracking_uid,
        quantities=(quantity("volume", float(mask.sum()) * voxel_mm3),),
        quality=Quality.PASS,
        contour=Contour(source.series_uid, largest, outer_contour(mask[largest]), locates_only=True),
        segment_number=segment.number,
    )
