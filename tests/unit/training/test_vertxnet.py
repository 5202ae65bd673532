"""Two steps of training, the model folder that comes of it, and both runtimes on it."""

import json
import warnings

import numpy as np
import pytest
import torch

from dicom_ai.domain.image import Radiograph, SourceFrame, SourceImage
from dicom_ai.inference.maskrcnn import ROLES
from dicom_ai.inference.registry import ModelStore
from dicom_ai.training import loop, vertxnet, vertxnet_card
from dicom_ai.training.data.xray_cases import Film, write_films
from dicom_ai.training.data.xray_synthesis import TARGETS
from dicom_ai.training.vertxnet import NetRecipe, deliver, new_detector, prepare, train_detector, train_unet, unet_loss
from dicom_ai.training.vertxnet_evaluation import evaluate_films, report_of

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
    report = report_of({"unet": evaluate_films(predictor, [Film("ap_02", "", film().pixels)])}, seen=False)
    vertxnet_card.write_metrics(models / "spine-xray", report, when="2026-01-01")
    vertxnet_card.write_card(models / "spine-xray")

    card = (models / "spine-xray" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "The licence of the training films is not known" in card
    assert "AP films, U-Net alone: 1" in card


def test_a_film_of_noise_gives_a_result_and_not_an_error(models):
    predictor = ModelStore(models, device="cpu", threads=1).load("spine-xray")
    image = Radiograph(film().pixels.astype(np.float32))

    result = predictor.predict(SourceImage("1.2", "1.2.3", image, (SourceFrame("1.2", "1.2.4"),)))

    assert result.labels.shape == (400, 200)
