"""`dicom-ai evaluate MODEL`: score a model on data with truth that its weights have never seen."""

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dicom_ai.cli._model_options import device_option, models_option, threads_option

if TYPE_CHECKING:
    from dicom_ai.training.recipes import Report


@click.command()
@click.argument("model")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of the data with truth.",
)
@models_option
@device_option
@click.option("--runtime", type=click.Choice(["onnx", "torch"]), default="onnx", show_default=True)
@threads_option
@click.option("--seen", is_flag=True, help="Also score cases that the weights were trained on, marked as seen.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "csv_path", type=click.Path(dir_okay=False, path_type=Path), help="Also write a CSV file.")
@click.option("--folds", type=click.IntRange(0), default=0, help="Train so many folds by person first; 0: none.")
@click.option("--minutes", type=click.FloatRange(0), default=0.0, help="Of the training of a fold; 0: the usual time.")
@click.option("--steps", type=click.IntRange(0), default=0, help="Of the training of a fold; 0: the recipe's own.")
@click.option("--config", "net", default="", help="Named configuration that the folds are trained in.")
@click.option(
    "--shipped",
    is_flag=True,
    help="With --folds: score by the weights in --models where they have seen nobody of a fold, and train the others.",
)
@click.option("--sources/--no-sources", default=True, help="Whether each source of data is left out once too.")
@click.option(
    "--start-minutes",
    type=click.FloatRange(0),
    default=0.0,
    help="Train first without anybody who is scored, and let every fold go on from there; 0: every fold from nothing.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("folds-out"),
    show_default=True,
    help="Folder of the folds; what is done in it is gone on from.",
)
@click.option(
    "--every", type=click.IntRange(1), default=1, help="A quick look: every so many slices of whole volumes, no crops."
)
@click.option(
    "--pictures", type=click.Path(file_okay=False, path_type=Path), help="Folder for pictures of what went wrong."
)
@click.option("--card", is_flag=True, help="Write what was measured and MODEL_CARD.md into the model folder.")
def command(
    model: str,
    data: Path,
    models: Path | None,
    device: str,
    runtime: str,
    threads: int,
    seen: bool,
    as_json: bool,
    csv_path: Path | None,
    folds: int,
    minutes: float,
    steps: int,
    net: str,
    shipped: bool,
    sources: bool,
    start_minutes: float,
    out: Path,
    every: int,
    pictures: Path | None,
    card: bool,
) -> None:
    """Score MODEL (spinal-cord, spine-mr, spine-xray, spine-xray-synthetic).

    A case that its weights have seen is refused, or marked with --seen. With --folds the weights that ship are not
    scored: every fold trains its own without the people whom it is scored on; with --shipped only where they saw them.
    """
    from dicom_ai.inference.registry import default_models_folder
    from dicom_ai.training.folds import FoldPlan, described, evaluate_folds
    from dicom_ai.training.recipes import EvaluateRequest, recipe

    folder = models or default_models_folder()
    request = EvaluateRequest(data, folder, device, runtime, threads, seen, every=every, pictures=pictures)
    chosen = recipe(model)
    describe_folds = getattr(chosen, "describe_folds", None)
    if folds and card and describe_folds is None:
        raise click.UsageError("the card of this recipe describes the shipped weights; --folds scores others")

    def say(line: str) -> None:
        click.echo(line, err=True)

    if folds:
        plan = FoldPlan(folds, out, minutes, steps, net, start_minutes=start_minutes, sources=sources, shipped=shipped)
        report = evaluate_folds(chosen, request, plan, say=say)
        if card and describe_folds is not None:
            describe_folds(folder / model, report, trained=described(plan, request))
    else:
        report = chosen.evaluate(request, say=say)
        if card:
            chosen.describe(folder / model, report)
    if csv_path is not None:
        csv_path.write_text(_csv(report), encoding="utf-8")
    if as_json:
        click.echo(json.dumps({"rows": report.rows, "notes": report.notes}, indent=2))
        return
    _print(report)


def _csv(report: "Report") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, report.columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(report.rows)
    return text.getvalue()


def _print(report: "Report") -> None:
    cells = [[_cell(row.get(column)) for column in report.columns] for row in report.rows]
    widths = [max(len(column), *(len(row[i]) for row in cells)) for i, column in enumerate(report.columns)]
    for line in [list(report.columns), *cells]:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    for note in report.notes:
        click.echo(note)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
