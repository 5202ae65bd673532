"""dicom-ai web: the process of the pages and the API."""

from pathlib import Path

import click

from dicom_ai.cli._process import begin, config_option, leave, stop_event


@click.command(name="web")
@config_option
def command(config: Path | None) -> None:
    """Serve the administrator's pages and the API, until SIGTERM or SIGINT."""
    from dicom_ai.app import open_app
    from dicom_ai.node import run_until
    from dicom_ai.storage import schema
    from dicom_ai.web.server import WebPart

    stop = stop_event()
    app = open_app(begin(config))
    schema.require_newest(app.database)
    part = WebPart(app)
    part.start()
    click.echo(f"pages on {part.address}")
    app.note_process("started", "web")
    in_time = run_until(part, stop)
    app.note_process("stopped", "web")
    app.close()
    leave(in_time=in_time)
