"""`dicom-ai train MODEL`: train a model, go on with a training, and write its model folder."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dicom_ai.cli._model_options import threads_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dicom_ai.training.recipes import Recipe, TrainRequest


@click.command()
@click.argument("model")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the training data; needed for everything but --mean-of.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("train-out"),
    show_default=True,
    help="Folder of the packed cases, the checkpoint and the curve; a checkpoint in it is gone on from.",
)
@click.option("--config", "net", default="", help="Named configuration of the recipe; default: the shipped one.")
@click.option("--steps", type=click.IntRange(0), default=0, help="Train up to this step; default: the recipe's own.")
@click.option("--minutes", type=click.FloatRange(0), default=0.0, help="Stop after this time, annealed; 0: no limit.")
@click.option("--seed", type=int, default=0, show_default=True)
@threads_option
@click.option("--workers", type=click.IntRange(0), default=1, show_default=True, help="Processes that make samples.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option(
    "--weights",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Model folder whose weights the training starts from.",
)
@click.option(
    "--mean-of",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="Model folder whose weights are averaged with those of the others named so, instead of a training.",
)
@click.option("--ablate", is_flag=True, help="Train small variants instead and print how they compare.")
@click.option(
    "--deliver", type=click.Path(file_okay=False, path_type=Path), help="Folder to write the model folder into."
)
def command(
    model: str,
    data: Path | None,
    out: Path,
    net: str,
    steps: int,
    minutes: float,
    seed: int,
    threads: int,
    workers: int,
    device: str,
    weights: Path | None,
    mean_of: tuple[Path, ...],
    ablate: bool,
    deliver: Path | None,
) -> None:
    """Train MODEL (spinal-cord, spine-mr, spine-xray, spine-xray-synthetic)."""
    from dicom_ai.training.recipes import TrainRequest, recipe

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    chosen = recipe(model)
    if net and net not in chosen.CONFIGS:
        raise click.BadParameter(f"{net!r} is not one of {', '.join(chosen.CONFIGS)}", param_hint="--config")
    if mean_of:
        click.echo(str(_mean(chosen, mean_of, deliver)))
        return
    if data is None:
        raise click.UsageError("--data is missing: the folder of the training data")
    request = TrainRequest(data, out, net, steps, minutes, seed, threads, workers, device, weights)
    if ablate:
        _compare(chosen, request)
        return
    chosen.train(request, say=lambda line: click.echo(line, err=True))
    if deliver is not None:
        click.echo(str(chosen.deliver(out, deliver)))


def _mean(chosen: "Recipe", parts: "Sequence[Path]", deliver: Path | None) -> Path:
    """Write the mean of the weights of several model folders."""
    if not hasattr(chosen, "deliver_mean"):
        raise click.UsageError("this recipe averages no weights")
    if len(parts) < 2 or deliver is None:
        raise click.UsageError("--mean-of is given for each of at least two model folders, with --deliver")
    folder: Path = chosen.deliver_mean(parts, deliver)
    return folder


def _compare(chosen: "Recipe", request: "TrainRequest") -> None:
    if not hasattr(chosen, "ablate"):
        raise click.UsageError("this recipe has no variants to compare")
    report = chosen.ablate(request, say=lambda line: click.echo(line, err=True))
    click.echo("| " + " | ".join(report.columns) + " |")
    click.echo("|" + "---|" * len(report.columns))
    for row in report.rows:
        click.echo("| " + " | ".join(str(row[column]) for column in report.columns) + " |")
    for note in report.notes:
        click.echo(f"\n{note}")
