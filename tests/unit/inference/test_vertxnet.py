"""The family vertxnet: columns painted on the grid of the model, and a graph that calls what is bright a body."""

import hashlib
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dicom_ai.anatomy.levels import STANDARD
from dicom_ai.domain.findings import StructureKind
from dicom_ai.domain.image import Radiograph
from dicom_ai.errors import ModelError, UnsuitableImage
from dicom_ai.inference import vertxnet
from dicom_ai.inference.manifest import read_manifest
from dicom_ai.inference.registry import ModelStore
from dicom_ai.inference.vertebra_ensemble import Body
from dicom_ai.inference.vertxnet import Column, anterior_side, segmentation_of

from .models import source
from .predictor_contract import PredictorContract

MANIFEST = """
name = "painted"
version = "1.0"
family = "vertxnet"
description = "Reads painted films"
licence = "Apache-2.0"

[input]
kind = "radiograph"
modalities = ["CR", "DX"]
patch = [288, 192]

[[outputs]]
value = 1
kind = "vertebra"
name = "Vertebral body"

[[outputs]]
value = 2
kind = "sacrum"
name = "S1"

[[weights]]
role = "unet"
file = "unet.onnx"
sha256 = "{sha256}"

[[data]]
name = "none"
licence = "CC0-1.0"
{options}
"""

SHAPE = (400, 200)


