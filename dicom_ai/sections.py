"""What a table of the settings file is made of, and the tables of neighbours and of watching: alarms, audit ..."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import ErrorDetails

from dicom_ai.domain.output import Output
from dicom_ai.domain.verdict import USUAL, Thresholds, Verdict

Seconds = Annotated[float, Field(gt=0)]
Hours = Annotated[float, Field(ge=0)]
OptionalPath = Annotated[Path | None, BeforeValidator(lambda value: value or None)]  # "" is how TOML says none
Count = Annotated[int, Field(ge=0)]
OptionalCount = Annotated[Count | None, BeforeValidator(lambda value: None if value == "" else value)]
Port = Annotated[int, Field(ge=0, le=65535)]
AE_TITLE = r"^[\x21-\x5b\x5d-\x7e]([\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?$"  # PS3.5 6.2, VR AE


def _ae_title(value: str) -> str:
    if not re.fullmatch(AE_TITLE, value):
        raise ValueError(f"{value!r} is no AE title: 1 to 16 letters of ASCII, no backslash")
    return value


AeTitle = Annotated[str, AfterValidator(_ae_title)]


class Section(BaseModel):
    """A table of the settings file: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Peer(Section):
    """Who may connect. Without any, every association is rejected."""

    ae_title: AeTitle = Field(description="AE title the peer calls from.")
    addresses: tuple[str, ...] = Field(
        default=(), description='IP addresses, networks ("10.0.0.0/24") or host names it may come from; none: any.'
    )


class DestinationSettings(Section):
    """Where results go. Rules name destinations by name."""

    name: str = Field(min_length=1, max_length=128, description="Name that rules use.")
    kind: Literal["c_store", "stow_rs", "folder"] = Field(description="How results get there.")
    parameters: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="What that kind needs; docs/reference/destinations.md lists it."
    )
    outputs: tuple[Output, ...] = Field(
        default=(Output.SEG, Output.SR),
        description="Forms in which results go there: seg, labelmap, soft_seg, xray_seg, sr, pdf, picture, "
        "rejection_note; docs/reference/destinations.md says what each is, and what goes where it is refused.",
    )
    largest_mb: float = Field(
        default=0,
        ge=0,
        description="Largest object in megabytes; of a larger one the next best form goes there. 0: no limit.",
    )
    most_per_hour: OptionalCount = Field(
        default=None, description="Objects sent there within an hour, at most; 0: no limit; empty: as [brakes] says."
    )


