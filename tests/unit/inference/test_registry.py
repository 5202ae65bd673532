"""The folder of models: one broken model never stops the others."""

import threading

import numpy as np
import pytest

from dicom_ai.errors import ModelError
from dicom_ai.inference import registry
from dicom_ai.inference.registry import FAMILIES, ModelStore, default_models_folder

from .models import bright_ball, model_folder, source, threshold_graph


@pytest.fixture
def folder(tmp_path):
    model_folder(tmp_path / "bright", threshold_graph(50.0), options='activation = "sigmoid"')
    model_folder(tmp_path / "dim", threshold_graph(5.0), options='activation = "sigmoid"')
    return tmp_path


def test_the_models_of_a_folder_are_listed(folder):
    (folder / "notes").mkdir()

    store = ModelStore(folder, device="cpu")

    assert store.names() == ("bright", "dim")
    assert [manifest.name for manifest in store.manifests()] == ["bright", "dim"]


def test_a_folder_that_is_absent_has_no_models(tmp_path):
    assert ModelStore(tmp_path / "none").names() == ()


def test_a_model_is_loaded_once_also_by_many_threads(folder, monkeypatch):
    opened = []
    real = registry.open_runner
    monkeypatch.setattr(registry, "open_runner", lambda path, **rest: opened.append(path) or real(path, **rest))
    store = ModelStore(folder, device="cpu", threads=1)
    found = []
    threads = [threading.Thread(target=lambda: found.append(store.load("bright"))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(opened) == 1
    assert len({id(predictor) for predictor in found}) == 1
    assert len(found) == 8


def test_a_wrong_digest_stops_this_model_only(folder):
    with (folder / "bright" / "weights.onnx").open("ab") as file:
        file.write(b"\0")
    store = ModelStore(folder, device="cpu")

    with pytest.raises(ModelError, match=r"weights\.onnx: SHA-256 is .* where model\.toml names"):
        store.load("bright")

    assert store.load("dim").predict(source(bright_ball())).segments[0].structure.name == "Bright tissue"


def test_a_mended_model_loads_without_a_restart(folder):
    weights = folder / "bright" / "weights.onnx"
    good = weights.read_bytes()
    weights.write_bytes(b"")
    store = ModelStore(folder, device="cpu")
    with pytest.raises(ModelError):
        store.load("bright")

    weights.write_bytes(good)

    assert store.load("bright").manifest.name == "bright"


def test_a_malformed_manifest_stops_this_model_only(folder):
    (folder / "bright" / "model.toml").write_text("name = 1", encoding="utf-8")
    store = ModelStore(folder, device="cpu")

    assert [manifest.name for manifest in store.manifests()] == ["dim"]
    with pytest.raises(ModelError, match=r"bright/model\.toml: input: is missing"):
        store.load("bright")


def test_a_name_outside_the_folder_is_no_model(folder):
    with pytest.raises(ModelError, match=r"no model '\.\./bright'; there is bright, dim"):
        ModelStore(folder).load("../bright")


def test_an_unknown_family_is_named(folder):
    manifest = folder / "bright" / "model.toml"
    manifest.write_text(manifest.read_text().replace('family = "segmentation"', 'family = "detection"'))

    with pytest.raises(ModelError, match="family: 'detection' is not one of segmentation"):
        ModelStore(folder).load("bright")


def test_a_check_says_what_the_model_runs_on(folder):
    report = ModelStore(folder, device="cpu").check("bright")

    assert report.ok
    assert report.device == "CPU"
    assert report.runtime.startswith("ONNX Runtime")
    assert report.size_bytes == (folder / "bright" / "weights.onnx").stat().st_size
    assert report.notes == ("weights: Apache-2.0", "data: none: CC0-1.0")


@pytest.mark.parametrize(
    ("breakage", "problem"),
    [
        (lambda folder: (folder / "weights.onnx").unlink(), "weights cannot be read: No such file"),
        (lambda folder: (folder / "weights.onnx").write_bytes(b"x"), "SHA-256 is"),
        (
            lambda folder: (folder / "MODEL_CARD.md").unlink(),
            "MODEL_CARD.md: no such file; write what the model is for",
        ),
        (lambda folder: (folder / "model.toml").write_text("="), "not valid TOML"),
    ],
)
def test_a_check_names_what_is_wrong(folder, breakage, problem):
    breakage(folder / "bright")

    report = ModelStore(folder, device="cpu").check("bright")

    assert not report.ok
    assert problem in report.problems[0]


def test_a_check_of_bad_options_names_the_key(folder):
    manifest = folder / "bright" / "model.toml"
    manifest.write_text(manifest.read_text() + "colour = 3\n")

    report = ModelStore(folder, device="cpu").check("bright")

    assert "family_options.colour: unknown key" in report.problems[0]


def test_large_weights_are_noted_and_still_serve(folder, monkeypatch):
    monkeypatch.setattr(registry, "SHIPPED_LIMIT_BYTES", 100)

    report = ModelStore(folder, device="cpu").check("bright")

    assert report.ok
    assert "above the" in report.notes[-1]


def test_unknown_settings_are_refused(tmp_path):
    with pytest.raises(ModelError, match="device 'gpu' is not one of"):
        ModelStore(tmp_path, device="gpu")
    with pytest.raises(ModelError, match="runtime 'tensorrt' is not one of"):
        ModelStore(tmp_path, runtime="tensorrt")


def test_predictors_can_be_called_from_several_threads(folder):
    predictor = ModelStore(folder, device="cpu", threads=1).load("bright")
    image = source(bright_ball())
    sizes: list[int] = []
    threads = [
        threading.Thread(target=lambda: sizes.append(int(np.count_nonzero(predictor.predict(image).labels))))
        for _ in range(4)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(sizes)) == 1
    assert len(sizes) == 4


def test_the_default_folder_is_that_of_the_checkout():
    assert default_models_folder().name == "models"
    assert (default_models_folder().parent / "pyproject.toml").is_file()


def test_an_installed_package_finds_its_models_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "__file__", str(tmp_path / "lib" / "dicom_ai" / "inference" / "registry.py"))

    assert default_models_folder().parts[-3:] == ("share", "dicom-ai", "models")


def test_every_family_has_a_line_in_the_table():
    assert set(FAMILIES) >= {"segmentation", "softseg"}


@pytest.mark.parametrize("name", ModelStore(default_models_folder()).names())
def test_a_shipped_model_is_complete_and_small(name):
    report = ModelStore(default_models_folder(), device="cpu").check(name)

    assert report.problems == ()
    assert report.size_bytes <= registry.SHIPPED_LIMIT_BYTES
