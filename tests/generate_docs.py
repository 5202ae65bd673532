"""Writes the reference pages that are made from the code: `make docs`. tests/test_docs.py fails when one is stale."""

from collections.abc import Callable
from pathlib import Path

import click

from dicom_ai.cli import COMMANDS, command_line
from dicom_ai.measurements.table import measurements_page
from dicom_ai.settings import as_toml
from tests.peers import REPOSITORY


def cli_page() -> str:
    """Return the help of every command as Markdown."""
    group = command_line()
    context = click.Context(group, info_name="dicom-ai")
    lines = ["# Commands", "", "Made by `make docs` from the commands themselves.", ""]
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None, name
        lines += _sections(command, click.Context(command, info_name=f"dicom-ai {name}"))
    return "\n".join(lines)


def _sections(command: click.Command, context: click.Context) -> list[str]:
    context.terminal_width = context.max_content_width = 110
    lines = [f"## {context.info_name}", "", "```", command.get_help(context), "```", ""]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                lines += _sections(inner, click.Context(inner, info_name=f"{context.info_name} {name}"))
    return lines


PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/cli.md": cli_page,
    "docs/measurements.md": measurements_page,
    "config/dicom-ai.toml": as_toml,
}
"""Page -> what makes it."""


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        Path(REPOSITORY / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
