"""dicom-ai init: the settings of a new node."""

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from dicom_ai.errors import ConfigError

PEM = click.Path(path_type=Path, dir_okay=False, exists=True, resolve_path=True)


@click.command(name="init")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default="/etc/dicom-ai/dicom-ai.toml")
@click.option("--ae-title", prompt="AE title of this node", default="DICOM_AI", show_default=True)
@click.option("--port", prompt="Port of this node", default=11112, show_default=True, type=click.IntRange(1, 65535))
@click.option("--pacs-ae-title", prompt="AE title of the PACS")
@click.option("--pacs-host", prompt="Address of the PACS")
@click.option("--pacs-port", prompt="Port of the PACS", default=104, show_default=True, type=click.IntRange(1, 65535))
@click.option("--results-ae-title", help="AE title of the archive that gets the results; default: the PACS.")
@click.option("--results-host", help="Its address.")
@click.option("--results-port", type=click.IntRange(1, 65535), help="Its port.")
@click.option("--certificate", type=PEM, help="PEM file of the node's certificate: listen with TLS, too.")
@click.option("--key", type=PEM, help="PEM file of its private key.")
@click.option(
    "--authorities", type=PEM, help="PEM file of authorities: every peer must show a certificate they signed."
)
@click.option("--tls-port", default=2762, show_default=True, type=click.IntRange(1, 65535))
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of images, results and the database.")
def command(file: Path, **answers: Any) -> None:
    """Write a settings file with every key explained, and say what to type into the PACS.

    FILE is /etc/dicom-ai/dicom-ai.toml unless told otherwise; one that is there is never overwritten. The PACS may then
    send to the node, and the node sends its results to it, or to the archive that is named.
    """
    from dicom_ai.app import refuse_loops
    from dicom_ai.settings import as_toml, parse_settings

    results = _results(answers)
    text = as_toml(_values(answers, results))
    refuse_loops(parse_settings(text, place="these answers"))
    _write(file, text)
    click.echo(f"written: {file}")
    _print_rows(answers)
    if results["called_ae_title"] != answers["pacs_ae_title"]:
        click.echo(f"{results['called_ae_title']} must know the node as well: as a sender it takes objects from")
    click.echo(f"Then: dicom-ai db upgrade --config {file}; dicom-ai serve --config {file}")
    click.echo(f"and beside it: dicom-ai doctor --wait --config {file}, which says when the first image has come")


def _results(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return where results go: asked for where the PACS was, and the PACS unless told otherwise."""
    source = click.get_current_context().get_parameter_source("pacs_host")
    found = {}
    for name, of_pacs, question in (
        ("host", "pacs_host", "Address of the archive that gets the results"),
        ("port", "pacs_port", "Its port"),
        ("ae_title", "pacs_ae_title", "Its AE title"),
    ):
        found[name] = answers[f"results_{name}"] or answers[of_pacs]
        if answers[f"results_{name}"] is None and source is ParameterSource.PROMPT:
            found[name] = click.prompt(question, default=found[name])
    return {"host": found["host"], "port": found["port"], "called_ae_title": found["ae_title"]}


def _values(answers: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the tables that the answers fill: table -> key -> value as TOML text."""
    values = {
        "node": {"ae_title": json.dumps(answers["ae_title"]), "port": str(answers["port"])},
        "peers": {
            "ae_title": json.dumps(answers["pacs_ae_title"]),
            "addresses": json.dumps([answers["pacs_host"]]),
        },
        "destinations": {"name": '"pacs"', "kind": '"c_store"', "parameters": _inline(results)},
    }
    if answers["data_dir"] is not None:
        values["storage"] = {"data_dir": json.dumps(str(answers["data_dir"]))}
    if answers["certificate"] is not None:
        given = {name: answers[name] for name in ("certificate", "key", "authorities") if answers[name] is not None}
        values["tls"] = {"port": str(answers["tls_port"])} | {
            name: json.dumps(str(path)) for name, path in given.items()
        }
    return values


def _print_rows(answers: Mapping[str, Any]) -> None:
    """Print what the PACS must know of the node."""
    click.echo("Type into the PACS, as a destination it forwards to, and as a sender it takes objects from:")
    row = f"  AE title {answers['ae_title']}   host {_address_towards(answers['pacs_host'], answers['pacs_port'])}"
    click.echo(f"{row}   port {answers['port']}   TLS no")
    if answers["certificate"] is not None:
        click.echo(f"or, better:\n{row}   port {answers['tls_port']}   TLS yes")


def _inline(table: Mapping[str, Any]) -> str:
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
