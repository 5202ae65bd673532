"""model.toml is read strictly: what is wrong is named with its file and its key."""

from pathlib import Path

import pytest

from dicom_ai.domain.findings import StructureKind
from dicom_ai.errors import ModelError
from dicom_ai.inference.manifest import Limits, read_manifest

FULL = """
name = "cord"
version = "2.1"
family = "softseg"
description = "Finds the cord"
licence = "Apache-2.0"
measurements = ["spinal_cord_csa"]
longest_run_s = 120

[[data]]
name = "spine-generic"
licence = "CC-BY-4.0"
source = "https://example.org"

[input]
modalities = ["MR"]
planes = ["axial", "sagittal"]
orientation = "SPL"
spacing_mm = [1, 1.0, 1.0]
patch = [64, 96, 96]
in_plane_mm = { max = 1.5 }
slice_spacing_mm = { min = 0.5, max = 8 }
slices = { min = 4, max = 400 }
normalisation = "percentile_zscore"
percentiles = [1, 99]

[thresholds]
found = 0.4
mask = 0.6

[[outputs]]
value = 1
kind = "spinal_cord"
name = "Spinal cord"

[[outputs]]
value = 2
kind = "vertebra"
level = "C2"
name = "C2 vertebra"

[[weights]]
file = "weights.onnx"
role = "fine"
sha256 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

[family_options]
coarse_mm = 2.0
"""


def read(tmp_path: Path, text: str):
    folder = tmp_path / "cord"
    folder.mkdir()
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return read_manifest(folder)


def test_every_key_arrives(tmp_path):
    manifest = read(tmp_path, FULL)

    assert (manifest.name, manifest.version, manifest.family) == ("cord", "2.1", "softseg")
    assert (manifest.licence, manifest.data[0].licence) == ("Apache-2.0", "CC-BY-4.0")
    assert manifest.input.orientation == "SPL"
    assert manifest.input.spacing_mm == (1.0, 1.0, 1.0)
    assert manifest.input.patch == (64, 96, 96)
    assert manifest.input.in_plane_mm == Limits(None, 1.5)
    assert manifest.input.slices == Limits(4, 400)
    assert manifest.input.percentiles == (1.0, 99.0)
    assert (manifest.found_threshold, manifest.mask_threshold, manifest.longest_run_s) == (0.4, 0.6, 120.0)
    assert manifest.outputs[1].structure.kind is StructureKind.VERTEBRA
    assert manifest.outputs[1].structure.level == "C2"
    assert manifest.weights_of("fine").path == tmp_path / "cord" / "weights.onnx"
    assert manifest.weights_of("fine").sha256 == "a" * 64
    assert dict(manifest.options) == {"coarse_mm": 2.0}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version", "verzion", "version: is missing"),
        ('version = "2.1"', "version = 2.1", "version: 2.1 is not a text"),
        ('version = "2.1"', 'version = " "', "version: is blank"),
        ('name = "cord"', 'name = "spine"', "name: 'spine' is not the name of its folder, 'cord'"),
        ("longest_run_s = 120", "longest_run_s = true", "longest_run_s: True is not a number"),
        ("longest_run_s = 120", "longest_run_s = 0", "longest_run_s: 0 must be at least 1"),
        ("longest_run_s = 120", "colour = 1", "colour: unknown key"),
        (
            '"spinal_cord_csa"',
            '"spinal_cord_cas"',
            "measurements: 'spinal_cord_cas' is not one of spinal_cord_csa, vertebrae",
        ),
        ('modalities = ["MR"]', "modalities = []", "input.modalities: must name at least one"),
        ('modalities = ["MR"]', "modalities = [1]", "input.modalities: 1 does not belong in a list of texts"),
        ('"axial", "sagittal"', '"axial", "saggital"', "input.planes: 'saggital' is not one of axial"),
        ('"SPL"', '"SPP"', "input.orientation: 'SPP' is not one letter each"),
        ('"SPL"', '"SPLA"', "input.orientation: 'SPLA'"),
        ('"SPL"', '"XYZ"', "input.orientation: 'XYZ'"),
        ("[64, 96, 96]", "[64, 96]", "input.patch: 2 values where a volume has 3 axes"),
        ("[64, 96, 96]", "[64, 96, 0]", "input.patch: 0 must be at least 1"),
        ("[1, 1.0, 1.0]", "[1, 1.0, -1.0]", "input.spacing_mm: -1.0 must be at least 0"),
        ("max = 1.5", "maximum = 1.5", "input.in_plane_mm.maximum: unknown key"),
        ("min = 4, max = 400", "min = 4, max = 3", "input.slices: min 4 is above max 3"),
        ("[1, 99]", "[99, 1]", "input.percentiles: must be two rising numbers"),
        ('normalisation = "percentile_zscore"', 'normalisation = "z"', "input.normalisation: 'z' is not one of"),
        ("found = 0.4", "found = 1.4", "thresholds.found: 1.4 must be at least 0.0 and at most 1.0"),
        ("value = 2", "value = 1", "outputs: must hold at least one segment, each with a value of its own"),
        ('kind = "vertebra"', 'kind = "other"', 'outputs[2].code: is needed where kind is "other"'),
        ('level = "C2"', 'code = ["1"]', "outputs[2].code: must be [value, coding scheme, meaning]"),
        (
            '"weights.onnx"',
            '"../weights.onnx"',
            "weights[1].file: '../weights.onnx' must lie in the model's own folder",
        ),
        ("AAAA", "AAA", "weights[1].sha256: must be 64 hexadecimal digits"),
        ("[[data]]", "[data]", "data: {"),
        ("[thresholds]", "[thresholds", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, message):
    assert old in FULL

    with pytest.raises(ModelError) as raised:
        read(tmp_path, FULL.replace(old, new, 1))

    assert message in str(raised.value)
    assert str(tmp_path / "cord" / "model.toml") in str(raised.value)


def test_a_folder_without_a_manifest_says_so(tmp_path):
    with pytest.raises(ModelError, match=r"model\.toml: no such file"):
        read_manifest(tmp_path)


def test_an_unknown_role_is_named(tmp_path):
    manifest = read(tmp_path, FULL)

    with pytest.raises(ModelError, match="none has the role 'coarse'"):
        manifest.weights_of("coarse")


def test_family_options_are_read_strictly_by_the_family(tmp_path):
    table = read(tmp_path, FULL).options_table()

    with pytest.raises(ModelError, match=r"family_options\.coarse_mm: unknown key"):
        table.done()


@pytest.mark.parametrize(
    ("limits", "text", "inside", "outside"),
    [
        (Limits(1, 2), "1 to 2", 1.0, 2.1),
        (Limits(None, 2), "at most 2", -5.0, 3.0),
        (Limits(1, None), "at least 1", 1e9, 0.5),
    ],
)
def test_limits_hold_what_they_say(limits, text, inside, outside):
    assert str(limits) == text
    assert limits.contains(inside)
    assert not limits.contains(outside)


def test_a_limit_forgives_rounding():
    assert Limits(None, 1.5).contains(1.5 + 1e-9)
