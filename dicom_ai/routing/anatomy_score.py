"""Which part of the body a series shows: points for every region from every piece of evidence, listed.

No tag decides alone. Of 1,809 real scans of the cord only half carry a spine body part, 17 % say BRAIN or HEAD and 19 %
say nothing, so BRAIN as a body part weighs little, words in descriptions weigh most, and the coil, the published cord
protocol and the field of view speak too. A head-and-neck coil alone says next to nothing. Points are documented in
docs/rules.md; the spine is taken where it has enough of them and clearly more than any other region.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dicom_ai.domain.study import Header
from dicom_ai.routing.evidence import Fact, normalised, number, said, upper_values, values
from dicom_ai.routing.lexicon import SPINE_REGIONS, regions_named
from dicom_ai.routing.sequences import times_ms


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason to believe in a region. group: of several in one group only the strongest counts per region."""

    region: str
    points: int
    group: str
    told: str


@dataclass(frozen=True, slots=True)
class Source:
    """Header texts that say the same kind of thing, and what a word in them is worth.

    spine, brain (also head), neck, other: points for a word of such a region.
    """

    name: str
    keywords: tuple[str, ...]
    spine: int
    brain: int
    head: int
    other: int


SOURCES: Sequence[Source] = (
    Source("description", ("SeriesDescription", "ProtocolName"), 8, 8, 4, 8),
    Source("body part", ("BodyPartExamined", "AnatomicRegionSequence"), 6, 3, 3, 7),
    Source("procedure step", ("PerformedProcedureStepDescription", "ScheduledProcedureStepDescription"), 5, 3, 3, 5),
    Source("request", ("RequestedProcedureDescription", "RequestedProcedureCodeSequence"), 5, 4, 3, 5),
    Source("study", ("StudyDescription", "ProcedureCodeSequence"), 5, 4, 3, 5),
)
"""Texts and their weights."""

_ORDERS = frozenset({"request", "study"})
"""The sources that say what was ordered."""

CORD_REGIONS = ("cervical", "thoracic", "whole", "cord", "spine")
"""Spine regions in which the cord, not only its end, is to be expected."""

_NARROW_MM, _TALL_MM, _REACHES_THORAX_MM = 100.0, 190.0, 350.0
_PROTOCOL_NAMES = re.compile(r"^gre (me|mt[01]?|t1w?)$")

_COIL_NAMES: Sequence[tuple[str, str, int]] = (
    (r"ctl|spinal cord", "spine", 5),
    (r"spine|\bsp\b", "spine", 3),
    (r"head ?neck|neuro ?vasc|\bhn|\bnv|hns", "cervical", 1),
    (r"^neck|neck ?matrix|c ?spine", "cervical", 4),
    (r"head|brain|kopf|\d+hr", "brain", 4),
    (r"breast|mamm", "breast", 7),
    (r"knee", "knee", 7),
    (r"shoulder", "shoulder", 7),
    (r"foot|ankle|wrist|hand|extrem", "limb", 7),
    (r"cardiac|heart", "heart", 6),
    (r"torso|abdom|\bbody ?(matrix|\d)", "abdomen", 3),
)
"""Pattern in a normalised coil name, region, points; the first that is found counts."""

