import json
import re
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from dicom_ai.app import App
from dicom_ai.storage.database import Database
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.storage.tables import OutboxRow
from dicom_ai.storage.throughput import LIMITS_S, Spent
from dicom_ai.web.application import create
from dicom_ai.web.metrics import SETTLED_S, Durations
from dicom_ai.web.reasons import OTHER, WORDS, word_of
from tests.peers import REPOSITORY, free_port
from tests.unit.pipeline.lab import STUDY, Lab
from tests.unit.pipeline.test_report import analysed, reported
from tests.unit.web.seeded import HOSTILE


def numbers(app: App) -> dict[tuple[str, ...], float]:
    """Return what is scraped: (name, values by the names of the labels ...) -> value."""
    text = TestClient(create(app)).get("/metrics").text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_numbers_tell_what_came_ran_and_was_sent(sent_study: App) -> None:
    found = numbers(sent_study)

    assert found["dicom_ai_received_total",] == 6
    assert found["dicom_ai_jobs", "done"] == 2
    assert found["dicom_ai_deliveries", "sent"] == 4  # SEG, SR, PDF and picture
    assert found["dicom_ai_destination_up", "pacs"] == 1
    assert found["dicom_ai_disk_bytes", "free"] > 0
    assert {key[1] for key in found if key[0] == "dicom_ai_failed"} == set(WORDS)


def test_nothing_of_a_patient_is_in_the_numbers(sent_study: App) -> None:
    text = TestClient(create(sent_study)).get("/metrics").text

    for word in (STUDY, HOSTILE, "P-1", "A-1"):
        assert word not in text


def test_a_failed_delivery_counts_by_the_reason_of_a_fixed_list(own_study: App) -> None:
    with own_study.database.write() as session:
        first, second, *_ = session.query(OutboxRow).order_by(OutboxRow.id)
        first.state, first.last_error = OutboxState.FAILED, "PACS: refused with 0xA700 Doe^Jane"
        second.state, second.last_error = OutboxState.FAILED, "something nobody knows"

    found = numbers(own_study)

    assert found["dicom_ai_failed", "refused", "delivery"] == 1
    assert found["dicom_ai_failed", OTHER, "delivery"] == 1


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("PACS at 192.0.2.1:104: Connection refused", "connection"),
        ("PACS: no answer to C-ECHO", "timeout"),
        ("parked after taking down 2 workers; the last time: its worker stopped", "worker lost"),
        ("", OTHER),
    ],
)
def test_a_technical_text_has_one_of_few_words(text: str, word: str) -> None:
    assert word_of(text) == word


def test_what_ends_between_two_scrapes_is_counted_once(tmp_path) -> None:
    lab = Lab(tmp_path)
    durations = Durations()
    lab.look(durations.read)
    analysed(lab)
    reported(lab)
    lab.advance(SETTLED_S + 1)
    first, tries = lab.look(durations.read)
    again, _ = lab.look(durations.read)

    assert (first["analysing"].number, first["reporting"].number) == (1, 1)
    assert again == first
    assert tries == {("analyse", "done"): 1, ("report", "done"): 1}


def test_a_time_is_counted_at_every_limit_that_it_does_not_pass() -> None:
    one = Spent(1, 20.0, tuple(int(limit >= 20) for limit in LIMITS_S))

    both = one + one

    assert (both.number, both.total_s) == (2, 40.0)
    assert dict(zip(LIMITS_S, both.within, strict=True))[10] == 0
    assert dict(zip(LIMITS_S, both.within, strict=True))[30] == 2


def test_the_dashboard_asks_for_numbers_that_there_are(sent_study: App) -> None:
    dashboard = json.loads((REPOSITORY / "docs" / "grafana.json").read_text(encoding="utf-8"))
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"dicom_ai_\w+", target["expr"])
    }
    told = {
        line.split()[2]
        for line in TestClient(create(sent_study)).get("/metrics").text.splitlines()
        if line[:6] == "# TYPE"
    }

    assert {name.removesuffix("_bucket") for name in asked} <= told


def test_the_node_says_that_it_lives_and_is_ready(sent_study: App) -> None:
    client = TestClient(create(sent_study))

    assert client.get("/healthz").json() == {"alive": True}
    assert client.get("/readyz").json() == {"ready": True, "reason": ""}


def test_a_node_whose_database_server_is_away_is_not_ready_and_says_why(sent_study: App) -> None:
    away = replace(sent_study, database=Database(f"postgresql+psycopg://ada:hush@127.0.0.1:{free_port()}/node"))
    answer = TestClient(create(away)).get("/readyz")

    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert answer.json()["reason"].startswith("database: connection failed: ")
