"""Options of the commands that run models on data with truth."""

from pathlib import Path

import click

models_option = click.option(
    "--models", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Default: the shipped models."
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or require_gpu."
)
threads_option = click.option("--threads", type=click.IntRange(0), default=0, help="CPU threads; 0: all.")
