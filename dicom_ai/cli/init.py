"""dicom-ai init: the settings of a new node."""

import json
import socket
from pathlib import Path
from typing import Any

import click

from dicom_ai.errors import ConfigError


@click.command(name="init")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default="/etc/dicom-ai/dicom-ai.toml")
@click.option("--ae-title", prompt="AE title of this node", default="DICOM_AI", show_default=True)
@click.option("--port", prompt="Port of this node", default=11112, show_default=True, type=click.IntRange(1, 65535))
@click.option("--pacs-ae-title", prompt="AE title of the PACS")
@click.option("--pacs-host", prompt="Address of the PACS")
@click.option("--pacs-port", prompt="Port of the PACS", default=104, show_default=True, type=click.IntRange(1, 65535))
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of images, results and the database.")
def command(
    file: Path, ae_title: str, port: int, pacs_ae_title: str, pacs_host: str, pacs_port: int, data_dir: Path | None
) -> None:
    """Write a settings file with every key explained, and say what to type into the PACS.

    FILE is /etc/dicom-ai/dicom-ai.toml unless told otherwise; one that is there is never overwritten. The PACS may then
    send to the node, and the node sends its results back to it.
    """
    from dicom_ai.app import refuse_loops
    from dicom_ai.settings import as_toml, parse_settings

    pacs = {"host": pacs_host, "port": pacs_port, "called_ae_title": pacs_ae_title}
    values = {
        "node": {"ae_title": json.dumps(ae_title), "port": str(port)},
        "peers": {"ae_title": json.dumps(pacs_ae_title), "addresses": json.dumps([pacs_host])},
        "destinations": {"name": '"pacs"', "kind": '"c_store"', "parameters": _inline(pacs)},
    }
    if data_dir is not None:
        values["storage"] = {"data_dir": json.dumps(str(data_dir))}
    text = as_toml(values)
    refuse_loops(parse_settings(text, place="these answers"))
    _write(file, text)
    click.echo(f"written: {file}")
    click.echo("Type into the PACS, as a destination it forwards to, and as a sender it takes objects from:")
    click.echo(f"  AE title {ae_title}   host {_address_towards(pacs_host, pacs_port)}   port {port}   TLS no")
    click.echo(f"Then: dicom-ai db upgrade --config {file}; dicom-ai serve --config {file}")
    click.echo(f"and beside it: dicom-ai doctor --wait --config {file}, which says when the first image has come")


def _inline(table: dict[str, Any]) -> str:
    return "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items()) + " }"


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError as error:
        raise ConfigError(f"{file} is there already and stays as it is; name another file, or remove it") from error
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error


def _address_towards(host: str, port: int) -> str:
    """Return the address by which the PACS reaches this machine; its name where that cannot be known."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, port))  # sends nothing: only looks up the way
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()
