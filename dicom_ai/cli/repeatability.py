"""`dicom-ai repeatability MODEL`: how far two scans of an unchanged cord lie apart."""

from pathlib import Path

import click

from dicom_ai.cli._model_options import device_option, models_option, threads_option


@click.command()
@click.argument("model")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of the data with truth; its unseen neck is scanned again beside the formula necks.",
)
@models_option
@device_option
@threads_option
@click.option(
    "--state", is_flag=True, help="Write repeatability.json and the figure in model.toml of the model folder."
)
def command(model: str, data: Path, models: Path | None, device: str, threads: int, state: bool) -> None:
    """Measure MODEL (spinal-cord) on necks that are scanned again and again, each time placed anew, with other noise.

    A change since an earlier examination that is no larger than the stated figure reads "within measurement error".
    """
    from dicom_ai.inference.registry import default_models_folder
    from dicom_ai.training import cord_repeatability
    from dicom_ai.training.recipes import EvaluateRequest

    folder = models or default_models_folder()
    request = EvaluateRequest(data, folder, device, threads=threads)
    measured = cord_repeatability.measure(request, model=model, say=lambda line: click.echo(line, err=True))
    for name, one in measured["groups"].items():
        click.echo(f"{name}: {one['csa_mm2']:.1f} mm2 ({one['pairs']} pairs)")
    stated = measured["stated"]
    click.echo(f"stated: {stated['csa_mm2']:.1f} mm2, the widest")
    if state:
        cord_repeatability.state(folder / model, measured)
