"""What an administrator sets: one TOML file, overridden by environment variables, read once, frozen.

A key is a field here, with its description; config/dicom-ai.toml is made from them (`dicom-ai serve --print-settings`).
DICOM_AI_NODE__PORT=104 overrides `port` of `[node]`. A key that does not exist is refused with its name.
"""

import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from dicom_ai.errors import ConfigError
from dicom_ai.sections import (
    AeTitle,
    Alarms,
    AuditSettings,
    ConfirmationSettings,
    DestinationSettings,
    Email,
    Findings,
    Neighbours,
    OidcSettings,
    OptionalPath,
    Peer,
    Port,
    PriorSettings,
    Seconds,
    Section,
    SyslogSettings,
    Webhook,
    complaint,
    refuse_same_names,
)

DEFAULT_FILE = Path("/etc/dicom-ai/dicom-ai.toml")
FILE_VARIABLE = "DICOM_AI_CONFIG"
TEST_DATA_VARIABLE = "DICOM_AI_DATA"


class Node(Section):
    """The node on the network."""

    ae_title: AeTitle = Field(default="DICOM_AI", description="AE title of the node, as the PACS calls it.")
    address: str = Field(
        default="0.0.0.0",
        description="Address to listen on. Every interface by default; who may connect is decided by [[peers]].",
    )
    port: Port = Field(default=11112, description="TCP port to listen on without TLS.")
    check_called_ae_title: bool = Field(default=True, description="Reject callers that call another AE title.")
    maximum_associations: int = Field(default=25, ge=1, description="Associations in at once.")


class Tls(Section):
    """TLS for what comes in; off while certificate is empty."""

    port: Port = Field(default=2762, description="TCP port to listen on with TLS.")
    certificate: OptionalPath = Field(
        default=None, description="PEM file with the node's certificate; empty for no TLS."
    )
    key: OptionalPath = Field(default=None, description="PEM file with its private key.")
    authorities: OptionalPath = Field(
        default=None, description="PEM file of authorities: every peer must show a certificate they signed."
    )

    @model_validator(mode="after")
    def _files_go_together(self) -> "Tls":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        if self.authorities is not None and self.certificate is None:
            raise ValueError("authorities without a certificate: nobody would be asked for one, for TLS is off")
        return self


class Storage(Section):
    """Where things are kept."""

    data_dir: Path = Field(
        default=Path("/var/lib/dicom-ai"), description="Folder of images, results and the SQLite file."
    )
    database_url: str = Field(
        default="",
        description='Database; empty: SQLite in data_dir. "postgresql+psycopg://user:password@host/name": PostgreSQL.',
    )
    reserve_bytes: int = Field(
        default=2_000_000_000, ge=0, description="Free disk space below which images are refused (A700), in bytes."
    )


class Timing(Section):
    """How long the node waits before it acts."""

    series_quiet_s: Seconds = Field(
        default=30, description="A series may be analysed when no image came for this long."
    )
    study_quiet_s: Seconds = Field(
        default=600, description="A study may be reported when no image came for this long; a rule may choose less."
    )
    report_limit_s: Seconds = Field(
        default=3600,
        description="A quiet study is reported with what there is (PARTIAL) when its analyses take longer.",
    )
    association_stale_s: Seconds = Field(
        default=180, description="An open association counts as gone when its process has not shown it for this long."
    )
    clock_s: Seconds = Field(default=2, description="How often the clock looks for work that is due.")
    lease_s: Seconds = Field(default=60, description="A worker that has not shown life for this long has lost its job.")
    token_gap_s: Seconds = Field(
        default=10, description="The clock rings again for the same waiting work after this long."
    )
    retry_first_s: Seconds = Field(
        default=30, description="Wait before the second try; it doubles with every further one."
    )
    retry_longest_s: Seconds = Field(default=3600, description="Longest wait between two tries.")
    send_give_up_s: Seconds = Field(
        default=259_200,
        description="A result not delivered after this long is given up (3 days), if it was tried as often as fits "
        "into that time.",
    )
    maximum_attempts: int = Field(
        default=5,
        ge=1,
        description="Tries of an analysis for which there is no memory. What waits for disk, database or a model "
        "folder is tried for as long as it takes.",
    )
    maximum_lost: int = Field(
        default=2, ge=1, description="A job that took its worker down this often is parked as failed."
    )


