"""Parameters of destinations: what is missing or unknown is named."""

import pytest

from dicom_ai.destinations import DESTINATIONS, c_store, folder, stow_rs
from dicom_ai.domain.destination import Destination
from dicom_ai.errors import ConfigError
from tests.peers import REPOSITORY

COMPLETE = {
    "c_store": {"host": "127.0.0.1", "port": 104, "called_ae_title": "PACS"},
    "stow_rs": {"url": "https://pacs.example/dicom-web"},
    "folder": {"folder": "/nowhere"},
}

MODULES = {"c_store": c_store, "stow_rs": stow_rs, "folder": folder}


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind in COMPLETE for key in COMPLETE[kind]])
def test_a_missing_parameter_is_named(kind: str, key: str):
    parameters = {name: value for name, value in COMPLETE[kind].items() if name != key}

    with pytest.raises(ConfigError, match=f"destination x: parameter {key} is missing"):
        DESTINATIONS[kind]([], Destination("x", kind, parameters))


@pytest.mark.parametrize("kind", COMPLETE)
def test_an_unknown_parameter_is_named(kind: str):
    with pytest.raises(ConfigError, match="no parameter colour"):
        DESTINATIONS[kind]([], Destination("x", kind, {**COMPLETE[kind], "colour": "red"}))


def test_a_url_that_is_no_url_is_refused():
    with pytest.raises(ConfigError, match="neither http nor https"):
        DESTINATIONS["stow_rs"]([], Destination("x", "stow_rs", {"url": "pacs.example"}))


@pytest.mark.parametrize("kind", DESTINATIONS)
def test_the_conformance_statement_names_every_kind(kind: str):
    assert f"`{kind}`" in (REPOSITORY / "docs" / "conformance.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "parameter"),
    [(kind, name) for kind, module in MODULES.items() for name in sorted(module.PARAMETERS)],
)
def test_the_reference_names_every_parameter(kind: str, parameter: str):
    page = (REPOSITORY / "docs" / "reference" / "destinations.md").read_text(encoding="utf-8")

    section = page.split(f"## `{kind}`")[1].split("\n## ")[0]

    assert f"`{parameter}`" in section
