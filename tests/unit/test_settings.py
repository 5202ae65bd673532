import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from dicom_ai import settings
from dicom_ai.errors import ConfigError

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "dicom-ai.toml"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(text)
    return path


DEFAULTS = {
    "node.ae_title": "DICOM_AI",
    "node.port": 11112,
    "tls.port": 2762,
    "node.check_called_ae_title": True,
    "node.maximum_associations": 25,
    "timeouts.acse_s": 10,
    "timeouts.connect_s": 10,
    "timeouts.dimse_s": 120,
    "timeouts.network_s": 120,
    "timing.series_quiet_s": 30,
    "timing.study_quiet_s": 600,
    "timing.report_limit_s": 3600,
    "timing.send_give_up_s": 3 * 86_400,
    "timing.maximum_attempts": 5,
    "timing.maximum_lost": 2,
    "brakes.max_study_age_days": 7,
    "brakes.most_per_hour": 1000,
    "brakes.most_versions": 3,
    "brakes.rule_rate_factor": 3,
    "brakes.rule_rate_least": 100,
    "retention.unwanted_images_h": 24,
    "retention.analysed_images_days": 7,
    "retention.results_days": 90,
    "storage.reserve_bytes": 2_000_000_000,
    "confirmation.report_wait_s": 600,
    "confirmation.give_up_h": 24,
    "models.device_fallback": True,
    "alarms.repeat_h": 24,
    "alarms.peer_silent_h": 3,
    "alarms.rule_idle_days": 5,
    "alarms.result_overdue_h": 4,
    "alarms.spine_missed_percent": 50,
    "alarms.queue_age_h": 1,
    "alarms.destination_down_h": 0.5,
    "alarms.held_h": 12,
    "alarms.paused_h": 24,
    "findings.missing_level": "hold",
    "findings.repeated_level": "hold",
    "findings.body_part": "hold",
    "findings.area_warn_mm2": (25.0, 105.0),
    "findings.area_hold_mm2": (10.0, 150.0),
    "findings.jump_warn_percent": 25,
    "findings.jump_hold_percent": 80,
    "web.address": "127.0.0.1",
    "web.port": 8787,
    "workers.broker_url": "memory://",
    "workers.gpu_threads": 1,
    "workers.io_threads": 4,
    "node.address": "0.0.0.0",
    "storage.data_dir": Path("/var/lib/dicom-ai"),
    "storage.database_url": "",
    "timing.association_stale_s": 180,
    "timing.clock_s": 2,
    "timing.lease_s": 60,
    "timing.token_gap_s": 10,
    "timing.retry_first_s": 30,
    "timing.retry_longest_s": 3600,
    "completion.archive": "",
    "prior.archive": "",
    "prior.retrieve": "auto",
    "prior.limit_s": 20,
    "models.directory": None,
    "models.device": "auto",
    "models.runtime": "onnx",
    "models.threads": 0,
    "web.enabled": True,
    "web.behind_https": False,
    "web.idle_min": 30,
    "web.time_zone": "",
    "web.viewer_url": "",
    "rules.seed": None,
    "log.level": "info",
    "log.format": "console",
    "alarms.every_s": 60,
    "email.host": "",
    "email.port": 587,
    "email.security": "starttls",
    "email.user": "",
    "email.password": "",
    "email.sender": "dicom-ai@localhost",
    "email.recipients": (),
    "webhook.url": "",
    "webhook.authorization": "",
    "syslog.url": "",
    "audit.url": "",
    "audit.file": None,
    "audit.rotate": "day",
    "audit.largest_mb": 100,
    "audit.every_s": 10,
    "oidc.issuer": "",
    "oidc.client_id": "",
    "oidc.client_secret": "",
    "oidc.address": "",
    "oidc.words": "the hospital's account",
    "oidc.scopes": ("openid", "profile"),
    "oidc.name_claim": "preferred_username",
    "oidc.role_claim": "groups",
    "oidc.viewers": (),
    "oidc.operators": (),
    "oidc.administrators": (),
}
NO_FILES = {"certificate", "key", "authorities"}
"""Files of TLS, in every section that has them: none."""


def test_every_default_is_asserted_here() -> None:
    sections = settings.Settings()
    keys = {
        f"{name}.{key}"
        for name in type(sections).model_fields
        if not isinstance(section := getattr(sections, name), tuple)
        for key in type(section).model_fields
        if key not in NO_FILES or getattr(section, key) is not None
    }

    assert keys == DEFAULTS.keys()
    assert (sections.peers, sections.destinations) == ((), ())


