"""The command line: one module per command, loaded only when it is called.

To add a command: write dicom_ai/cli/<verb>.py with a click command or group named `command`, and name it in COMMANDS.
Exit status: 0 done, 1 refused or failed, 2 misused.
"""

import os
import sys
import threading
from importlib import import_module

import click

from dicom_ai.errors import DicomAiError

COMMANDS: dict[str, str] = {
    "demo": "Run the node, an archive and a synthetic study, and compare the result with the truth.",
    "process": "Analyse DICOM or NIfTI files and folders without a node.",
    "serve": "Run the whole node in one process.",
    "listen": "Run the receiving process.",
    "work": "Run a worker process.",
    "schedule": "Run the clock process.",
    "web": "Run the process of the pages and the API.",
    "users": "List and add accounts of the pages, and set their passwords.",
    "init": "Write the settings of a new node, and say what to type into the PACS.",
    "doctor": "Say whether the node would work, and what its destinations will store.",
    "db": "Create or upgrade the database.",
    "backup": "Write everything the node has into one file.",
    "restore": "Fill an empty node from a backup.",
    "support-bundle": "Write an archive for support, free of patient data.",
    "status": "Say what waits, for whom, and why.",
    "alarms": "List what is wrong, acknowledge it, or try the ways of telling.",
    "confirm": "Say whether destinations have what they took; ask again, or send again.",
    "analyse": "Ask for a study the node has, whatever its age.",
    "pause": "Hold what would be sent: of all, or of one rule, model or destination.",
    "resume": "Send again what a pause held.",
    "destinations": "List, try, add, change and remove where results go.",
    "peers": "List, add, change and remove who may connect.",
    "results": "Decide about what is held, and recall what a model has made.",
    "storage": "Say what is kept, why, and how long the disk will do.",
    "rules": "List, check, export, import and test routing rules.",
    "models": "List and check the models, turn them on and off, compare two versions.",
    "measure": "Measure a spinal cord mask made by anyone.",
    "train": "Train a model.",
    "evaluate": "Measure a model on data with truth.",
    "repeatability": "Measure how far two scans of an unchanged cord lie apart.",
}
"""Command -> one line of help; the module of the same name holds it."""


class _Lazy(click.Group):
    """A group that imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"dicom_ai.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def command_line() -> click.Group:
    """Return the whole command line."""
    return _Lazy(name="dicom-ai", help="A DICOM node that measures the spine and sends SEG and SR back.")


def main() -> None:
    """Run the command line; a product error becomes one line on stderr and exit status 1."""
    try:
        command_line()(standalone_mode=True)
    except DicomAiError as error:
        click.echo(f"dicom-ai: {error}", err=True)
        if threading.active_count() > 1:  # of a node that failed: the exit would wait for them, and nobody restart it
            sys.stdout.flush()
            os._exit(1)
        sys.exit(1)
