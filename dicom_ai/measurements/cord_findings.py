"""From the profile of the cord to the findings a report carries: the whole cord, and its levels or positions."""

from collections.abc import Sequence
from uuid import NAMESPACE_OID, uuid5

from dicom_ai.domain.findings import Finding, Segment, Segmentation, StructureKind, VertebraLabel
from dicom_ai.domain.image import SourceImage
from dicom_ai.measurements.cord_contours import CordOnSource, cord_on_source, site_contour
from dicom_ai.measurements.site_numbers import site_numbers
from dicom_ai.measurements.sites import Site, sites_by_level, sites_by_position, whole_cord
from dicom_ai.measurements.spinal_cord_csa import CordProfile
from dicom_ai.measurements.table import quantity


def cord_findings(
    source: SourceImage,
    segmentation: Segmentation,
    profile: CordProfile,
    levels: Sequence[VertebraLabel] = (),
) -> tuple[Finding, ...]:
    """Return the findings of the cord: the whole cord first, then its levels, or its positions where none is known.

    source: the image the segmentation lies on; profile: of that segmentation's soft mask. levels: vertebrae from above,
    of this series or of another in the same frame of reference. Every finding carries an outline on a source slice.
    Empty where the segmentation has no cord, or the profile none.
    """
    by_level = findings_by_level(source, segmentation, profile, levels)
    rest = by_level or findings_by_position(source, segmentation, profile)
    return whole_cord_finding(source, segmentation, profile) + rest


def findings_by_level(
    source: SourceImage, segmentation: Segmentation, profile: CordProfile, levels: Sequence[VertebraLabel]
) -> tuple[Finding, ...]:
    """Return one finding per vertebral level along which cord is seen, and one for C2 and C3 pooled."""
    return _findings(source, segmentation, profile, sites_by_level(profile, levels))


def findings_by_position(source: SourceImage, segmentation: Segmentation, profile: CordProfile) -> tuple[Finding, ...]:
    """Return one finding per 20 mm of cord from its top."""
    return _findings(source, segmentation, profile, sites_by_position(profile))


def whole_cord_finding(source: SourceImage, segmentation: Segmentation, profile: CordProfile) -> tuple[Finding, ...]:
    """Return the finding of the whole cord, which shares its tracking with the segment; empty without cord."""
    return _findings(source, segmentation, profile, (whole_cord(profile),), whole=True)


def _findings(
    source: SourceImage,
    segmentation: Segmentation,
    profile: CordProfile,
    sites: Sequence[Site],
    *,
    whole: bool = False,
) -> tuple[Finding, ...]:
    segment = next((s for s in segmentation.segments if s.structure.kind is StructureKind.SPINAL_CORD), None)
    if segment is None or not profile.slices:
        return ()
    cord = cord_on_source(source, profile)
    return tuple(_finding(cord, segment, site, whole=whole) for site in sites)


def _finding(cord: CordOnSource, segment: Segment, site: Site, *, whole: bool) -> Finding:
    numbers = site_numbers(cord.profile, site.slices_of(cord.profile))
    drawn = site_contour(cord, site)
    quantities = list(numbers.quantities)
    if whole:
        quantities.insert(0, quantity("cord_length", cord.profile.length_mm))
    outlined = drawn.outlined
    if outlined and outlined.section and outlined.measured and not cord.profile.csa_withheld:
        quantities.append(quantity("csa_slice", outlined.section.area_mm2))
    return Finding(
        structure=segment.structure,
        site=site.name,
        site_level=site.level,
        series_uid=cord.series_uid,
        tracking_id=segment.tracking_id if whole else f"{segment.tracking_id} {site.name}",
        tracking_uid=segment.tracking_uid if whole else _tracking_uid(segment, site),
        quantities=tuple(quantities),
        quality=numbers.quality,
        notes=site.notes + numbers.notes,
        contour=drawn.contour,
        segment_number=segment.number,
    )


def _tracking_uid(segment: Segment, site: Site) -> str:
    """Return a UID of the site within the segment, the same each time: viewers merge groups that share one."""
    return f"2.25.{uuid5(NAMESPACE_OID, f'{segment.tracking_uid} {site.name}').int}"
