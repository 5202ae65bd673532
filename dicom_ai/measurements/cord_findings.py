"""From the profile of the cord to the findings a report carries: the whole cord, and its levels or positions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import NAMESPACE_OID, uuid5

from dicom_ai.domain.findings import Finding, Segment, Segmentation, StructureKind, VertebraLabel
from dicom_ai.domain.image import SourceImage
from dicom_ai.measurements.canal import mean_ascor
from dicom_ai.measurements.compression import compressions
from dicom_ai.measurements.compression_findings import compression_numbers, compression_site
from dicom_ai.measurements.cord_contours import CordOnSource, cord_on_source, site_contour
from dicom_ai.measurements.preferred_cord import PreferredCord, measured_better
from dicom_ai.measurements.site_numbers import SiteNumbers, site_numbers
from dicom_ai.measurements.sites import WHOLE, Site, sites_by_level, sites_by_position, whole_cord
from dicom_ai.measurements.spinal_cord_csa import CordProfile
from dicom_ai.measurements.table import quantity


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else the study shows of the same cord.

    preferred: series that cut it across, for one that does not. ascor: slice index -> aSCOR, where the canal is known.
    """

    preferred: Sequence[PreferredCord] = ()
    ascor: Mapping[int, float] = field(default_factory=dict)


ALONE = Surroundings()


def cord_findings(
    source: SourceImage,
    segmentation: Segmentation,
    profile: CordProfile,
    levels: Sequence[VertebraLabel] = (),
    surroundings: Surroundings = ALONE,
) -> tuple[Finding, ...]:
    """Return the findings of the cord: the whole, its levels or (where none is known) positions, then compressions.

    source: the image the segmentation lies on; profile: of that segmentation's soft mask. levels: vertebrae from above,
    of this series or of another in the same frame of reference. Every finding carries an outline on a source slice.
    Empty where the segmentation has no cord, or the profile none.
    """
    segment = next((s for s in segmentation.segments if s.structure.kind is StructureKind.SPINAL_CORD), None)
    if segment is None or not profile.slices:
        return ()
    cord = cord_on_source(source, profile)
    by_level = sites_by_level(profile, levels)
    sites = (whole_cord(profile), *(by_level or sites_by_position(profile)))
    findings = [_finding(cord, segment, site, _numbers(profile, site, surroundings)) for site in sites]
    for one in compressions(profile):
        site = compression_site(one, profile, by_level)
        findings.append(_finding(cord, segment, site, compression_numbers(one, profile)))
    return tuple(findings)


def _numbers(profile: CordProfile, site: Site, surroundings: Surroundings) -> SiteNumbers:
    slices = site.slices_of(profile)
    elsewhere = measured_better(site, profile, surroundings.preferred)
    numbers = site_numbers(profile, slices, elsewhere=elsewhere)
    quantities = numbers.quantities
    if site.name == WHOLE:
        quantities = (quantity("cord_length", profile.length_mm), *quantities)
    ascor = mean_ascor(surroundings.ascor, slices, least=profile.settings.min_slices)
    if ascor is not None and not elsewhere:
        quantities = (*quantities, quantity("ascor_mean", ascor))
    return SiteNumbers(quantities, numbers.quality, numbers.notes)


def _finding(cord: CordOnSource, segment: Segment, site: Site, numbers: SiteNumbers) -> Finding:
    whole = site.name == WHOLE
    drawn = site_contour(cord, site)
    quantities = list(numbers.quantities)
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
    return f"2.25.{uuid5(NAMESPACE_OID, f'{segment.tracking_uid} {site.name} {site.start_mm:.1f}').int}"