_SEQUENCE_SIGNS: Sequence[tuple[str, str, int]] = (
    (r"flair|dark ?fluid", "brain", 4),
    (r"(?<![a-z])(swi|swan|venbold|tof|asl|pcasl|fmri|bold)(?![a-z])", "brain", 4),
    (r"mp2?rage|bravo|(?<![a-z])(tfe|fspgr|3d_?t1|navi\w*|stealth)(?![a-z])", "brain", 3),
    (r"(?<![a-z])(vibe|lava|haste|mrcp|thrive|dixon_opp)(?![a-z])", "abdomen", 4),
    (r"(?<![a-z])(cine|trufi_cine|lge|psir_cardiac|molli)(?![a-z])", "heart", 6),
)
"""Pattern in descriptions: sequences that are made almost only of one region."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """A published acquisition, told by its parameters. Ranges are inclusive; sizes in mm, times in ms."""

    name: str
    plane: str
    acquisition: str
    scanning: str
    slice_mm: tuple[float, float]
    echo_ms: tuple[float, float]
    repetition_ms: tuple[float, float]
    flips_deg: tuple[tuple[float, float], ...]


PROTOCOLS: Sequence[Protocol] = (
    Protocol("T1w", "sagittal", "3D", "GR", (0.95, 1.05), (1.2, 4.2), (3.5, 8.0), ((8.9, 9.1),)),
    Protocol("T1w", "sagittal", "3D", "GR", (0.95, 1.05), (3.0, 4.2), (1950, 2050), ((8.9, 9.1),)),
    Protocol("T2w", "sagittal", "3D", "SE", (0.75, 0.85), (100, 150), (1400, 4000), ((80, 180),)),
    Protocol("T2*", "axial", "2D", "GR", (4.5, 5.5), (1.5, 18), (500, 750), ((29, 31),)),
    Protocol("MT", "axial", "3D", "GR", (4.5, 5.5), (1.5, 4.5), (14, 110), ((8.9, 9.1), (14.9, 15.1))),
)
"""The consensus protocol for quantitative MR of the cord (Cohen-Adad et al., Nat. Protoc. 16, 2021)."""


def anatomy_facts(header: Header, geometry: Mapping[str, Fact]) -> dict[str, Fact]:
    """Return region, spine_region, spine_score, spine_margin, cord_in_view and brain_score, each with its evidence."""
    evidence = list(gather(header, geometry))
    points, told = _totals(evidence)
    spine = sum(points[region] for region in SPINE_REGIONS)
    others = {region: count for region, count in points.items() if region not in SPINE_REGIONS}
    rival = max(others, key=lambda region: others[region], default="")
    spine_told = "; ".join(told[region] for region in SPINE_REGIONS if region in told) or "nothing speaks for the spine"
    rival_told = f"{rival} {others[rival]}: {told[rival]}" if rival else "nothing speaks for another region"
    facts = {
        "spine_score": Fact(float(spine), spine_told),
        "spine_margin": Fact(float(spine - others.get(rival, 0)), f"spine {spine}: {spine_told}, against {rival_told}"),
        "brain_score": Fact(float(points["brain"]), told.get("brain", "nothing speaks for the brain")),
        "spine_region": _spine_region(points, told, geometry),
    }
    facts["cord_in_view"] = _cord_in_view(facts["spine_region"])
    facts["region"] = _region(points, spine, others, rival, facts)
    return facts


def ordered_as_spine(header: Header) -> bool:
    """Tell whether the spine is named by what was ordered: request, scheduled step or study, not what was done then."""
    texts = [text for source in SOURCES if source.name in _ORDERS for text in said(header, source.keywords)]
    texts += said(header, ("ScheduledProcedureStepDescription",))
    return any(region in SPINE_REGIONS for text in texts for region, _ in regions_named(text.words))


def gather(header: Header, geometry: Mapping[str, Fact]) -> Iterator[Evidence]:
    """Yield every piece of evidence a header and the geometry hold."""
    for source in SOURCES:
        yield from _from_texts(header, source)
    yield from _from_coil(header)
    yield from _from_sequence(header)
    yield from _from_protocol(header, geometry)
    yield from _from_field_of_view(geometry)


def _totals(evidence: Sequence[Evidence]) -> tuple[dict[str, int], dict[str, str]]:
    """Add up the strongest evidence of each group per region; a spine word counts once per group."""
    best: dict[tuple[str, str], Evidence] = {}
    for one in evidence:
        family = "spine" if one.region in SPINE_REGIONS else one.region
        held = best.get((family, one.group))
        if held is None or _rank(one) > _rank(held):
            best[family, one.group] = one
    points: dict[str, int] = defaultdict(int)
    told: dict[str, list[str]] = defaultdict(list)
    for one in best.values():
        points[one.region] += one.points
        told[one.region].append(f"{one.told} (+{one.points} {one.region})")
    return points, {region: ", ".join(reasons) for region, reasons in told.items()}


def _rank(evidence: Evidence) -> tuple[int, int]:
    """More points first; of equal ones the more telling region of the spine, in the order of SPINE_REGIONS."""
    order = -SPINE_REGIONS.index(evidence.region) if evidence.region in SPINE_REGIONS else 0
    return evidence.points, order


def _from_texts(header: Header, source: Source) -> Iterator[Evidence]:
    for text in said(header, source.keywords):
        if text.words == "headneck":
            yield Evidence("cervical", 2, source.name, f"{text.keyword} {text.text!r}")
        for region, word in regions_named(text.words):
            told = f"{text.keyword} {text.text!r} names {word!r}"
            yield Evidence(region, _points(source, region), source.name, told)
            if region == "neck":
                yield Evidence("cervical", 2, source.name, told)


def _points(source: Source, region: str) -> int:
    if region in SPINE_REGIONS:
        return source.spine
    if region == "brain":
        return source.brain
    if region == "head":
        return source.head
    if region == "neck":
        return (source.other + 1) // 2
    return source.other


def _from_coil(header: Header) -> Iterator[Evidence]:
    for coil in values(header, "ReceiveCoilName"):
        yield from _of_elements(coil)
        words = normalised(coil)
        for pattern, region, points in _COIL_NAMES:
            if re.search(pattern, words):
                yield Evidence(region, points, "coil", f"ReceiveCoilName {coil!r}")
                break


def _of_elements(coil: str) -> Iterator[Evidence]:
    """Read Siemens' coil elements: HC or HE head (1 at the top), NC or NE neck, SP spine, BO body."""
    parts = [part.rpartition(":")[2] for part in re.split(r"[;+ ]", coil.upper())]
    head = [part for part in parts if re.match(r"H[CE](\d|[AP]\b)", part)]
    neck = any(re.match(r"N[CE]\d", part) for part in parts)
    spine = any(re.match(r"SP\d", part) for part in parts)
    body = any(re.match(r"B[O\d]", part) for part in parts)
    if neck:
        top = min((int(digit) for part in head for digit in re.findall(r"\d", part)), default=9)
        points = {1: 2, 2: 3}.get(top, 5) + (2 if spine else 0)
        yield Evidence("cervical", points, "coil", f"coil elements {coil!r}: neck")
    elif head:
        yield Evidence("brain", 4, "coil", f"coil elements {coil!r}: head without neck")
    elif spine and not body:
        yield Evidence("spine", 3, "coil", f"coil elements {coil!r}: spine")