@pytest.mark.parametrize(("key", "value"), DEFAULTS.items())
def test_what_a_node_does_unless_told(key: str, value: object) -> None:
    section, name = key.split(".")

    assert getattr(getattr(settings.Settings(), section), name) == value


def test_the_shipped_file_is_made_from_the_settings() -> None:
    assert SHIPPED.read_text() == settings.as_toml()


def test_the_shipped_file_changes_nothing() -> None:
    assert settings.read_settings(SHIPPED) == settings.Settings()


def test_every_key_of_the_shipped_file_can_be_used_as_it_stands(tmp_path: Path) -> None:
    text = re.sub(r"^# (?=\[\[|[a-z_]+ = )", "", SHIPPED.read_text(), flags=re.MULTILINE)
    read = settings.read_settings(written(tmp_path, text))

    assert read.peers[0].ae_title == "PACS"
    assert read.destinations[0].parameters["port"] == 104
    assert read.timing == settings.Timing()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[node]\nprot = 1\n", r"node\.prot: no such setting"),
        ("nodes = 1\n", "nodes: no such setting"),
        ("[node]\nport = 70000\n", r"node\.port: .*65535"),
        ("[[peers]]\nae_title = 'FAR TOO LONG A TITLE'\n", r"peers\.0\.ae_title"),
        ("[timing]\nseries_quiet_s = -1\n", r"timing\.series_quiet_s"),
        ("[node\n", "line 1"),
        ("[tls]\ncertificate = 'a.pem'\n", "tls: certificate and key go together"),
        ("[tls]\nauthorities = 'a.pem'\n", "tls: authorities without a certificate"),
        (
            "[[destinations]]\nname='a'\nkind='folder'\n[[destinations]]\nname='a'\nkind='folder'\n",
            "two destinations are named 'a'",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_file_and_the_key(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=rf"node\.toml: .*{complaint}"):
        settings.read_settings(written(tmp_path, text))


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM_AI_NODE__PORT", "104")
    read = settings.read_settings(written(tmp_path, "[node]\nport = 4242\nae_title = 'NODE'\n"))

    assert (read.node.port, read.node.ae_title) == (104, "NODE")


def test_a_misspelt_variable_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM_AI_NODE_PORT", "104")

    with pytest.raises(ConfigError, match="DICOM_AI_NODE_PORT names no setting"):
        settings.read_settings()


def test_the_file_may_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM_AI_CONFIG", str(written(tmp_path, "[node]\nport = 4242\n")))

    assert settings.read_settings().node.port == 4242


def test_a_missing_file_is_an_error() -> None:
    with pytest.raises(ConfigError, match="No such file"):
        settings.read_settings(Path("/no/such/file.toml"))


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings.Settings().node.port = 1


def test_no_peer_is_admitted_by_default() -> None:
    assert settings.Settings().peers == ()


def test_the_database_is_a_file_in_the_data_folder_unless_told() -> None:
    plain = settings.Settings(storage=settings.Storage(data_dir=Path("/data")))
    server = settings.Settings(storage=settings.Storage(database_url="postgresql+psycopg://host/name"))

    assert plain.database_url == "sqlite:////data/dicom-ai.db"
    assert server.database_url == "postgresql+psycopg://host/name"


def test_an_empty_path_means_none(tmp_path: Path) -> None:
    read = settings.read_settings(written(tmp_path, "[tls]\ncertificate = ''\n"))

    assert read.tls.certificate is None


def test_the_node_asks_for_earlier_reports_under_the_title_of_the_destination_in_force():
    parameters = {"host": "127.0.0.1", "port": 104, "ae_title": "PACS"}
    archive = settings.DestinationSettings(name="pacs", kind="c_store", parameters=parameters)
    changed = archive.model_copy(update={"parameters": parameters | {"calling_ae_title": "SPINE"}})
    asking = settings.Settings(destinations=(archive,), prior={"archive": "pacs"})

    assert asking.asks_as([archive]) == {"DICOM_AI"}
    assert asking.asks_as([changed]) == {"DICOM_AI", "SPINE"}
    assert settings.Settings(destinations=(archive,)).asks_as([changed]) == frozenset()
