"""dicom-ai listen: the receiving process of a node whose parts run apart."""

from pathlib import Path

import click

from dicom_ai.cli._process import begin, config_option, stop_event


@click.command(name="listen")
@config_option
def command(config: Path | None) -> None:
    """Receive images by C-STORE until SIGTERM or SIGINT; what is in flight is finished first."""
    from dicom_ai.app import open_app, prepare
    from dicom_ai.listener import Listener

    stop = stop_event()
    settings = begin(config)
    app = open_app(settings)
    prepare(app)
    listener = Listener(settings, app.database, app.files, app.neighbours)
    listener.start()
    app.note_process("started", "listen")
    stop.wait()
    listener.stop()
    app.note_process("stopped", "listen")
    app.close()