def _from_sequence(header: Header) -> Iterator[Evidence]:
    for text in said(header, ("SeriesDescription", "ProtocolName")):
        for pattern, region, points in _SEQUENCE_SIGNS:
            if hit := re.search(pattern, text.text.casefold()):
                yield Evidence(region, points, "sequence", f"{text.keyword} {text.text!r} has {hit[0]!r}")
        if _PROTOCOL_NAMES.match(text.words):
            yield Evidence("cervical", 3, "protocol name", f"{text.keyword} {text.text!r}: published cord protocol")


def _from_protocol(header: Header, geometry: Mapping[str, Fact]) -> Iterator[Evidence]:
    for protocol in PROTOCOLS:
        if _follows(header, geometry, protocol):
            told = f"parameters of the published cord protocol, {protocol.name}"
            yield Evidence("cervical", 4, "protocol", told)


def _follows(header: Header, geometry: Mapping[str, Fact], protocol: Protocol) -> bool:
    scanning = upper_values(header, "ScanningSequence")
    if geometry["plane"].value != protocol.plane or protocol.scanning not in scanning:
        return False
    if protocol.acquisition not in values(header, "MRAcquisitionType"):
        return False
    echo, repetition = times_ms(header)
    measured = (number(header, "SliceThickness"), echo, repetition)
    ranges = (protocol.slice_mm, protocol.echo_ms, protocol.repetition_ms)
    flip = number(header, "FlipAngle")
    return all(_within(value, range_) for value, range_ in zip(measured, ranges, strict=True)) and any(
        _within(flip, range_) for range_ in protocol.flips_deg
    )


def _within(value: float | None, bounds: tuple[float, float]) -> bool:
    return value is not None and bounds[0] <= value <= bounds[1]


def _from_field_of_view(geometry: Mapping[str, Fact]) -> Iterator[Evidence]:
    """A tall, narrow sagittal block is how a spine is scanned: narrower than a head, taller than a knee."""
    width, coverage = geometry["width_mm"].value, geometry["coverage_mm"].value
    if geometry["plane"].value != "sagittal" or not isinstance(width, float) or not isinstance(coverage, float):
        return
    if 0 < width <= _NARROW_MM and coverage >= _TALL_MM:
        told = f"a sagittal block {width:.0f} mm wide and {coverage:.0f} mm tall"
        yield Evidence("spine", 2, "field of view", told)


def _spine_region(points: Mapping[str, int], told: Mapping[str, str], geometry: Mapping[str, Fact]) -> Fact:
    """Return the part of the spine with most points; of equal ones the one that shows more of the cord."""
    found = {region: points[region] for region in SPINE_REGIONS if points.get(region, 0) > 0}
    if not found:
        return Fact(None, "nothing speaks for the spine")
    named = {region: count for region, count in found.items() if region != "spine"} or found
    best = max(named, key=lambda region: named[region])
    coverage = geometry["coverage_mm"].value
    if best == "lumbar" and isinstance(coverage, float) and coverage >= _REACHES_THORAX_MM:
        return Fact("thoracic", f"{told[best]}; but {coverage:.0f} mm from feet to head reach the thoracic spine")
    return Fact(best, told[best])


def _cord_in_view(spine_region: Fact) -> Fact:
    if spine_region.value is None:
        return Fact(None, spine_region.evidence)
    return Fact(spine_region.value in CORD_REGIONS, f"{spine_region.value}: {spine_region.evidence}")


def _region(
    points: Mapping[str, int], spine: int, others: Mapping[str, int], rival: str, facts: Mapping[str, Fact]
) -> Fact:
    if not spine and not rival:
        return Fact(None, "nothing in the header names a region")
    if spine >= others.get(rival, 0):
        return Fact("spine", facts["spine_score"].evidence)
    return Fact(rival, facts["spine_margin"].evidence)
