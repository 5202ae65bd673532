"""`dicom-ai process`: analyse files and folders without a node."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dicom_ai.analysis.batch import Row

COLUMNS = ("study_uid", "series_uid", "rule", "model", "state", "reason", "outputs")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for what is written."
)
@click.option("--model", default=None, help="Run this model on every series, whatever the rules say.")
@click.option(
    "--rules",
    "rules_file",
    default=None,
    type=click.Path(exists=True, path_type=Path),
    help="Rules to use instead of the shipped ones.",
)
@click.option(
    "--models", "models_folder", default=None, type=click.Path(exists=True, path_type=Path), help="Folder of models."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, or require_gpu.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per series and rule instead of a table.")
def command(
    paths: tuple[Path, ...],
    out: Path,
    model: str | None,
    rules_file: Path | None,
    models_folder: Path | None,
    device: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Analyse DICOM (or NIfTI) files and folders; write SEG, SR, findings.json, overlays and CSV under --out.

    Prints one row per series and rule. Exit status: 0 when nothing failed, 1 when something did, 2 on misuse.
    """
    from dicom_ai.analysis.batch import Batch
    from dicom_ai.cli._progress import Progress
    from dicom_ai.inference.registry import ModelStore, default_models_folder
    from dicom_ai.routing.shipped import read_rules

    store = ModelStore(models_folder or default_models_folder(), device=device)
    if model is not None:
        known = [manifest.name for manifest in store.manifests()]
        if model not in known:
            raise click.UsageError(f"no model {model!r}; there are {', '.join(known) or 'none'}")
    with Progress() as progress:
        rules = None if model else read_rules(rules_file)
        batch = Batch(store, out, rules=rules, model=model, progress=progress.show)
        rows = batch.run(paths)
    if as_json:
        for row in rows:
            click.echo(json.dumps(asdict(row)))
    else:
        _print_table(rows, out)
    sys.exit(1 if any(row.state == "failed" for row in rows) else 0)


def _print_table(rows: "tuple[Row, ...]", out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("series", "rule", "model", "state", "reason", "outputs"):
        table.add_column(column, overflow="fold")
    for row in rows:
        names = "\n".join(str(Path(path).relative_to(out)) for path in row.outputs)
        table.add_row(_short(row.series_uid), row.rule, row.model, row.state, row.reason, names)
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    console.print(f"findings: {out / 'findings.json'}", highlight=False)


def _short(uid: str) -> str:
    return uid if len(uid) <= 20 else f"…{uid[-16:]}"