def threshold_graph() -> onnx.ModelProto:
    """Body and core where the exposure channel is above its middle; nothing else anywhere."""
    steep = np.array([20, 20, 0, 0, 0], np.float32).reshape(1, 5, 1, 1)
    shift = np.array([0, 0, -9, -9, -9], np.float32).reshape(1, 5, 1, 1)
    constants = {"first": np.array([0]), "steep": steep, "shift": shift}
    nodes = [
        helper.make_node("Gather", ["image", "first"], ["exposure"], axis=1),
        helper.make_node("Mul", ["exposure", "steep"], ["scores"]),
        helper.make_node("Add", ["scores", "shift"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "threshold",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 2, 288, 192])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 5, 288, 192])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("models") / "painted"
    place.mkdir()
    onnx.save(threshold_graph(), place / "unet.onnx")
    digest = hashlib.sha256((place / "unet.onnx").read_bytes()).hexdigest()
    (place / "model.toml").write_text(MANIFEST.format(sha256=digest, options=""), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def predictor(folder):
    return ModelStore(folder.parent, device="cpu", threads=1).load("painted")


def film(count: int = 5) -> Radiograph:
    """A straight column of bright squares."""
    pixels = np.zeros(SHAPE, np.float32)
    for top in range(40, 40 + 40 * count, 40):
        pixels[top : top + 30, 110:140] = 1.0
    return Radiograph(pixels)


def body(top: int, height: int = 30) -> Body:
    soft = np.zeros(SHAPE)
    soft[top : top + height, 110:140] = 0.9
    return Body(soft, 0.9, ("unet",))


def column(tops=(60, 100, 140, 180), *, c2=None, s1=None, right=True, heights=None) -> Column:
    """A straight column of bodies of 30 x 30, facing right or left, with reference vertebrae at c2 and s1."""
    sizes = heights or [30] * len(tops)
    front = np.zeros(SHAPE)
    front[:, 125 if right else 0 : 200 if right else 125] = 0.9
    bodies = tuple(body(top, height) for top, height in zip(tops, sizes, strict=True))
    return Column(1.0, bodies, None if c2 is None else body(c2), None if s1 is None else body(s1), front)


BLANK = Radiograph(np.zeros(SHAPE, np.float32))


def levels(found: Column) -> list[str | None]:
    return [vertebra.level for vertebra in segmentation_of(found, BLANK).vertebrae]


class TestContract(PredictorContract):
    @pytest.fixture
    def predictor(self, folder):
        return ModelStore(folder.parent, device="cpu", threads=1).load("painted")

    @pytest.fixture
    def image(self):
        return source(film())


def test_a_film_without_a_column_gives_no_segment(predictor):
    result = predictor.predict(source(film(0)))

    assert result.segments == ()
    assert not result.labels.any()
    assert "no lateral column" in result.notes[0]


def test_squares_are_found_where_they_are(predictor):
    labels = predictor.predict(source(film())).labels

    assert np.mean((labels > 0) == (film().pixels > 0)) > 0.98
    assert labels[55, 125] == 1


def test_an_image_as_small_as_an_icon_is_refused(predictor):
    with pytest.raises(UnsuitableImage, match="64 x 200"):
        predictor.accepts(source(Radiograph(np.zeros((64, 200), np.float32))), modality="DX")


def test_rows_that_run_to_the_head_are_turned_round(predictor):
    turned = Radiograph(np.ascontiguousarray(film(3).pixels[::-1]), None, ("A", "H"))

    found = predictor.predict(source(turned))

    assert np.array_equal(found.labels[::-1], predictor.predict(source(film(3))).labels)


def test_without_a_reference_there_are_no_levels():
    vertebrae = segmentation_of(column(), BLANK).vertebrae

    assert [vertebra.name for vertebra in vertebrae] == ["V1", "V2", "V3", "V4"]
    assert {vertebra.level for vertebra in vertebrae} == {None}


def test_levels_count_from_c2_downwards():
    assert levels(column(c2=20)) == ["C2", "C3", "C4", "C5", "C6"]


def test_levels_count_from_s1_upwards_and_are_qualified():
    found = segmentation_of(column(s1=220), BLANK)

    assert [vertebra.level for vertebra in found.vertebrae] == ["L2", "L3", "L4", "L5", "S1"]
    assert all(vertebra.qualified for vertebra in found.vertebrae[:-1])
    assert found.segments[-1].structure.kind is StructureKind.SACRUM


def test_ends_that_disagree_withhold_what_lies_between():
    assert levels(column(c2=20, s1=220)) == ["C2", None, None, None, None, "S1"]


def test_a_missing_vertebra_leaves_a_gap_and_shifts_nobody():
    assert levels(column((60, 100, 180, 220), c2=20)) == ["C2", "C3", "C4", "C6", "C7"]


def test_levels_stop_where_two_bodies_have_run_together():
    found = levels(column((60, 100, 140, 220), c2=20, heights=[30, 30, 70, 30]))

    assert found == ["C2", "C3", "C4", None, None]


def test_levels_stop_at_a_body_as_tall_as_two_though_it_is_no_larger_than_its_neighbours():
    narrow = np.zeros(SHAPE)
    narrow[132:188, 115:135] = 0.9  # 56 x 20 pixels where the others are 30 x 30
    bodies = (body(55), body(95), Body(narrow, 0.9, ("unet",)), body(195), body(235))

    assert levels(replace(column(c2=15), bodies=bodies)) == ["C2", "C3", "C4", None, None, None]


def test_a_c2_from_which_no_step_is_regular_names_nobody_and_has_no_name():
    assert levels(column((110, 150, 190), c2=15)) == [None] * 4


def test_the_dens_of_c2_makes_its_step_no_gap_and_a_missing_c3_does():
    with_dens = body(25, 68)

    assert levels(replace(column((100, 140, 180)), c2=with_dens)) == ["C2", "C3", "C4", "C5"]
    assert levels(replace(column((140, 180, 220)), c2=with_dens)) == [None] * 4


def spine(count: int = 24, *, joined: int = 0) -> Column:
    """A spine of so many bodies, the first C2 and the last S1; the one at `joined` has run together with the next."""
    row = []
    for place in range(count):
        if place == joined + 1 and joined:
            continue
        soft = np.zeros(SHAPE)
        soft[4 + 16 * place : 4 + 16 * place + (28 if joined and place == joined else 12), 110:124] = 0.9
        row.append(Body(soft, 0.9, ("unet",)))
    return Column(1.0, tuple(row[1:-1]), row[0], row[-1], np.zeros(SHAPE))


def test_a_whole_spine_has_all_its_levels():
    assert levels(spine()) == list(STANDARD[1:])


def test_behind_two_bodies_that_have_run_together_each_end_counts_for_itself():
    found = levels(spine(joined=10))

    assert found[:10] == ["C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2", "T3", "T4"]
    assert found[10] is None
    assert found[11:] == ["T7", "T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1"]


def test_one_body_drawn_too_large_beside_a_gap_does_not_part_the_ends():
    row = list(spine().row)
    for place, width in ((7, 23), (16, 32), (17, 21)):
        soft = np.zeros(SHAPE)
        soft[4 + 16 * place : 16 + 16 * place, 117 - width // 2 : 117 + (width + 1) // 2] = 0.9
        row[place] = Body(soft, 0.9, ("unet",))
    seen = Column(1.0, (*row[1:8], *row[16:-1]), row[0], row[-1], np.zeros(SHAPE))

    assert levels(seen) == [*STANDARD[1:9], *STANDARD[17:]]


def test_ends_that_leave_no_room_for_what_should_lie_between_give_no_level():
    assert set(levels(spine(12, joined=5))) == {None, "S1"}


def test_the_anterior_side_is_read_from_the_image():
    for right, word in ((True, "right"), (False, "left")):
        notes = segmentation_of(column(right=right), BLANK).notes
        assert any(f"anterior is on the {word}, according to the image" in note for note in notes)


def test_image_and_header_that_disagree_withhold_the_side():
    told = replace(BLANK, patient_orientation=("P", "F"))

    assert any("disagree" in note for note in segmentation_of(column(), told).notes)


def test_points_run_backwards_where_the_side_is_known():
    right, left = (segmentation_of(column(right=side), BLANK).vertebrae[0].centroid_mm for side in (True, False))

    assert right == pytest.approx([0.0, -124.5, -74.5])
    assert left == pytest.approx([0.0, 124.5, -74.5])


def test_a_manifest_without_a_patch_is_refused(folder, tmp_path):
    place = tmp_path / "painted"
    place.mkdir()
    text = (folder / "model.toml").read_text(encoding="utf-8").replace("patch = [288, 192]", "")
    (place / "model.toml").write_text(text, encoding="utf-8")

    with pytest.raises(ModelError, match="patch"):
        vertxnet.read_options(read_manifest(place))


def test_where_the_image_is_not_sure_the_header_tells_the_side():
    unsure = replace(column(), front=np.full(SHAPE, 0.5))

    assert anterior_side(unsure, ()).sign == 0
    assert anterior_side(unsure, ("A", "F")).sign == 1


def found_in(predictor, pixels: np.ndarray) -> np.ndarray:
    return predictor.predict(source(Radiograph(np.ascontiguousarray(pixels, np.float32)))).labels


def test_a_film_cropped_to_two_vertebrae_gives_two_without_levels(predictor):
    result = predictor.predict(source(film(2)))

    assert [vertebra.level for vertebra in result.vertebrae] == [None, None]


def test_a_mirrored_film_gives_mirrored_bodies(predictor):
    pixels = film().pixels

    assert np.mean(found_in(predictor, pixels[:, ::-1])[:, ::-1] == found_in(predictor, pixels)) > 0.99


def test_a_film_upside_down_without_a_header_gets_no_level(predictor):
    result = predictor.predict(source(Radiograph(film().pixels[::-1].copy())))

    assert len(result.vertebrae) == 5
    assert {vertebra.level for vertebra in result.vertebrae} == {None}


@pytest.mark.parametrize("largest", [255.0, 4095.0, 65535.0])
def test_the_number_of_bits_changes_nothing(predictor, largest):
    pixels = film().pixels

    assert np.array_equal(found_in(predictor, np.round(largest * pixels)), found_in(predictor, pixels))


def test_collimated_edges_are_no_bodies(predictor):
    wide = np.pad(film().pixels, ((60, 60), (80, 80)))
    labels = found_in(predictor, wide)

    assert labels.max() == 5
    assert not labels[:60].any() and not labels[:, :80].any()


def test_a_stitching_seam_between_two_bodies_joins_none(predictor):
    pixels = film().pixels.copy()
    pixels[113, :] = 1.0  # one bright line across the film, in a disc

    labels = found_in(predictor, pixels)

    assert len({labels[top + 15, 125] for top in range(40, 240, 40)} - {0}) == 5


def test_a_metal_rod_beside_the_column_is_no_vertebra(predictor):
    pixels = film().pixels.copy()
    pixels[30:240, 20:24] = 1.0

    labels = found_in(predictor, pixels)

    assert not labels[:, 20:24].any()


def test_a_photograph_of_a_screen_is_refused(predictor):
    with pytest.raises(UnsuitableImage, match="modality OT"):
        predictor.accepts(source(film()), modality="OT")


def test_a_blank_film_gives_nothing(predictor):
    assert not found_in(predictor, np.full(SHAPE, 7.0)).any()
