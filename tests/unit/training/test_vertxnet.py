"""Two steps of training, the model folder that comes of it, and both runtimes on it."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch

from dicom_ai.domain.image import Radiograph, SourceFrame, SourceImage
from dicom_ai.errors import ConfigError
from dicom_ai.inference.maskrcnn import ROLES
from dicom_ai.inference.registry import ModelStore
from dicom_ai.training import loop, vertxnet, vertxnet_card, vertxnet_evaluation, vertxnet_synthetic
from dicom_ai.training.data.xray_cases import Film, read_packed, write_films
from dicom_ai.training.data.xray_synthesis import TARGETS
from dicom_ai.training.recipes import Report, TrainRequest
from dicom_ai.training.vertxnet import NetRecipe, deliver, new_detector, prepare, train_detector, train_unet, unet_loss
from dicom_ai.training.vertxnet_evaluation import Comparison, Remembering, evaluate_films, report_of, summary

LEVELS = ("C2", "C3", "C4", "C5")


def film() -> Film:
    pixels = np.random.default_rng(0).integers(0, 255, (400, 200)).astype(np.uint8)
    tops = [60 + 60 * place for place in range(len(LEVELS))]
    corners = [[(80, top), (130, top), (130, top + 45), (80, top + 45)] for top in tops]
    return Film("lateral_01", "made up", pixels, LEVELS, np.array(corners, np.float32))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    write_films(out / vertxnet.PACK, [film()])
    recipe = NetRecipe(out / vertxnet.PACK, batch=1, workers=0)
    train_unet(recipe, loop.LoopConfig(steps=2, threads=1, mixed=False), out)
    train_detector(recipe, loop.LoopConfig(steps=1, threads=1, mixed=False), out)
    for folder in (out, out / vertxnet.DETECTOR):
        settings = json.dumps({"net": "compact", "batch": 1, "seed": 0})
        (folder / vertxnet.SETTINGS).write_text(settings, encoding="utf-8")
    return out


@pytest.fixture(scope="module")
def models(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter of torch 2.13 calls what torch 2.13 deprecates
        deliver(trained, folder)
    return folder


def test_a_batch_has_an_image_and_a_target_per_view(trained):
    image, target = prepare(NetRecipe(trained / vertxnet.PACK, batch=2))(0)

    assert image.shape == (2, 2, 288, 192)
    assert target.shape == (2, len(TARGETS), 288, 192)


def test_a_perfect_answer_costs_next_to_nothing():
    target = torch.zeros(1, len(TARGETS), 32, 32)
    target[:, :, 8:20, 8:20] = 1.0

    assert float(unet_loss(40 * (target - 0.5), target)) < 1e-3
    assert float(unet_loss(-40 * (target - 0.5), target)) > 1.0


def test_training_goes_on_from_its_checkpoint(trained):
    recipe = NetRecipe(trained / vertxnet.PACK, batch=1, workers=0)

    assert train_unet(recipe, loop.LoopConfig(steps=3, threads=1, mixed=False), trained).step == 3


@pytest.mark.parametrize(
    ("role", "shape"),
    [
        ("unet", (1, 2, 288, 192)),
        ("detector", (1, 2, 288, 192)),
        ("detector_box", (3, 64, 7, 7)),
        ("detector_mask", (5, 64, 14, 14)),
    ],
)
def test_both_runtimes_give_the_same_numbers(models, role, shape):
    image = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    answers = []
    for runtime in ("onnx", "torch"):
        networks = ModelStore(models, device="cpu", runtime=runtime, threads=1).load("spine-xray").networks
        runners = dict(zip(("unet", *ROLES), (networks.unet, *networks.detector.parts), strict=True))
        answers.append(runners[role].run(image))

    assert len(answers[0]) == len(answers[1])
    for here, there in zip(*answers, strict=True):
        assert np.abs(here - there).max() < 1e-3


def test_the_detector_starts_from_the_encoder_of_the_unet(trained):
    unet = loop.averaged_weights(trained)
    net = new_detector(NetRecipe(trained / vertxnet.PACK), unet)

    assert torch.equal(net.backbone.body.encoder[2][0].weight, unet["encoder.2.0.weight"])


def test_a_training_goes_on_from_a_model_folder(trained, models, tmp_path):
    recipe = NetRecipe(trained / vertxnet.PACK, batch=1, workers=0)
    config = loop.LoopConfig(steps=0, threads=1)
    unet = train_unet(recipe, config, tmp_path, weights=models / "spine-xray")
    detector = train_detector(recipe, config, tmp_path, weights=models / "spine-xray")

    assert torch.allclose(unet.net.head.weight, loop.averaged_weights(trained)["head.weight"], atol=1e-3)
    wanted = loop.averaged_weights(trained / vertxnet.DETECTOR)["roi_heads.mask_head.1.0.weight"]
    assert torch.allclose(detector.net.roi_heads.mask_head[1][0].weight, wanted, atol=1e-3)


def test_the_card_says_that_the_films_have_no_licence_and_holds_the_scores(models):
    predictor = ModelStore(models, device="cpu", threads=1).load("spine-xray")
    ap = Film("ap_02", "", film().pixels)
    scores = evaluate_films(predictor, [ap], Comparison(systems=("unet",)), say=lambda line: None)
    report = report_of(scores, seen=False)
    vertxnet_card.write_metrics(models / "spine-xray", report, when="2026-01-01")
    vertxnet_card.write_card(models / "spine-xray")

    card = (models / "spine-xray" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "The licence of the training films is not known" in card
    assert "1 AP films" in card


def test_the_card_tells_of_the_folds_and_how_they_were_trained(models, tmp_path):
    folder = tmp_path / "spine-xray"
    shutil.copytree(models / "spine-xray", folder)
    rows = (row() | {"fold": "fold-1"}, row("U-Net alone") | {"fold": "fold-1", "view": "lumbar"})
    report = Report(("fold", "system"), rows, ("by film: ensemble: 1 views",))
    vertxnet.describe_folds(folder, report, trained="every fold trained its own for 24 minutes")

    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Every fold trained its own for 24 minutes." in card
    assert "- by film: ensemble: 1 views" in card
    assert "| fold-1 | ensemble |" in card
    assert "| fold-1 | U-Net alone |" not in card
    assert json.loads((folder / "folds.json").read_text())["rows"][0]["found"] == 5


def test_the_shipped_weights_tell_which_films_they_have_seen(models):
    assert vertxnet.seen_people(models) == {"lateral_01"}


def row(system: str = "ensemble", **changes) -> dict[str, object]:
    counts = {"views": 1, "all right": 0, "bodies": 10, "found": 5, "drawn": 5, "Dice": 0.9, "IoU": 0.8}
    levels = {"right": 3, "wrong": 0, "withheld": 2, "AP films": 2, "AP drawn": 0, "AP levels": 0}
    return {"system": system, "view": "all"} | counts | levels | changes


def test_folds_are_summed_by_system_and_weighted_by_what_was_found():
    lines = summary(
        [row(), row(found=10, drawn=20, Dice=0.6), row("U-Net alone", found=0, drawn=0, Dice=None, IoU=None)]
    )

    assert "ensemble: 2 views" in lines[0]
    assert "recall 0.75 and precision 0.60" in lines[0]
    assert "Dice 0.700" in lines[0]
    assert "6 right, 0 wrong, 4 withheld" in lines[0]
    assert "recall 0.00 and precision unknown at IoU 0.5; levels" in lines[1]


def radiographs(folder):
    """The names of a data folder, without pixels."""
    (folder / "radiographs" / "ap").mkdir(parents=True)
    names = {f"lateral_{number:02d}.png": {} for number in range(1, 6)}
    (folder / "radiographs" / "corners.json").write_text(json.dumps(names), encoding="utf-8")
    for number in range(1, 4):
        (folder / "radiographs" / "ap" / f"ap_{number:02d}.jpg").touch()
    return folder


def test_every_film_is_scored_in_one_fold_that_does_not_train_on_it(tmp_path):
    folds = vertxnet.folds(radiographs(tmp_path), 2)

    assert [fold.scored for fold in folds] == [fold.held_out for fold in folds]
    assert folds[0].scored == {"lateral_01", "lateral_03", "lateral_05", "ap_01", "ap_03"}
    assert folds[1].scored == {"lateral_02", "lateral_04", "ap_02"}


def test_one_fold_holds_nothing_out_and_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="1 folds of 5 lateral films"):
        vertxnet.folds(radiographs(tmp_path), 1)


def test_a_training_is_refused_to_begin_with_weights_that_have_seen_what_is_held_out(models, tmp_path):
    request = TrainRequest(tmp_path, tmp_path, weights=models / "spine-xray", held_out=frozenset({"lateral_01"}))

    with pytest.raises(ConfigError, match="have seen lateral_01"):
        vertxnet.train(request, say=lambda line: None)


def test_both_networks_are_trained_one_after_the_other(trained, tmp_path):
    (tmp_path / vertxnet.PACK).write_bytes((trained / vertxnet.PACK).read_bytes())
    said: list[str] = []

    request = TrainRequest(tmp_path, tmp_path, steps=1, threads=1, workers=0, held_out=frozenset())
    vertxnet.train(request, say=said.append)

    assert [line.partition(",")[0] for line in said] == ["U-Net: step 1", "Mask R-CNN: step 1"]
    assert json.loads((tmp_path / vertxnet.SETTINGS).read_text())["before"] == []


def test_weights_that_go_on_from_others_count_their_steps_too(models, trained, tmp_path):
    (tmp_path / vertxnet.PACK).write_bytes((trained / vertxnet.PACK).read_bytes())
    request = TrainRequest(
        tmp_path, tmp_path, "compact-unet", 1, threads=1, workers=0, weights=models / "spine-xray", held_out=frozenset()
    )
    vertxnet.train(request, say=lambda line: None)

    before = json.loads((models / "spine-xray" / "training.json").read_text())["unet"]["steps"]
    assert vertxnet._facts(tmp_path)["steps"] == before + 1


def test_without_a_real_lateral_film_the_second_variant_trains_on_formulas(tmp_path, monkeypatch):
    monkeypatch.setattr(vertxnet, "PHANTOMS", 1)
    monkeypatch.setattr(vertxnet, "read_films", lambda folder: [film(), Film("ap_01", "", film().pixels)])
    request = TrainRequest(radiographs(tmp_path), tmp_path, "compact-unet", steps=1, threads=1, workers=0)

    vertxnet_synthetic.train(request, say=lambda line: None)

    assert [one.name for one in read_packed(tmp_path / vertxnet.PACK)] == ["ap_01", "phantom_000"]


def test_the_second_variant_says_on_what_it_rests(models, tmp_path):
    folder = tmp_path / vertxnet_synthetic.MODEL
    shutil.copytree(models / "spine-xray", folder)
    facts = json.loads((folder / "training.json").read_text())
    (folder / "training.json").write_text(json.dumps(facts | {"films": ["ap_01", "phantom_000"]}))
    (folder / "metrics.json").unlink(missing_ok=True)
    vertxnet_card.write_manifest(folder, {}, net="compact", patch=(288, 192))
    vertxnet_card.write_card(folder)

    manifest, card = ((folder / name).read_text(encoding="utf-8") for name in ("model.toml", "MODEL_CARD.md"))
    assert 'name = "spine-xray-synthetic"' in manifest
    assert "none stated" not in manifest
    assert "No film without a licence taught these weights" in card
    assert "not measured yet" in card


def test_the_card_of_the_second_variant_begins_with_what_it_finds(models, tmp_path):
    folder = tmp_path / vertxnet_synthetic.MODEL
    shutil.copytree(models / "spine-xray", folder)
    facts = json.loads((folder / "training.json").read_text())
    (folder / "training.json").write_text(json.dumps(facts | {"films": ["ap_01", "phantom_000"]}))
    vertxnet_card.write_metrics(folder, Report(("system", "view"), (row(),)), when="2026-01-01")
    vertxnet_card.write_card(folder)

    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "of 10 bodies in views of real films it finds 5, and gives 3 of these their level, 0 a wrong one." in card
    assert "No shipped rule uses these weights" in card


def test_a_system_does_not_look_again_where_another_has_looked():
    looked = []

    class Looking:
        device, runtime = "CPU", "none"

        def run(self, *inputs):
            looked.append(inputs)
            return inputs

    runner = Remembering(Looking())
    for value in (1.0, 1.0, 2.0):
        assert runner.run(np.full(3, value))[0][0] == value

    assert len(looked) == 2


def test_what_was_missed_is_drawn_and_a_quick_look_cuts_nothing_out(models, tmp_path):
    predictor = ModelStore(models, device="cpu", threads=1).load("spine-xray")
    views = {"full": ("C2", "C5"), "cervical": ("C2", "C4")}
    how = Comparison(systems=("unet",), mirrored=False, cut=False, pictures=tmp_path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vertxnet_evaluation, "VIEWS", views)
        scores = evaluate_films(predictor, [film()], how, say=lambda line: None)

        rows = report_of(scores, seen=False, notes=("quick",)).rows

    assert [row["view"] for row in rows] == ["full", "all"]
    assert scores["unet"].rows[0][1].found == 0
    assert (tmp_path / "lateral_01-full.png").is_file()


def test_a_film_of_noise_gives_a_result_and_not_an_error(models):
    predictor = ModelStore(models, device="cpu", threads=1).load("spine-xray")
    image = Radiograph(film().pixels.astype(np.float32))

    result = predictor.predict(SourceImage("1.2", "1.2.3", image, (SourceFrame("1.2", "1.2.4"),)))

    assert result.labels.shape == (400, 200)
