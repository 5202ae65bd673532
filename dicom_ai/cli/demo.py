"""`dicom-ai demo`: the whole product on a synthetic study, or on yours."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dicom_ai.demo.compare import ComparedCsa

STEPS = ("write", "start", "receive", "route", "analyse", "report", "send")


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    default="demo-out",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Results.",
)
def command(folder: Path | None, out: Path) -> None:
    """Forward a study to the node by C-STORE and wait for SEG and SR to come back.

    Without FOLDER: a synthetic neck MR study; exit status 0 only if SEG and SR arrived and every CSA is within 5 % of
    the truth. With FOLDER: the DICOM images in it; exit status 0 only if every routed series came back done.
    """
    from dicom_ai.demo.results import read_results, write_overlays
    from dicom_ai.demo.run import run_demo

    result = run_demo(say=_say, out=out, folder=folder)
    results = read_results(result.received, result.sources)
    for path in (*result.received, *write_overlays(results, out)):
        click.echo(f"  {path}")
    for problem in result.problems:
        click.echo(f"dicom-ai demo: {problem}", err=True)
    if result.study is None:
        sys.exit(1 if result.problems or not result.received else 0)
    rows = results.compared(result.study.truth)
    if rows:
        _print(rows, result.names)
    missing = results.missing
    for kind in missing:
        click.echo(f"dicom-ai demo: no {kind} came back", err=True)
    stated = [row for row in rows if row.measured_mm2 is not None]
    good = bool(stated) and all(row.within for row in stated)
    click.echo("Every CSA is within 5 % of the truth." if good else "NOT every CSA is within 5 % of the truth.")
    sys.exit(0 if good and not missing and not result.problems else 1)


def _say(step: str, what: str) -> None:
    click.echo(f"[{STEPS.index(step) + 1}/{len(STEPS)}] {step:<8} {what}")


def _print(rows: "tuple[ComparedCsa, ...]", names: "Mapping[str, str]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title="CSA in the received report", title_justify="left")
    for column in ("series", "site", "CSA"):
        table.add_column(column)
    for column in ("mm2", "truth", "%"):
        table.add_column(column, justify="right")
    for row in rows:
        measured = "-" if row.measured_mm2 is None else f"{row.measured_mm2:.1f}"
        difference = row.difference_percent
        shown = "withheld" if difference is None else f"{difference:+.1f}"
        table.add_row(names[row.series_uid], row.site, row.what, measured, f"{row.true_mm2:.1f}", shown)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