class Completion(Section):
    """How the node knows that a study is complete before the quiet times of [timing] have passed."""

    archive: str = Field(
        default="",
        description="Destination (c_store or stow_rs) of the PACS that forwards studies; it is asked how many images "
        "each series has. The clocks and time zones of scanners and node must agree. Empty: nobody is asked.",
    )


class Brakes(Section):
    """What keeps a migration or a wrong rule from flooding an archive."""

    max_study_age_days: float = Field(
        default=7,
        ge=0,
        description="Studies older than this by StudyDate when they came are kept and explained, not analysed, unless "
        "dicom-ai analyse asks for them; 0: no limit.",
    )
    rule_rate_factor: float = Field(
        default=3,
        ge=0,
        description="Sending of a rule pauses, and a person is asked, when it takes more series within an hour than so "
        "many times its busiest hour of the 14 days before; 0: never.",
    )
    rule_rate_least: int = Field(
        default=100,
        ge=0,
        description="So few series within an hour never pause a rule; a new rule has only this limit.",
    )
    most_per_hour: int = Field(
        default=1000, ge=0, description="Objects sent to one destination within an hour, at most; 0: no limit."
    )
    most_versions: int = Field(
        default=3, ge=1, description="Reports of one study that leave; a later one is held until a person decides."
    )


class Retention(Section):
    """How long things are kept. Rows, headers and the audit trail stay; nothing that is pending ever goes."""

    unwanted_images_h: float = Field(default=24, ge=0, description="Images that no rule wants, in hours; 0: for ever.")
    analysed_images_days: float = Field(
        default=7, ge=0, description="Analysed images after every result of their study was sent, in days; 0: for ever."
    )
    results_days: float = Field(
        default=90, ge=0, description="Results, in the node's own folder, after they were sent, in days; 0: for ever."
    )


class Timeouts(Section):
    """Timeouts of the wire."""

    acse_s: Seconds = Field(default=10, description="Association negotiation.")
    dimse_s: Seconds = Field(default=120, description="Between two DIMSE messages.")
    network_s: Seconds = Field(default=120, description="A silent association is aborted after this long.")
    connect_s: Seconds = Field(default=10, description="Opening a connection to a destination.")


class Models(Section):
    """What runs the models."""

    directory: OptionalPath = Field(
        default=None, description="Folder of model folders; empty: the models shipped with the node."
    )
    device: str = Field(
        default="auto",
        description='"auto" (a GPU where it works, else the CPU), "cpu", "cuda", "cuda:N" or "require_gpu".',
    )
    device_fallback: bool = Field(
        default=True,
        description="Run a series on the CPU when the memory of the GPU does not suffice, even with smaller patches; "
        'never with device = "require_gpu". The report says so.',
    )
    runtime: Literal["onnx", "torch"] = Field(default="onnx", description="What runs the weights.")
    threads: int = Field(default=0, ge=0, description="CPU threads of a model; 0: all cores.")


class Workers(Section):
    """The worker processes and what wakes them."""

    broker_url: str = Field(
        default="memory://",
        description='Celery broker that carries wake-up tokens: "memory://" in one process, "redis://host/0" apart.',
    )
    gpu_threads: int = Field(
        default=1,
        ge=1,
        description="Analyses at once in one worker of queue gpu, each with models of its own in memory.",
    )
    io_threads: int = Field(
        default=4,
        ge=1,
        description="Threads of a worker of queue io; it has at least two more than there are destinations.",
    )


