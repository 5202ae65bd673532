"""The cord recipe from a pack to a model folder: a training of two steps, its card, and who is scored by it."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra [train] is not installed")
pytest.importorskip("onnxscript", reason="the extra [train] is not installed")

from dicom_ai.domain.image import SourceImage, Volume  # noqa: E402
from dicom_ai.inference.registry import ModelStore  # noqa: E402
from dicom_ai.training import cord_evaluation, softseg  # noqa: E402
from dicom_ai.training.cord_evaluation import Item  # noqa: E402
from dicom_ai.training.data.cases import Case, read_pack, write_pack  # noqa: E402
from dicom_ai.training.data.cord_synthesis import SynthesisConfig  # noqa: E402
from dicom_ai.training.loop import LoopConfig  # noqa: E402
from dicom_ai.training.recipes import EvaluateRequest, Report, TrainRequest  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*treespec:FutureWarning")  # torch warns of itself while it exports


def tube(radius):
    """The share of each voxel of a straight cord along the slices, times 255."""
    across = np.arange(48) - 23.5
    share = np.clip(radius - np.hypot(across[:, None], across[None]) + 0.5, 0, 1)
    return np.broadcast_to(np.rint(255 * share).astype(np.uint8), (48, 48, 48)).copy()


def cases():
    cord, canal = tube(5), tube(8)
    labels = {"tissue": np.where(canal > 127, 8, 3).astype(np.uint8), "cord": cord, "canal": canal}
    yield Case("formula_00", "formula_00", "labels", 1.0, "made here", labels)
    yield Case("unf01_T2w", "unf01", "image", 1.0, "made here", {"image": canal - cord, "cord": cord})


@pytest.fixture(scope="module")
def small():
    """Small samples: the network is the shipped one."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        whole = softseg.CordRecipe
        small = SynthesisConfig(patch=(32, 32, 32))
        patch.setattr(softseg, "CordRecipe", lambda *args, **more: whole(*args, synthesis=small, **more))
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def delivered(small, tmp_path_factory):
    """The folder of models that two steps, the second after a break, make of a pack."""
    out = tmp_path_factory.mktemp("out")
    write_pack(out / softseg.PACK, cases(), about={})
    for steps in (1, 2):
        softseg.train(TrainRequest(out, out, steps=steps, threads=1, workers=0), say=lambda line: None)
    softseg.deliver(out, out / "models")
    return out / "models"


@pytest.mark.parametrize(
    ("held_out", "packed"), [(None, {"unf01"}), (frozenset({"unf01"}), {"errsm30"})], ids=["shipped", "fold"]
)
def test_nobody_who_is_left_out_is_packed(monkeypatch, tmp_path, held_out, packed):
    people = [replace(next(cases()), name=person, person=person) for person in ("unf01", "errsm30")]
    monkeypatch.setattr(softseg, "cord_cases", lambda data: iter(people))

    pack = softseg._packed(TrainRequest(tmp_path, tmp_path, held_out=held_out), say=lambda line: None)

    assert {case.person for case in read_pack(pack)} == packed


def test_the_same_seed_gives_the_same_weights_in_float32(small, tmp_path):
    write_pack(tmp_path / softseg.PACK, cases(), about={})
    recipe = softseg.CordRecipe(tmp_path / softseg.PACK, workers=0)
    exact = LoopConfig(steps=2, threads=1, mixed=False)

    one, two = (softseg.run(recipe, exact, tmp_path / name).averaged for name in ("one", "two"))

    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_model_folder_says_what_it_was_trained_on_and_how(delivered):
    folder = delivered / "spinal-cord"

    rows = json.loads((folder / "training_cases.json").read_text())["cases"]
    facts = json.loads((folder / "training.json").read_text())
    card = (folder / "MODEL_CARD.md").read_text()

    assert [(row["name"], row["person"], row["digest"]) for row in rows] == [
        (case.name, case.person, case.digest) for case in cases()
    ]
    assert (facts["steps"], facts["seed"], facts["loss"]) == (2, 0, "entropy_and_dice")
    assert [run["last_step"] for run in facts["history"]] == [1, 2]
    assert "Not yet measured." in card and "to step 1:" in card


