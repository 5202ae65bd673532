"""Candidates for a compression as findings of a report, each with the slice that it was read from."""

from collections.abc import Sequence

from dicom_ai.domain.findings import Quality, Quantity
from dicom_ai.measurements.compression import Compression
from dicom_ai.measurements.site_numbers import SiteNumbers
from dicom_ai.measurements.sites import POOLED, Site
from dicom_ai.measurements.spinal_cord_csa import CordProfile
from dicom_ai.measurements.table import quantity

NO_DIAGNOSIS = "a candidate: the cord is flatter here than above and below; the image decides what it is"
ONE_SIDE = "the cord is not measured {side}: compared with the other side alone"


def compression_site(one: Compression, profile: CordProfile, levels: Sequence[Site]) -> Site:
    """Return the place of a candidate, named by its vertebral level where one is known. levels: sites_by_level."""
    at_mm = one.item.position_mm
    inside = [site for site in levels if site.name != POOLED and site.start_mm <= at_mm < site.stop_mm]
    where = inside[0].name if inside and inside[0].level else f"{at_mm:.0f} mm"
    notes = [NO_DIAGNOSIS]
    if where.endswith("mm"):
        notes.append(f"{where} below the top of the cord seen; no vertebral level is known")
    notes += [
        ONE_SIDE.format(side=side)
        for side, value in (("above", one.above_mm), ("below", one.below_mm))
        if value is None
    ]
    half_mm = max(5.0, 1.5 * float(profile.cord.spacing_mm[0]))
    return Site(f"compression candidate at {where}", at_mm - half_mm, at_mm + half_mm, None, tuple(notes))


def compression_numbers(one: Compression, profile: CordProfile) -> SiteNumbers:
    """Return the numbers of a candidate. They are always to be looked at."""
    numbers: list[Quantity] = [quantity("mscc", one.mscc_percent), quantity("ap_flattest", one.ap_mm)]
    numbers += [
        quantity(key, value)
        for key, value in (("ap_above", one.above_mm), ("ap_below", one.below_mm))
        if value is not None
    ]
    section = one.item.section
    if section is not None and not profile.csa_withheld:
        numbers.append(quantity("ap_rl_ratio", section.ap_mm / section.rl_mm))
    return SiteNumbers(tuple(numbers), Quality.WARN, ())
