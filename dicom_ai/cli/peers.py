"""dicom-ai peers: who may connect to the node, changed while it runs."""

import json
from pathlib import Path

import click

from dicom_ai.cli._neighbours import changing, in_force, json_option, tell, who_option, why_option
from dicom_ai.cli._process import config_option

_address_option = click.option(
    "--address",
    "addresses",
    multiple=True,
    help="IP address, network (10.0.0.0/24) or host name it may come from; may be repeated. None: any.",
)


@click.group(name="peers")
def command() -> None:
    """List, add, change and remove who may connect; a running node takes it up within seconds."""


@command.command(name="list")
@config_option
@json_option
def list_(config: Path | None, as_json: bool) -> None:
    """List who may connect, and who called lately without being let in."""
    from dicom_ai.cli._pausing import opened
    from dicom_ai.storage import callers

    with opened(config) as app:
        stored = in_force(app)
        with app.database.read() as session:
            strangers = callers.turned_away(session)
    peers = stored.neighbours.each_peer
    if as_json:
        entries = [peer.model_dump(mode="json") for peer in peers]
        rejected = [
            {"ae_title": item.calling_ae_title, "address": item.address, "reason": item.reason} for item in strangers
        ]
        click.echo(json.dumps({"version": stored.version, "peers": entries, "rejected": rejected}, indent=2))
        return
    for peer in peers:
        click.echo(f"{peer.ae_title:<17} from {', '.join(peer.addresses) or 'anywhere'}")
    if not peers:
        click.echo("no peers: every association is rejected")
    for item in strangers:
        click.echo(f"rejected: {item.calling_ae_title or 'no AE title'} from {item.address}: {item.reason}")


@command.command()
@click.argument("ae_title")
@_address_option
@config_option
@who_option
@why_option
def add(ae_title: str, addresses: tuple[str, ...], config: Path | None, who: str, why: str) -> None:
    """Let AE_TITLE connect."""
    from dicom_ai.pipeline import neighbours

    peer = neighbours.peer_from({"ae_title": ae_title, "addresses": addresses})
    with changing(config, who, why) as (app, session, change):
        saved = neighbours.add_peer(session, app.neighbours.home, peer, change)
    tell(saved)


@command.command()
@click.argument("ae_title")
@_address_option
@config_option
@who_option
@why_option
def change(ae_title: str, addresses: tuple[str, ...], config: Path | None, who: str, why: str) -> None:
    """Change where AE_TITLE may come from."""
    from dicom_ai.pipeline import neighbours

    peer = neighbours.peer_from({"ae_title": ae_title, "addresses": addresses})
    with changing(config, who, why) as (app, session, made):
        saved = neighbours.change_peer(session, app.neighbours.home, peer, made)
    tell(saved)


@command.command()
@click.argument("ae_title")
@config_option
@who_option
@why_option
def remove(ae_title: str, config: Path | None, who: str, why: str) -> None:
    """Let AE_TITLE no longer connect; what it has sent stays."""
    from dicom_ai.pipeline import neighbours

    with changing(config, who, why) as (app, session, made):
        saved = neighbours.remove_peer(session, app.neighbours.home, ae_title, made)
    tell(saved)