def test_the_delivered_model_is_one_that_the_product_loads(delivered):
    predictor = ModelStore(delivered, device="cpu", threads=1).load("spinal-cord")
    noise = np.random.default_rng(0).normal(size=(32, 32, 32)).astype(np.float32)

    result = predictor.predict(SourceImage("1", "2", Volume(noise, np.eye(4)), ()))

    assert result.soft is not None and result.soft.shape == noise.shape


@pytest.fixture
def two_people(monkeypatch):
    """Images of a person of the training and of another one."""
    truth = Volume((tube(5)[:32, 8:40, 8:40] / 255).astype(np.float32), np.eye(4))

    def items(data):
        for person in ("unf01", "errsm30"):
            image = SourceImage(person, person, truth.with_voxels(1 - truth.voxels), ())
            yield person, partial(Item, "manual mask", f"{person}_T2", person, image, truth)

    monkeypatch.setattr(cord_evaluation, "_items", items)


def evaluated(models, **changes):
    said: list[str] = []
    request = EvaluateRequest(models, models, device="cpu", threads=1, **changes)
    return softseg.evaluate(request, say=said.append), said


def test_whom_the_weights_have_seen_is_refused_in_any_contrast(delivered, two_people):
    report, said = evaluated(delivered)

    assert [(row["person"], row["seen"]) for row in report.rows] == [("errsm30", False)]
    assert "unf01_T2: refused, the weights were trained on unf01" in said
    assert softseg.seen_people(delivered) == {"formula_00", "unf01"}


def test_whom_they_have_seen_is_scored_where_asked_for_and_marked(delivered, two_people):
    report, _ = evaluated(delivered, seen=True)

    assert [(row["person"], row["seen"]) for row in report.rows] == [("unf01", True), ("errsm30", False)]
    assert "of 2 steps" in report.about[0]
    assert report.notes[: len(report.about)] == report.about


def test_a_fold_is_scored_on_its_people_only(delivered, two_people):
    report, _ = evaluated(delivered, only=frozenset({"errsm30"}))

    assert [row["person"] for row in report.rows] == ["errsm30"]


def test_the_card_is_made_of_what_was_measured(delivered):
    folder = delivered / "spinal-cord"
    row = {"group": "manual mask", "image": "errsm30_t2", "person": "errsm30", "seen": False, "found": True}
    row |= {"dice": 0.912, "soft_dice": 0.93, "csa_bias_percent": -2.54, "csa_worst_percent": 8.0, "slices": 51}
    row |= {"hd95_mm": 1.0, "false_voxels": 0, "slices_missed": 0}

    softseg.describe(folder, Report((), (row,), ("one note",)))
    measured = (folder / "MODEL_CARD.md").read_text()
    softseg.describe_folds(
        folder, Report((), (row | {"fold": "without-errsm30"},), ("without-errsm30: w",)), trained="each was trained"
    )
    with_folds = (folder / "MODEL_CARD.md").read_text()

    line = "| errsm30_t2 | no | yes | 0.912 | 0.930 | -2.5 % | 8.0 % | 51 | 1.0 mm | 0 | 0 |"
    assert measured.count(line) == 1 and "- one note" in measured and "never saw him" not in measured
    assert with_folds.count(line) == 2 and "Here\neach was trained." in with_folds
    assert "- without-errsm30: w" in with_folds


def test_means_are_told_by_person_where_there_are_several():
    row = {"group": "manual mask", "image": "a_T2", "person": "a", "seen": False, "found": True, "dice": 0.9}
    other = row | {"image": "b_T2", "person": "b", "dice": 0.8}

    notes = cord_evaluation.summary([row, row, other])

    assert "manual mask, unseen (2 people): mean Dice 0.867 over 3 images, worst 0.800 (b_T2)" in notes
    assert "manual mask, unseen, by person (images): mean Dice a 0.900 (2), b 0.800 (1)" in notes
    assert notes[-1] == "necks with a manual mask: refused 0 of 3; 2 people"
    assert not any("no cord" in note for note in notes)
