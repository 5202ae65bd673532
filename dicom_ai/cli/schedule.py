"""dicom-ai schedule: the clock process of a node whose parts run apart."""

from pathlib import Path

import click

from dicom_ai.cli._process import begin, config_option, leave, stop_event


@click.command(name="schedule")
@config_option
def command(config: Path | None) -> None:
    """Look for what is due and ring for it, until SIGTERM or SIGINT."""
    from dicom_ai.node import ClockPart, open_part, run_until

    stop = stop_event()
    app = open_part(begin(config))
    part = ClockPart(app)
    part.start()
    app.note_process("started", "schedule")
    in_time = run_until(part, stop)
    app.note_process("stopped", "schedule")
    app.close()
    leave(in_time=in_time)
