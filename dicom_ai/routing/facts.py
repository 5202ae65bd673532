"""What can be said about a series beyond its tags. To add a fact: derive it in a module below, name it in FACTS."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dicom_ai.domain.study import Series
from dicom_ai.routing.anatomy_score import anatomy_facts
from dicom_ai.routing.evidence import Fact
from dicom_ai.routing.geometry import geometry_facts
from dicom_ai.routing.lexicon import SPINE_REGIONS
from dicom_ai.routing.projection import projection_facts
from dicom_ai.routing.sequences import sequence_facts


@dataclass(frozen=True, slots=True)
class FactDefinition:
    """What a rule may ask. vr: how its value compares: "LO" text, "DS" number, "flag" true or false.

    choices: all values that a text may have; empty where they are too many to name.
    """

    vr: str
    meaning: str
    choices: tuple[str, ...] = ()


FACTS: Mapping[str, FactDefinition] = {
    "plane": FactDefinition(
        "LO",
        "axial, sagittal, coronal, oblique, or mixed, from ImageOrientationPatient",
        ("axial", "sagittal", "coronal", "oblique", "mixed"),
    ),
    "slices": FactDefinition("DS", "number of frames with a position, else of objects"),
    "slice_spacing_mm": FactDefinition("DS", "usual distance between slice positions"),
    "gap_ratio": FactDefinition("DS", "largest distance between neighbouring slices over the usual one"),
    "in_plane_spacing_mm": FactDefinition("DS", "larger side of a pixel"),
    "coverage_mm": FactDefinition("DS", "extent from feet to head"),
    "width_mm": FactDefinition("DS", "extent from right to left"),
    "isotropic": FactDefinition("flag", "voxel sides differ by a factor of at most 1.3"),
    "contrast": FactDefinition(
        "LO",
        "T1, T2, T2*, PD, STIR, FLAIR, MT, SWI, MP2RAGE, DWI, TOF or FUNCTIONAL",
        ("T1", "T2", "T2*", "PD", "STIR", "FLAIR", "MT", "SWI", "MP2RAGE", "DWI", "TOF", "FUNCTIONAL"),
    ),
    "contrast_agent": FactDefinition("flag", "made after a contrast agent was given"),
    "diffusion": FactDefinition("flag", "diffusion weighted, or a map made from it"),
    "angiography": FactDefinition("flag", "made to show vessels or flow"),
    "functional": FactDefinition("flag", "functional, perfusion or spectroscopic"),
    "echo_planar": FactDefinition("flag", "read with an echo-planar train"),
    "derived": FactDefinition("flag", "computed from other images: MPR, MIP, subtraction, maps"),
    "phase": FactDefinition("flag", "phase, real or imaginary part, or a field map"),
    "localizer": FactDefinition("flag", "made to plan other series"),
    "screenshot": FactDefinition("flag", "a secondary capture, in colour, or with burned-in text"),
    "view": FactDefinition(
        "LO",
        "of a radiograph: lateral, frontal, oblique, axial, or mixed; two tags must agree",
        ("lateral", "frontal", "oblique", "axial", "mixed"),
    ),
    "region": FactDefinition("LO", "part of the body with most evidence: spine, brain, neck, knee, abdomen, ..."),
    "spine_region": FactDefinition(
        "LO", "cervical, thoracic, lumbar, whole, cord, or spine where the part is not known", SPINE_REGIONS
    ),
    "spine_score": FactDefinition("DS", "points of evidence for the spine"),
    "spine_margin": FactDefinition("DS", "points for the spine minus those for the strongest other region"),
    "cord_in_view": FactDefinition("flag", "the spine region is one in which the cord is to be expected"),
    "brain_score": FactDefinition("DS", "points of evidence for the brain"),
}
"""Name in a rule -> how it compares and what it says."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one series, by the names of FACTS."""

    by_name: Mapping[str, Fact] = field(repr=False)

    def __getitem__(self, name: str) -> Fact:
        return self.by_name[name]


def series_facts(series: Series) -> Facts:
    """Derive every fact about a series from the headers and frames of its instances."""
    geometry = geometry_facts(series)
    facts = {
        **geometry,
        **sequence_facts(series),
        **projection_facts(series),
        **anatomy_facts(series.header, geometry),
    }
    if facts["plane"].value == "mixed":
        facts["localizer"] = Fact(True, f"slices in several planes: {facts['plane'].evidence}")
    return Facts(facts)