class Web(Section):
    """The administrator's pages and the API."""

    enabled: bool = Field(
        default=True, description="Serve the pages inside `dicom-ai serve`; dicom-ai web serves them on their own."
    )
    address: str = Field(
        default="127.0.0.1", description="Address to listen on. This machine only by default; docs/administration.md."
    )
    port: Port = Field(default=8787, description="TCP port to listen on.")
    certificate: OptionalPath = Field(
        default=None, description="PEM file of a certificate: pages over HTTPS; empty: HTTP."
    )
    key: OptionalPath = Field(default=None, description="PEM file with its private key.")
    behind_https: bool = Field(
        default=False, description="A proxy on this machine speaks HTTPS: cookies are sent over HTTPS only."
    )
    idle_min: float = Field(default=30, gt=0, description="A browser that was idle for so many minutes is signed out.")
    time_zone: str = Field(
        default="", description='Zone of the times on the pages, as "Europe/Berlin"; empty: the machine\'s.'
    )
    viewer_url: str = Field(
        default="",
        description="Address of an OHIF that sees the archive (https://ohif.example/viewer); pages then link to it.",
    )

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the pages over HTTPS."""
        return self.behind_https or self.certificate is not None


class Rules(Section):
    """Routing rules live in the database; the file only seeds an empty one."""

    seed: OptionalPath = Field(
        default=None,
        description="TOML file that seeds an empty database, every rule in shadow; empty: the shipped rules.",
    )


class Log(Section):
    """The log, on standard error. It carries UIDs and job ids, never a patient's name."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severity that is written."
    )
    format: Literal["json", "console"] = Field(
        default="console", description='"json" for machines, "console" for people.'
    )


class Settings(BaseSettings):
    """All settings. Lists ([[peers]], [[destinations]]) replace the default list as a whole."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="DICOM_AI_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    node: Node = Node()
    tls: Tls = Tls()
    peers: tuple[Peer, ...] = ()
    destinations: tuple[DestinationSettings, ...] = ()
    storage: Storage = Storage()
    timing: Timing = Timing()
    completion: Completion = Completion()
    brakes: Brakes = Brakes()
    findings: Findings = Findings()
    prior: PriorSettings = PriorSettings()
    retention: Retention = Retention()
    timeouts: Timeouts = Timeouts()
    models: Models = Models()
    workers: Workers = Workers()
    web: Web = Web()
    rules: Rules = Rules()
    log: Log = Log()
    confirmation: ConfirmationSettings = ConfirmationSettings()
    alarms: Alarms = Alarms()
    email: Email = Email()
    webhook: Webhook = Webhook()
    syslog: SyslogSettings = SyslogSettings()
    audit: AuditSettings = AuditSettings()
    oidc: OidcSettings = OidcSettings()

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Settings":
        refuse_same_names(self.destinations)
        names = {destination.name for destination in self.destinations}
        if self.completion.archive and self.completion.archive not in names:
            raise ValueError(f"completion.archive: there is no destination {self.completion.archive!r}")
        kinds = {destination.name: destination.kind for destination in self.destinations}
        if self.prior.archive and kinds.get(self.prior.archive) not in ("c_store", "stow_rs"):
            raise ValueError(f"prior.archive: there is no destination {self.prior.archive!r} that can be asked")
        return self

    @property
    def neighbours(self) -> Neighbours:
        """Destinations and peers as the file has them: in force until somebody changes them on a page."""
        return Neighbours(destinations=self.destinations, peers=self.peers)

    def asks_as(self, destinations: Sequence[DestinationSettings]) -> frozenset[str]:
        """Return the AE titles under which the node asks for reports by C-MOVE; none where it never does.

        destinations: those in force, which may be others than the file's.
        """
        if not self.prior.archive:
            return frozenset()
        own = (item.parameters.get("calling_ae_title") for item in destinations if item.name == self.prior.archive)
        return frozenset({self.node.ae_title, *(str(title) for title in own if title)})

    @property
    def database_url(self) -> str:
        """The URL to open: the one that is set, or SQLite in the data folder."""
        return self.storage.database_url or f"sqlite:///{self.storage.data_dir.absolute() / 'dicom-ai.db'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the file, whose content is handed in."""
        return (env_settings, init_settings)


