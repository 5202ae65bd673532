"""dicom-ai work: a worker process of a node whose parts run apart."""

from pathlib import Path

import click

from dicom_ai.cli._process import begin, config_option, leave, stop_event


@click.command(name="work")
@click.option("--queue", type=click.Choice(["gpu", "io"]), required=True, help="gpu: models. io: route, report, send.")
@config_option
def command(queue: str, config: Path | None) -> None:
    """Take work from one queue until SIGTERM or SIGINT."""
    from dicom_ai.node import WorkPart, open_part, run_until

    stop = stop_event()
    app = open_part(begin(config))
    part = WorkPart(app, [queue])
    part.start()
    app.note_process("started", f"work-{queue}")
    in_time = run_until(part, stop)
    app.note_process("stopped", f"work-{queue}")
    app.close()
    leave(in_time=in_time)
