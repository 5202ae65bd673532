"""dicom-ai serve: the whole node in one process."""

from pathlib import Path

import click

from dicom_ai.cli._process import begin, config_option, leave, stop_event


@click.command(name="serve")
@config_option
@click.option(
    "--rules-on", is_flag=True, help="Seed a database that is not in use yet with rules that are on, not in shadow."
)
@click.option("--print-settings", is_flag=True, help="Print a settings file with every key commented, and exit.")
def command(config: Path | None, rules_on: bool, print_settings: bool) -> None:
    """Receive, analyse, report and send in one process, until SIGTERM or SIGINT."""
    if print_settings:
        from dicom_ai.settings import as_toml

        click.echo(as_toml(), nl=False)
        return
    from dicom_ai.node import Node, run_until

    stop = stop_event()
    settings = begin(config)
    node = Node(settings, rules_on=rules_on, pages=settings.web.enabled)
    node.start()
    click.echo(node.description)
    leave(in_time=run_until(node, stop))