class Neighbours(Section):
    """Whom the node exchanges objects with: where results go, and who may send images."""

    destinations: tuple[DestinationSettings, ...] = ()
    peers: tuple[Peer, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Neighbours":
        refuse_same_names(self.destinations)
        return self

    @property
    def ae_titles(self) -> tuple[str, ...]:
        """The AE titles of the peers, each once."""
        return tuple(dict.fromkeys(peer.ae_title for peer in self.peers))

    @property
    def each_peer(self) -> tuple[Peer, ...]:
        """The peers, each AE title once: where the file names it more than once, with all its addresses."""
        return tuple(self._merged(title) for title in self.ae_titles)

    def destination(self, name: str) -> DestinationSettings | None:
        """Return a destination by name; None where there is none."""
        return next((item for item in self.destinations if item.name == name), None)

    def peer(self, ae_title: str) -> Peer | None:
        """Return a peer by AE title, as each_peer has it; None where there is none."""
        return next((peer for peer in self.each_peer if peer.ae_title == ae_title), None)

    def _merged(self, ae_title: str) -> Peer:
        found = [item.addresses for item in self.peers if item.ae_title == ae_title]
        addresses = dict.fromkeys(address for one in found for address in one) if all(found) else ()
        return Peer(ae_title=ae_title, addresses=tuple(addresses))


def complaint(error: ErrorDetails) -> str:
    """Return what is wrong with a value, without what the library puts before our own words."""
    return error["msg"].removeprefix("Value error, ")


def refuse_same_names(destinations: Sequence[DestinationSettings]) -> None:
    """Raise ValueError where two destinations have the same name."""
    names = [destination.name for destination in destinations]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two destinations are named {name!r}")


class Alarms(Section):
    """When a person is told, by e-mail, webhook and syslog. A limit of 0 switches its alarm off; docs/runbook.md."""

    every_s: Seconds = Field(default=60, description="How often the node looks at itself.")
    repeat_h: Hours = Field(
        default=24, description="An alarm that nobody acknowledged is told again after so many hours; 0: never."
    )
    peer_silent_h: Hours = Field(
        default=3, description="A peer sent nothing for so many hours in which it usually sends."
    )
    rule_idle_days: int = Field(
        default=5, ge=0, description="A rule that is on took nothing for so many working days, Monday to Friday."
    )
    result_overdue_h: Hours = Field(
        default=4, description="A study that a rule took has no result so many hours after its last image."
    )
    spine_missed_percent: float = Field(
        default=50, ge=0, le=100, description="More than so many of the last day's spine studies were taken by no rule."
    )
    queue_age_h: Hours = Field(default=1, description="Work waits so many hours for a worker.")
    destination_down_h: Hours = Field(default=0.5, description="A destination has taken nothing for so many hours.")
    held_h: Hours = Field(default=12, description="A result waits so many hours for a person.")
    paused_h: Hours = Field(default=24, description="Sending is paused for so many hours.")


class ConfirmationSettings(Section):
    """Whether a destination has what it took: storage commitment, else C-FIND or QIDO-RS."""

    report_wait_s: Seconds = Field(
        default=600,
        description="A report of storage commitment may take so long before the archive is asked by C-FIND.",
    )
    give_up_h: Hours = Field(
        default=24,
        description="An object that a destination took is looked for there for so many hours, and as often as fits "
        "into that time.",
    )


class PriorSettings(Section):
    """The earlier report of the same patient that CSA per level is compared with; off while archive is empty."""

    archive: str = Field(
        default="",
        description="Destination (c_store or stow_rs) that is asked for earlier reports of this node; empty: none is.",
    )
    retrieve: Literal["auto", "c_get", "c_move"] = Field(
        default="auto",
        description='How it is fetched from a c_store archive: "c_get", "c_move" (the archive must know this node\'s '
        'AE title), or "auto": C-GET where it is offered, else C-MOVE.',
    )
    limit_s: Seconds = Field(
        default=20, description="A report waits so long for the archive, then goes without a comparison, and says so."
    )


class Email(Section):
    """E-mail for alarms; off while host is empty."""

    host: str = Field(default="", description="SMTP server; empty for no e-mail.")
    port: Port = Field(default=587, description="Its port.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description='"starttls", "tls" from the first byte (port 465), or "none".'
    )
    user: str = Field(default="", description="User, where the server wants one.")
    password: str = Field(
        default="", repr=False, description="Password; better as environment variable DICOM_AI_EMAIL__PASSWORD."
    )
    sender: str = Field(default="dicom-ai@localhost", description="Address that alarms come from.")
    recipients: tuple[str, ...] = Field(default=(), description="Addresses that alarms go to.")


class Webhook(Section):
    """A POST of JSON for alarms; off while url is empty."""

    url: str = Field(default="", description="http:// or https:// URL; empty for none.")
    authorization: str = Field(default="", repr=False, description='Header Authorization, such as "Bearer ...".')


class SyslogServer(Section):
    """A server that takes syslog (RFC 5424); none while url is empty."""

    url: str = Field(
        default="", description='"udp://host:514", "tcp://host:601", "tls://host:6514" or "unix:///dev/log".'
    )
    authorities: OptionalPath = Field(
        default=None, description="PEM file of authorities of a tls:// server; empty: those of the system."
    )
    certificate: OptionalPath = Field(default=None, description="PEM file of our certificate, where it wants one.")
    key: OptionalPath = Field(default=None, description="PEM file with its private key.")


class SyslogSettings(SyslogServer):
    """Syslog (RFC 5424) for alarms; off while url is empty."""


class AuditSettings(SyslogServer):
    """The audit trail as DICOM audit messages (PS3.15 A.5), by syslog, into a file, or both; off while none."""

    file: OptionalPath = Field(default=None, description="File that gets a message a line; empty for none.")
    rotate: Literal["day", "size"] = Field(
        default="day", description="A new file begins each day (UTC), or when one is larger than largest_mb."
    )
    largest_mb: float = Field(default=100, gt=0, description="See rotate.")
    every_s: Seconds = Field(default=10, description="How often what is new is written and sent.")


class Findings(Section):
    """From where on a finding is in doubt: then it is reported with a warning, or held until a person has looked."""

    missing_level: Verdict = Field(
        default=USUAL.missing_level,
        description='Findings by level when a level between two found ones is left out: "report", "warn" or "hold".',
    )
    repeated_level: Verdict = Field(
        default=USUAL.repeated_level, description="The same when a level occurs twice, or levels are out of order."
    )
    body_part: Verdict = Field(
        default=USUAL.body_part,
        description="The same when no level that was found belongs to the part of the spine that the header names.",
    )
    area_warn_mm2: tuple[float, float] = Field(
        default=USUAL.area_warn_mm2,
        description="A mean CSA outside of these gets a warning; healthy adults have 38 to 101 in the neck.",
    )
    area_hold_mm2: tuple[float, float] = Field(
        default=USUAL.area_hold_mm2, description="A mean CSA outside of these is held."
    )
    jump_warn_percent: float = Field(
        gt=0,
        default=USUAL.jump_warn_percent,
        description="A CSA that changes by more than this from one slice to the next is reported with a warning.",
    )
    jump_hold_percent: float = Field(
        gt=0, default=USUAL.jump_hold_percent, description="One that changes by more than this is held."
    )

    @property
    def thresholds(self) -> Thresholds:
        """The same for the analysis."""
        return Thresholds(**{name: getattr(self, name) for name in type(self).model_fields})


class OidcSettings(Section):
    """Log-in by the site's identity provider (OpenID Connect); off while issuer is empty. docs/administration.md."""

    issuer: str = Field(
        default="",
        description='The provider as it calls itself: "https://idp.example/realms/main"; empty for none.',
    )
    client_id: str = Field(default="", description="What the provider calls this node.")
    client_secret: str = Field(
        default="",
        repr=False,
        description="Its secret, where it has one; better as environment variable DICOM_AI_OIDC__CLIENT_SECRET.",
    )
    address: str = Field(
        default="",
        description="The pages as browsers reach them, https://node.example/; the provider must allow "
        "login/provider/back below it.",
    )
    words: str = Field(default="the hospital's account", description='What the log-in page says after "Log in with".')
    scopes: tuple[str, ...] = Field(default=("openid", "profile"), description="What the provider is asked to tell.")
    name_claim: str = Field(default="preferred_username", description="The claim that names the account.")
    role_claim: str = Field(
        default="groups",
        description='The claim whose values give a role; "realm_access.roles" looks into an object.',
    )
    viewers: tuple[str, ...] = Field(default=(), description="Values of that claim that make a viewer.")
    operators: tuple[str, ...] = Field(default=(), description="Values that make an operator.")
    administrators: tuple[str, ...] = Field(default=(), description="Values that make an administrator.")
    authorities: OptionalPath = Field(
        default=None, description="PEM file of authorities of the provider's certificate; empty: those of the system."
    )

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        """Role -> the values that stand for it, the highest role last."""
        return {"viewer": self.viewers, "operator": self.operators, "administrator": self.administrators}

    @model_validator(mode="after")
    def _is_whole(self) -> "OidcSettings":
        if not self.issuer:
            return self
        for name in ("issuer", "address"):
            if not is_safe(getattr(self, name)):
                raise ValueError(f"oidc.{name} must be an address by https:// (http:// only on this machine)")
        if not self.client_id or not any(self.roles.values()):
            raise ValueError("oidc needs client_id, and a value for at least one of viewers, operators, administrators")
        return self


def is_safe(address: str) -> bool:
    """Say whether an address is reached by HTTPS, or on this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost"))
