"""The input checks that all families share, and what identifies a model."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicom_ai.domain.image import Radiograph, Volume
from dicom_ai.errors import UnsuitableImage
from dicom_ai.inference.manifest import InputSpec, Limits, Manifest, WeightsFile
from dicom_ai.inference.predictor import check_input, reference_of

from .models import bright_ball, source

MR = InputSpec(
    kind="volume",
    modalities=("MR",),
    planes=("axial",),
    in_plane_mm=Limits(None, 1.5),
    slice_spacing_mm=Limits(0.5, 5.0),
    slices=Limits(4, 100),
)


def tilted(degrees: float) -> Volume:
    """Axial slices tilted about the left-right axis."""
    angle = np.deg2rad(degrees)
    affine = np.eye(4)
    affine[:3, 2] = (1, 0, 0)
    affine[:3, 1] = (0, np.cos(angle), np.sin(angle))
    affine[:3, 0] = (0, -np.sin(angle), np.cos(angle))
    affine[3, :] = (0, 0, 0, 1)
    full = np.eye(4)
    full[:3, :3] = affine[:3, :3]
    return Volume(np.zeros((5, 5, 5), np.float32), full)


def suits(spec: InputSpec, modality: str = "MR") -> bool:
    """Whether a model with this input takes 12 axial slices, 3 mm apart, of pixels of 1 mm."""
    try:
        check_input(spec, source(bright_ball()), modality=modality)
    except UnsuitableImage:
        return False
    return True


@pytest.mark.parametrize(
    ("changes", "suitable"),
    [
        ({}, True),
        ({"slices": Limits(12, 12)}, True),
        ({"slices": Limits(13, None)}, False),
        ({"slices": Limits(None, 11)}, False),
        ({"slice_spacing_mm": Limits(3, 3)}, True),
        ({"slice_spacing_mm": Limits(3.1, None)}, False),
        ({"in_plane_mm": Limits(None, 1)}, True),
        ({"in_plane_mm": Limits(1.1, None)}, False),
    ],
)
def test_an_image_suits_up_to_the_limits_and_not_beyond(changes: dict[str, Limits], suitable: bool):
    assert suits(replace(MR, **changes)) == suitable


@pytest.mark.parametrize(("modality", "suitable"), [("MR", True), ("", True), ("CT", False)])
def test_only_a_known_modality_can_be_the_wrong_one(modality: str, suitable: bool):
    assert suits(MR, modality) == suitable


@pytest.mark.parametrize(
    ("spec", "modality", "message"),
    [
        (MR, "CT", "series 1.2.3.4: modality CT where the model takes MR"),
        (replace(MR, planes=("sagittal", "coronal")), "MR", "axial slices where the model takes sagittal, coronal"),
        (replace(MR, slices=Limits(20)), "MR", "12 slices where the model takes at least 20"),
        (replace(MR, in_plane_mm=Limits(0, 0.9)), "MR", "pixels of 1.00 mm where the model takes 0 to 0.9 mm"),
        (
            replace(MR, slice_spacing_mm=Limits(None, 2)),
            "MR",
            "slices 3.00 mm apart where the model takes at most 2 mm",
        ),
        (replace(MR, kind="radiograph"), "MR", "a volume where the model takes a projection image"),
    ],
)
def test_the_reason_of_a_refusal_is_given(spec, modality, message):
    with pytest.raises(UnsuitableImage) as raised:
        check_input(spec, source(bright_ball()), modality=modality)

    assert message in str(raised.value)


def test_a_radiograph_is_not_a_volume():
    with pytest.raises(UnsuitableImage, match="a projection image where the model takes a volume"):
        check_input(MR, source(Radiograph(np.zeros((4, 4), np.float32))), modality="MR")


@pytest.mark.parametrize(
    ("degrees", "plane"),
    [(0, "axial"), (30, "axial"), (45, "oblique"), (60, "coronal"), (-20, "axial"), (180, "axial")],
)
def test_planes_are_named_as_routing_names_them(degrees, plane):
    spec = InputSpec(kind="volume", modalities=("MR",), planes=("sagittal",))

    with pytest.raises(UnsuitableImage, match=f"{plane} slices where the model takes sagittal"):
        check_input(spec, source(tilted(degrees)), modality="MR")


def test_a_model_is_identified_by_the_digest_over_its_weights():
    weights = tuple(WeightsFile(role, Path(role), digit * 64) for role, digit in (("fine", "b"), ("coarse", "a")))
    manifest = Manifest(Path("m"), "m", "1.0", "softseg", "", "", (), MR, (), (), weights)

    reference = reference_of(manifest)

    assert reference.digest == hashlib.sha256(("a" * 64 + "\n" + "b" * 64).encode()).hexdigest()
    assert (reference.name, reference.version, reference.family, reference.device) == ("m", "1.0", "softseg", "CPU")
