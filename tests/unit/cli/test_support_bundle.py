"""A support bundle holds nothing of a patient, wherever in the node that stands."""

import json
import tarfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from click.testing import CliRunner

from dicom_ai.cli import db, support_bundle
from dicom_ai.cli.support_bundle import PARTS, without_secrets
from dicom_ai.storage.tables import Table
from tests.peers import free_port

PLANTED = "DOE^JANE 19551231 PID4711"
WORDS = ("DOE", "JANE", "19551231", "4711", "geheim")


def planted(column: sa.Column[Any]) -> Any:
    """Return patient data for a column that can hold it, else any value."""
    if isinstance(column.type, sa.JSON):
        return {PLANTED: [PLANTED]}
    if isinstance(column.type, sa.String | sa.Text):
        return PLANTED
    if isinstance(column.type, sa.LargeBinary):
        return PLANTED.encode()
    return 1


def plant_everywhere(folder: Path) -> int:
    """Put patient data into every column of every table, and into every folder; return in how many tables."""
    engine = sa.create_engine(f"sqlite:///{folder / 'dicom-ai.db'}")
    tables = Table.metadata.sorted_tables
    with engine.begin() as connection:  # foreign keys are not checked on a plain connection
        for table in tables:
            row = {column.name: planted(column) for column in table.columns}
            connection.execute(sa.insert(table).prefix_with("OR REPLACE"), [row])
    engine.dispose()
    for name in ("received", "results", "analyses", "quarantine"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{PLANTED}.dcm").write_text(PLANTED)
    return len(tables)


def test_patient_data_planted_everywhere_is_nowhere_in_the_bundle(tmp_path: Path) -> None:
    config, bundle = tmp_path / "node.toml", tmp_path / "bundle.tar.gz"
    config.write_text(
        f'[storage]\ndata_dir = "{tmp_path / "data"}"\nreserve_bytes = 0\n'
        '[email]\nhost = "mail"\npassword = "geheim"\n'
        '[webhook]\nurl = "https://user:geheim@chat.example/x"\nauthorization = "Bearer geheim"\n'
        '[[destinations]]\nname = "web"\nkind = "stow_rs"\n'
        'parameters = { url = "https://a:geheim@pacs.example", authorization = "Bearer geheim" }\n'
    )
    CliRunner().invoke(db.command, ["upgrade", "--config", str(config)])
    tables = plant_everywhere(tmp_path / "data")
    result = CliRunner().invoke(support_bundle.command, [str(bundle), "--config", str(config)])
    with tarfile.open(bundle) as archive:
        texts = {Path(name).stem: archive.extractfile(name).read().decode() for name in archive.getnames()}  # type: ignore[union-attr]

    assert (result.exit_code, tables > 20) == (0, True)
    assert [word for word in WORDS for text in (*texts.values(), *texts) if word in text] == []
    assert sorted(texts) == sorted(PARTS)
    assert '"other other": 1' in texts["counts"]


def test_a_database_that_is_not_there_is_an_answer_too(tmp_path: Path) -> None:
    config, bundle = tmp_path / "node.toml", tmp_path / "bundle.tar.gz"
    url = f"postgresql+psycopg://ada:geheim@127.0.0.1:{free_port()}/node"
    config.write_text(f'[storage]\ndata_dir = "{tmp_path / "data"}"\ndatabase_url = "{url}"\n')
    result = CliRunner().invoke(support_bundle.command, [str(bundle), "--config", str(config)])
    with tarfile.open(bundle) as archive:
        said = {
            name: json.loads(archive.extractfile(f"dicom-ai-support/{name}.json").read())  # type: ignore[union-attr]
            for name in ("counts", "duties", "schema")
        }

    assert result.exit_code == 0
    assert said == {name: {"not available": "Unavailable"} for name in said}


def test_secrets_are_hidden_by_name_and_in_urls() -> None:
    found = without_secrets({"password": "x", "a": {"Authorization": "y", "url": "redis://u:p@host/0"}, "port": 1})

    assert found == {
        "password": "(hidden)",
        "a": {"Authorization": "(hidden)", "url": "redis://(hidden)@host/0"},
        "port": 1,
    }
