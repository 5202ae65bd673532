"""The manifests in the documentation are manifests."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from dicom_ai.inference.manifest import InputSpec, read_manifest
from dicom_ai.inference.registry import FAMILIES
from dicom_ai.inference.segmentation import Options, read_options

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = (DOCS / "reference" / "model-toml.md").read_text(encoding="utf-8")


def first_toml(text: str) -> str:
    match = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert match
    return match.group(1)


def test_the_reference_example_is_read_with_every_key(tmp_path):
    folder = tmp_path / "example"
    folder.mkdir()
    text = first_toml(REFERENCE)
    (folder / "model.toml").write_text(text, encoding="utf-8")

    manifest = read_manifest(folder)

    assert manifest.input.orientation == "SPL"
    assert set(manifest.options) == {field.name for field in fields(Options)}
    assert read_options(manifest).overlap == 0.5
    assert [output.value for output in manifest.outputs] == [1, 2, 3]


@pytest.mark.parametrize("key", [field.name for field in fields(InputSpec)])
def test_every_input_key_is_in_the_reference(key):
    assert re.search(rf"^{key} = ", first_toml(REFERENCE), re.MULTILINE)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_in_the_reference(family):
    assert family in REFERENCE
