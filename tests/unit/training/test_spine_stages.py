"""Both stages of the spine recipe on a drawn case: they learn, go on, and know partial truth."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from dicom_ai.nets.deeplabv3plus import COMPACT_2D, DeepLabV3Plus  # noqa: E402
from dicom_ai.training.data.cases import Case  # noqa: E402
from dicom_ai.training.data.spine_batches import COLUMNS, ROWS, BatchSettings, SpineBatches  # noqa: E402
from dicom_ai.training.data.spine_cases import VOLUME  # noqa: E402
from dicom_ai.training.data.spine_classes import (  # noqa: E402
    ABOVE,
    ALLOWED,
    BACKGROUND,
    BELOW,
    CLASSES,
    DISC,
    REST,
    UNKNOWN,
    VERTEBRA,
    allowed_table,
)
from dicom_ai.training.spine_losses import (  # noqa: E402
    box_mask,
    cross_pseudo_loss,
    partial_loss,
    set_cross_entropy,
    set_dice_loss,
)
from dicom_ai.training.spine_stage1 import Stage1Settings, train_stage1  # noqa: E402
from dicom_ai.training.spine_stage2 import Stage2Settings, draw, first_stage, train_stage2  # noqa: E402

ALLOWED_TABLE = torch.from_numpy(allowed_table())


@pytest.fixture(autouse=True)
def one_thread():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def drawn_case(name="myosegmentum_99"):
    """Three bright bodies and two grey discs in noise, 12 slices."""
    rng = np.random.default_rng(0)
    codes = np.full((12, 160, 120), REST, np.uint8)
    image = rng.normal(50, 5, codes.shape)
    for place in range(3):
        top = 20 + place * 40
        codes[2:-2, top : top + 28, 40:72] = VERTEBRA
        image[2:-2, top : top + 28, 40:72] = 180
        if place < 2:
            codes[2:-2, top + 28 : top + 40, 42:70] = DISC
            image[2:-2, top + 28 : top + 40, 42:70] = 110
    return Case(name, name, VOLUME, 1.0, "drawn", {"image": image.clip(0, 255).astype(np.uint8), "codes": codes})


def certain(values, shape=(1, 8, 8)):
    return torch.full(shape, values, dtype=torch.long)


def sure_of(value):
    logits = torch.zeros(1, len(CLASSES), 8, 8)
    logits[:, value] = 30.0
    return logits


def test_every_code_allows_background_but_the_certain_ones():
    assert all(BACKGROUND in ALLOWED[code] for code in (REST, BELOW, ABOVE, UNKNOWN))
    assert VERTEBRA not in ALLOWED[BELOW] and VERTEBRA in ALLOWED[ABOVE]


def test_certain_truth_gives_the_plain_cross_entropy():
    logits = torch.randn(2, len(CLASSES), 8, 8)
    truth = torch.randint(0, len(CLASSES), (2, 8, 8))

    own = set_cross_entropy(logits, truth, ALLOWED_TABLE)

    torch.testing.assert_close(own, torch.nn.functional.cross_entropy(logits, truth))


@pytest.mark.parametrize("value", range(len(CLASSES)))
def test_what_is_unknown_costs_nothing_whatever_is_said(value):
    assert float(partial_loss(sure_of(value), certain(UNKNOWN), ALLOWED_TABLE)) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(("code", "value", "free"), [(REST, 5, True), (REST, VERTEBRA, False), (BELOW, 4, True)])
def test_a_class_that_is_possible_costs_nothing_and_another_does(code, value, free):
    cost = float(set_cross_entropy(sure_of(value), certain(code), ALLOWED_TABLE))

    assert (cost < 1e-4) == free


def test_dice_of_a_perfect_answer_is_one():
    truth = certain(VERTEBRA)
    truth[:, 4:] = DISC
    logits = torch.nn.functional.one_hot(truth, len(CLASSES)).movedim(-1, 1) * 30.0

    assert float(set_dice_loss(logits, truth, ALLOWED_TABLE)) == pytest.approx(0, abs=1e-3)


def test_cross_pseudo_loss_teaches_one_branch_only():
    own, other = (torch.randn(2, len(CLASSES), 8, 8, requires_grad=True) for _ in range(2))

    cross_pseudo_loss(own, other).backward()

    assert own.grad is not None and other.grad is None


def test_cutmix_boxes_cover_up_to_half():
    mask = box_mask((16, 96, 64), 3, torch.Generator().manual_seed(1))

    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert 0.1 < float(mask.mean()) < 0.5


def test_batches_of_one_seed_are_equal_and_have_the_patch_size():
    settings = BatchSettings(size=2, shares={"myosegmentum": 1.0})
    first, again = (SpineBatches([drawn_case()], settings, seed=3).draw(torch.device("cpu")) for _ in range(2))

    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert first[0].shape == (2, 3, ROWS, COLUMNS) and first[1].shape == (2, ROWS, COLUMNS)
    assert int(first[1].max()) < len(ALLOWED)


def test_where_a_field_of_view_ends_nothing_is_taught_beyond_it():
    cut, whole = (
        SpineBatches([drawn_case()], BatchSettings(size=8, shares={"myosegmentum": 1.0}, cut=share), seed=5)
        for share in (1.0, 0.0)
    )
    codes = cut.draw(torch.device("cpu"))[1]

    assert (codes == UNKNOWN).flatten(1).any(dim=1).all()
    assert (codes == VERTEBRA).any()
    assert not (whole.draw(torch.device("cpu"))[1] == UNKNOWN).any()


def test_a_slice_too_low_to_be_cut_stays_whole():
    case = drawn_case()
    low = replace(case, arrays={name: array[:, :70] for name, array in case.arrays.items()})
    batches = SpineBatches([low], BatchSettings(size=4, shares={"myosegmentum": 1.0}, cut=1.0), seed=5)

    assert not (batches.draw(torch.device("cpu"))[1] == UNKNOWN).any()


SMALL = Stage1Settings(
    minutes=1e6, steps=2, unlabelled=2, batches=BatchSettings(size=2, shares={"myosegmentum": 1.0}), save_every_s=1e6
)


@pytest.mark.parametrize("branches", [1, 2])
def test_stage_1_trains_and_goes_on_from_its_checkpoint(tmp_path, branches):
    settings = replace(SMALL, branches=branches)
    said = []

    nets = train_stage1([drawn_case()], settings, tmp_path, say=said.append)
    more = train_stage1([drawn_case()], replace(settings, steps=3), tmp_path, say=said.append)

    assert len(nets) == len(more) == branches
    assert torch.load(tmp_path / "stage1.pt", weights_only=True)["step"] == 3
    assert not torch.equal(nets[0].head.weight, more[0].head.weight)


def test_stage_1_learns_a_drawn_column(tmp_path):
    settings = replace(SMALL, branches=1, steps=12, mean_decay=0.5)
    batch = SpineBatches([drawn_case()], settings.batches, seed=99).draw(torch.device("cpu"))

    (net,) = train_stage1([drawn_case()], settings, tmp_path, say=lambda line: None)

    with torch.no_grad():
        after = partial_loss(net(batch[0]), batch[1], ALLOWED_TABLE)
        before = partial_loss(DeepLabV3Plus(COMPACT_2D).eval()(batch[0]), batch[1], ALLOWED_TABLE)
    assert float(after) < 0.97 * float(before)


def test_features_and_scores_of_stage_1_fit_stage_2():
    settings = Stage2Settings(rows=64, columns=48, slices=3, batch=2)
    patch = draw(drawn_case(), settings, np.random.default_rng(0))

    features, scores = first_stage([DeepLabV3Plus(COMPACT_2D).eval()], patch.triplets)

    assert patch.image.shape == (2, 1, 64, 48, 3) and patch.codes.shape == (2, 64, 48, 3)
    assert features.shape == (2, 64, 32, 24, 3) and scores.shape == (2, len(CLASSES), 64, 48, 3)
    assert torch.allclose(scores.sum(dim=1), torch.ones(2, 64, 48, 3), atol=1e-5)


def test_stage_2_trains_and_goes_on_from_its_checkpoint(tmp_path):
    settings = Stage2Settings(rows=32, columns=32, slices=2, batch=2, steps=1)
    branch = DeepLabV3Plus(COMPACT_2D)
    said = []

    train_stage2([drawn_case()], [branch], settings, tmp_path, say=said.append)
    train_stage2([drawn_case()], [branch], replace(settings, steps=2), tmp_path, say=said.append)

    assert [line.split(",")[1] for line in said] == [" step 1", " step 2"]
