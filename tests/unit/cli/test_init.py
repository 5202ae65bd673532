"""dicom-ai init: a settings file from answers or options, and the row for the PACS."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dicom_ai.cli import init
from dicom_ai.errors import ConfigError
from dicom_ai.settings import Settings, read_settings

OPTIONS = ["--ae-title", "SPINE_AI", "--port", "11113", "--pacs-ae-title", "PACS", "--pacs-host", "192.0.2.10"]


def run(file: Path, *arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(init.command, [str(file), *arguments], input=typed, standalone_mode=False)


def test_the_options_are_what_the_node_reads(tmp_path: Path) -> None:
    file = tmp_path / "etc" / "node.toml"
    run(file, *OPTIONS, "--pacs-port", "104", "--data-dir", "/data")
    read = read_settings(file)

    assert (read.node.ae_title, read.node.port, str(read.storage.data_dir)) == ("SPINE_AI", 11113, "/data")
    assert [(peer.ae_title, peer.addresses) for peer in read.peers] == [("PACS", ("192.0.2.10",))]
    (pacs,) = read.destinations
    assert (pacs.name, pacs.kind) == ("pacs", "c_store")
    assert pacs.parameters == {"host": "192.0.2.10", "port": 104, "called_ae_title": "PACS"}


def test_what_was_not_asked_keeps_its_default_and_its_explanation(tmp_path: Path) -> None:
    run(tmp_path / "node.toml", *OPTIONS, "--pacs-port", "104")

    assert read_settings(tmp_path / "node.toml").timing == Settings().timing
    assert "# A series may be analysed when no image came for this long." in (tmp_path / "node.toml").read_text()


def test_it_asks_for_what_it_is_not_told_and_prints_the_row_for_the_pacs(tmp_path: Path) -> None:
    result = run(tmp_path / "node.toml", typed="\n\nPACS\n127.0.0.1\n\n\n\n\n")

    assert "AE title DICOM_AI   host 127.0.0.1   port 11112   TLS no" in result.output
    assert read_settings(tmp_path / "node.toml").destinations[0].parameters["port"] == 104


def test_it_says_in_words_what_to_do_next(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"

    asked, said = run(file, typed="\n\nPACS\n127.0.0.1\n\n\n\n\n").output.split("written: ")
    assert re.findall(r"^(.*?): ", asked, flags=re.MULTILINE) == [
        "AE title of this node [DICOM_AI]",
        "Port of this node [11112]",
        "AE title of the PACS",
        "Address of the PACS",
        "Port of the PACS [104]",
        "Address of the archive that gets the results [127.0.0.1]",
        "Its port [104]",
        "Its AE title [PACS]",
    ]
    assert said.splitlines() == [
        str(file),
        "Type into the PACS, as a destination it forwards to, and as a sender it takes objects from:",
        "  AE title DICOM_AI   host 127.0.0.1   port 11112   TLS no",
        f"Then: dicom-ai db upgrade --config {file}; dicom-ai serve --config {file}",
        f"and beside it: dicom-ai doctor --wait --config {file}, which says when the first image has come",
    ]


def test_it_asks_where_results_go_where_that_is_another_archive(tmp_path: Path) -> None:
    result = run(tmp_path / "node.toml", typed="\n\nPACS\n192.0.2.10\n\n192.0.2.20\n4242\nVNA\n")
    (destination,) = read_settings(tmp_path / "node.toml").destinations

    assert destination.parameters == {"host": "192.0.2.20", "port": 4242, "called_ae_title": "VNA"}
    assert "VNA must know the node as well: as a sender it takes objects from" in result.output


def test_a_certificate_opens_the_tls_port_and_prints_its_row(tmp_path: Path) -> None:
    for name in ("node.pem", "node.key"):
        (tmp_path / name).write_text("")
    files = ["--certificate", str(tmp_path / "node.pem"), "--key", str(tmp_path / "node.key")]
    result = run(tmp_path / "node.toml", *OPTIONS, "--pacs-port", "104", *files)
    tls = read_settings(tmp_path / "node.toml").tls

    assert (tls.port, tls.certificate, tls.key) == (2762, tmp_path / "node.pem", tmp_path / "node.key")
    rows = result.output.splitlines()[2:5]
    assert [row.partition("   host ")[0] for row in rows] == [
        "  AE title SPINE_AI",
        "or, better:",
        "  AE title SPINE_AI",
    ]
    assert [rows[0].endswith("port 11113   TLS no"), rows[2].endswith("port 2762   TLS yes")] == [True, True]


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text("mine")
    error = run(tmp_path / "node.toml", *OPTIONS, "--pacs-port", "104").exception

    assert isinstance(error, ConfigError)
    assert str(error).endswith("node.toml is there already and stays as it is; name another file, or remove it")
    assert (tmp_path / "node.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["--ae-title", "FAR_TOO_LONG_AN_AE_TITLE"],
            "these answers: node.ae_title: 'FAR_TOO_LONG_AN_AE_TITLE' is no AE",
        ),
        (["--pacs-host", "127.0.0.1", "--pacs-port", "11113"], "is this node itself"),
    ],
)
def test_answers_that_no_node_would_start_with_write_nothing(
    tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    error = run(tmp_path / "node.toml", *OPTIONS, "--pacs-port", "104", *arguments).exception

    assert isinstance(error, ConfigError)
    assert complaint in str(error)
    assert not (tmp_path / "node.toml").exists()