def read_settings(path: Path | None = None) -> Settings:
    """Read the settings file and the environment.

    path: the file; None: the one DICOM_AI_CONFIG names, else /etc/dicom-ai/dicom-ai.toml where it exists.
    Raises ConfigError that names the file, the key, and what is wrong with it.
    """
    path = path or _file_from_environment()
    place = str(path) if path else "settings"
    try:
        return parse_settings(path.read_text(encoding="utf-8") if path else "", place=place)
    except OSError as error:
        raise ConfigError(f"{place}: {error.strerror}") from error


def parse_settings(text: str, *, place: str) -> Settings:
    """Return the settings of a TOML text and the environment. Raises ConfigError that names the place and the key."""
    try:
        content = tomllib.loads(text)
        _refuse_unknown_variables()
        return Settings(**content)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{place}: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{place}: {'; '.join(_complaints(error))}") from error


def as_toml(values: Mapping[str, Mapping[str, str]] = MappingProxyType({})) -> str:
    """Return a settings file with every key, its description and its default, commented out where no value is given.

    values: table -> key -> value as TOML text. One entry of [[peers]] and of [[destinations]] can be given.
    """
    lines = [
        "# Settings of dicom-ai: every key, commented out, with its default. Copy to /etc/dicom-ai/dicom-ai.toml.",
        "# An environment variable goes before this file: DICOM_AI_NODE__PORT=104 sets port of [node].",
    ]
    for name, field in Settings.model_fields.items():
        lines.append("")
        lines += _section_lines(name, field.annotation, values.get(name, {}))
    return "\n".join(lines) + "\n"


_EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "peers": (("ae_title", '"PACS"'), ("addresses", '["192.0.2.10"]')),
    "destinations": (
        ("name", '"pacs"'),
        ("kind", '"c_store"'),
        ("parameters", '{ host = "192.0.2.10", port = 104, called_ae_title = "PACS" }'),
    ),
}


def _section_lines(name: str, annotation: Any, values: Mapping[str, str]) -> Iterator[str]:
    repeated = name in _EXAMPLES
    section: type[Section] = annotation.__args__[0] if repeated else annotation
    yield f"# {(section.__doc__ or '').strip()}"
    header = f"[[{name}]]" if repeated else f"[{name}]"
    yield header if values or not repeated else f"# {header}"
    examples = dict(_EXAMPLES.get(name, ()))
    for key, field in section.model_fields.items():
        yield f"# {field.description}"
        default = f"# {key} = {examples.get(key) or _toml(field.default)}"
        yield f"{key} = {values[key]}" if key in values else default


def _toml(value: Any) -> str:
    if value is None:
        return '""'
    return json.dumps(str(value) if isinstance(value, Path) else value)


def _file_from_environment() -> Path | None:
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _refuse_unknown_variables() -> None:
    """Raise ConfigError for a variable of our prefix that names no setting: pydantic-settings would ignore it."""
    known = {FILE_VARIABLE, TEST_DATA_VARIABLE}
    for name, field in Settings.model_fields.items():
        known.add(f"DICOM_AI_{name}".upper())
        if isinstance(field.annotation, type):
            known |= {f"DICOM_AI_{name}__{key}".upper() for key in field.annotation.model_fields}
    for variable in sorted(os.environ):
        if variable.upper().startswith("DICOM_AI_") and variable.upper() not in known:
            raise ConfigError(f"environment: {variable} names no setting")


def _complaints(error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in detail["loc"]) or "settings"
        yield f"{key}: no such setting" if detail["type"] == "extra_forbidden" else f"{key}: {complaint(detail)}"
