"""The recipe from a pack to a model folder that loads, and its refusals."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from dicom_ai.errors import ConfigError  # noqa: E402
from dicom_ai.inference.registry import ModelStore  # noqa: E402
from dicom_ai.nets.deeplabv3plus import COMPACT_2D, PAPER_2D, DeepLabV3Plus  # noqa: E402
from dicom_ai.nets.fold import folded, give_folded  # noqa: E402
from dicom_ai.training import sshsnet  # noqa: E402
from dicom_ai.training.data.cases import write_pack  # noqa: E402
from dicom_ai.training.data.spine_classes import SCHEMES  # noqa: E402
from dicom_ai.training.recipes import EvaluateRequest, Report, TrainRequest, recipe  # noqa: E402
from dicom_ai.training.spine_evaluation import COLUMNS, HELD_OUT  # noqa: E402

from .test_spine_stages import drawn_case  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("FutureWarning", "DeprecationWarning", "UserWarning")
]
"""The exporter of torch warns of itself."""


@pytest.fixture
def out(tmp_path):
    torch.set_num_threads(1)
    folder = tmp_path / "out"
    folder.mkdir()
    write_pack(folder / sshsnet.PACK, [drawn_case()], about={})
    return folder


PART = {"level": "L5", "dice": 0.9, "surface_mm": 1.0, "hd95_mm": 2.0, "answer": "right"}


def request(out, tmp_path, **changes):
    return TrainRequest(data=tmp_path, out=out, steps=1, threads=1, **changes)


def test_spine_mr_has_this_recipe():
    assert recipe("spine-mr") is sshsnet
    assert sshsnet.CONFIGS[0] == "compact"


def test_a_pack_becomes_a_model_folder_that_loads_and_knows_whom_it_has_seen(out, tmp_path):
    sshsnet.train(request(out, tmp_path), say=lambda line: None)

    folder = sshsnet.deliver(out, tmp_path / "models")

    report = ModelStore(tmp_path / "models", device="cpu", threads=1).check("spine-mr")
    assert report.ok, report.problems
    assert json.loads((folder / "training_cases.json").read_text())["cases"][0]["person"] == "myosegmentum_99"
    assert "Not yet measured" in (folder / "MODEL_CARD.md").read_text()


def test_weights_that_have_seen_a_person_are_not_gone_on_from_without_him(out, tmp_path):
    from dicom_ai.inference.registry import default_models_folder

    shipped = default_models_folder() / "spine-mr"

    with pytest.raises(ConfigError, match="have seen chu_02, who are to be held out"):
        sshsnet.train(request(out, tmp_path, weights=shipped, held_out=frozenset({"chu_02"})), say=lambda line: None)


def test_a_training_that_goes_on_from_shipped_weights_remembers_their_cases(out, tmp_path):
    from dicom_ai.inference.registry import default_models_folder
    from dicom_ai.training.spine_evaluation import seen_cases, seen_people

    shipped = default_models_folder() / "spine-mr"

    sshsnet.train(request(out, tmp_path, weights=shipped), say=lambda line: None)
    before = json.loads((out / sshsnet.RECIPE).read_text())["before"]
    new = [seen_cases(shipped)[0], {"name": "x", "person": "x", "digest": "0", "source": "drawn"}]
    sshsnet.spine_card.write_training(tmp_path, {}, [*before, *new])

    assert before == seen_cases(shipped)
    assert seen_people(tmp_path) == seen_people(shipped) | {"x"}
    assert len(seen_cases(tmp_path)) == len(before) + 1


def test_folded_weights_given_back_to_a_network_with_normalisations_give_the_same_logits():
    torch.manual_seed(0)
    net, other = DeepLabV3Plus(COMPACT_2D), DeepLabV3Plus(COMPACT_2D)
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        net.train()(images)
        wanted = net.eval()(images)
        give_folded(other, folded(net).state_dict(), images)
        found, training = other.eval()(images), other.train()(images)

    assert torch.allclose(found, wanted, atol=1e-3)
    assert float((training - wanted).abs().mean()) < 0.2 * float(wanted.std())  # dropout alone is between them


def test_the_papers_20_classes_are_a_configuration_of_both_branches():
    settings = sshsnet.SETTINGS["paper-20"]

    with torch.device("meta"):
        branch = DeepLabV3Plus(settings.net)

    assert settings.net == PAPER_2D and settings.branches == 2
    assert branch.head.out_channels == len(SCHEMES[settings.scheme].names) == 20
    assert sum(parameter.numel() for parameter in branch.parameters()) == pytest.approx(28.69e6, abs=5e3)


def test_the_papers_20_classes_are_trained_and_not_delivered(out, tmp_path, monkeypatch):
    settings = sshsnet.SETTINGS["paper-20"]
    small = replace(settings, net=replace(COMPACT_2D, classes=20), batches=replace(settings.batches, size=2))
    monkeypatch.setitem(sshsnet.SETTINGS, "paper-20", small)

    sshsnet.train(request(out, tmp_path, config="paper-20"), say=lambda line: None)

    assert len(sshsnet.trained_branches(out)) == 2
    with pytest.raises(ConfigError, match="levels without an anchor"):
        sshsnet.deliver(out, tmp_path / "models")


@pytest.fixture(scope="module")
def two_trainings(tmp_path_factory):
    """Model folders of one step each; the second training goes on from the first and has seen somebody more."""
    torch.set_num_threads(1)
    root, folders = tmp_path_factory.mktemp("mean"), []
    for number, name in enumerate(("myosegmentum_98", "myosegmentum_99")):
        out = root / f"out-{number}"
        out.mkdir()
        write_pack(out / sshsnet.PACK, [drawn_case(name)], about={})
        sshsnet.train(request(out, root, weights=folders[-1] if folders else None), say=lambda line: None)
        folders.append(sshsnet.deliver(out, root / f"models-{number}"))
    return folders


def test_the_mean_of_two_trainings_lies_between_them_and_knows_whom_both_have_seen(two_trainings, tmp_path):
    from dicom_ai.training.spine_evaluation import seen_people

    folder = sshsnet.deliver_mean(two_trainings, tmp_path)

    first, second, mean = (sshsnet._given(one).state_dict()["head.weight"] for one in (*two_trainings, folder))
    assert not torch.equal(first, second)
    torch.testing.assert_close(mean, (first + second) / 2, atol=1e-3, rtol=0)  # stored as float16
    assert seen_people(folder) == {"myosegmentum_98", "myosegmentum_99"}
    assert "the mean of 2 such weights**, of 1 and 2 steps" in (folder / "MODEL_CARD.md").read_text()
    assert ModelStore(tmp_path, device="cpu", threads=1).check("spine-mr").ok


def test_weights_of_two_networks_have_no_mean(two_trainings, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(two_trainings[0], other)
    facts = json.loads((other / "training.json").read_text())
    (other / "training.json").write_text(json.dumps(facts | {"network": {}}))

    with pytest.raises(ConfigError, match="not weights of one network"):
        sshsnet.deliver_mean([*two_trainings, other], tmp_path / "models")


def test_the_second_stage_needs_the_first(out, tmp_path):
    with pytest.raises(ConfigError, match="train the first stage"):
        sshsnet.train(request(out, tmp_path, config="compact-stage2"), say=lambda line: None)


def test_a_model_without_its_training_cases_is_not_evaluated(tmp_path):
    from dicom_ai.training.spine_evaluation import seen_people

    with pytest.raises(ConfigError, match="whom the weights have seen"):
        seen_people(tmp_path)


def test_the_shipped_weights_have_seen_nobody_who_is_held_out():
    from dicom_ai.inference.registry import default_models_folder
    from dicom_ai.training.spine_evaluation import seen_people

    seen = seen_people(default_models_folder() / "spine-mr")

    assert not seen & HELD_OUT
    assert not any(person.startswith("errsm30") for person in seen)


def test_the_card_shows_the_scores_it_is_given(out, tmp_path):
    sshsnet.spine_card.write_training(
        tmp_path,
        {
            "config": "compact",
            "parameters": 1,
            "steps": 1,
            "minutes": 1,
            "settings": {"branches": 1, "batches": {"size": 2}},
        },
        [],
    )
    row = dict.fromkeys(COLUMNS, 0) | {"image": "x", "crop": "", "dice_mean": 0.9, "dice_worst": 0.8, "worst": "L5"}

    sshsnet.describe(tmp_path, Report(COLUMNS, (row | {"surface_mm": None, "hd95_mm": None},), ("a note",)))

    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "| x | no | 0 | 0.900 | 0.800 (L5) | - | - |" in card and "- a note" in card
    assert "Cross-validation" not in card and "th slice" not in card

    quick = row | {"source": "chu", "seen": False, "every": 4, "surface_mm": None, "parts": [PART]}
    sshsnet.describe(tmp_path, Report(COLUMNS, (quick,), ("a quick look",)))

    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "- a note" in card and "with every 4th slice" in card and "- a quick look" in card

    fold = row | {"fold": "fold-1", "source": "chu", "seen": False, "surface_mm": None, "parts": [PART]}
    without = fold | {"fold": "without-chu", "parts": [PART | {"answer": "wrong"}]}
    report = Report(COLUMNS, (fold, without), ("by person: a mean",))
    sshsnet.describe_folds(tmp_path, report, trained="trained in a minute")

    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "whose scores stand above: trained in a minute." in card and "- by person: a mean" in card
    by_person, left_out = card.split("Folds by person:")[1].split("Each source left out once:")
    scores = "| chu | L5 | 1 | 0.900 (0.900, x) | 1.00 mm (1.00, x) | 2.00 mm (2.00, x) |"
    assert f"{scores} 1 | 0 | 0 |" in by_person and f"{scores} 0 | 1 | 0 |" in left_out


def test_a_folded_network_gives_the_same_logits():
    torch.manual_seed(0)
    net = DeepLabV3Plus(COMPACT_2D)
    with torch.no_grad():
        net.train()(torch.randn(2, 3, 64, 64))  # running statistics other than 0 and 1
    net.eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = net(image).numpy()
        after = folded(net)(image).numpy()

    assert np.abs(before - after).max() < 1e-4
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in net.modules())


def test_an_evaluation_without_data_has_no_rows(tmp_path):
    from dicom_ai.inference.registry import default_models_folder

    report = sshsnet.evaluate(EvaluateRequest(tmp_path, default_models_folder(), threads=1), say=lambda line: None)

    assert report.rows == ()
