import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from starlette.testclient import TestClient

from dicom_ai.app import App
from dicom_ai.domain.account import Role
from dicom_ai.storage import accounts
from dicom_ai.web.api.v1 import CALLS
from dicom_ai.web.application import create
from tests.unit.pipeline.lab import STUDY


def caller(app: App, role: Role) -> TestClient:
    """Return a client with a token of a role."""
    secret = f"token of {role.value}"
    with app.database.write() as session:
        if accounts.token(session, secret) is None:
            accounts.add_token(session, role.value, role, secret=secret, who="test")
    return TestClient(create(app), headers={"Authorization": f"Bearer {secret}"}, raise_server_exceptions=False)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_nothing_without_a_token(sent_study: App, call) -> None:
    client = TestClient(create(sent_study))
    path = f"/api/v1{call.path}".replace("{study_uid}", STUDY).replace("{number}", "1")

    answer = client.request(call.method, path.replace("{job_id}", "1").replace("{delivery_id}", "1"))

    assert answer.status_code == 401


def test_a_study_tells_the_same_as_its_page(sent_study: App) -> None:
    client = caller(sent_study, Role.VIEWER)

    listed = client.get("/api/v1/studies?state=sent").json()
    study = client.get(f"/api/v1/studies/{STUDY}").json()

    assert [item["study_uid"] for item in listed["studies"]] == [STUDY]
    assert (study["progress"], [item["rule"] for item in study["decisions"]]) == ("sent", ["cord"])


def test_a_token_of_a_viewer_changes_nothing(own_study: App) -> None:
    answer = caller(own_study, Role.VIEWER).post("/api/v1/pause", json={"kind": "all"})

    assert answer.status_code == 403


def test_an_operator_pauses_and_resumes(own_study: App) -> None:
    client = caller(own_study, Role.OPERATOR)

    assert client.post("/api/v1/pause", json={"kind": "all", "why": "maintenance"}).json() == {"changed": True}
    assert client.get("/api/v1/queue").json()["paused"] == ["all"]
    assert client.post("/api/v1/resume", json={"kind": "all"}).json() == {"changed": True}


def test_what_cannot_be_done_is_refused_with_the_reason(own_study: App) -> None:
    answer = caller(own_study, Role.OPERATOR).post("/api/v1/jobs/1", json={"act": "give-up"})

    assert (answer.status_code, answer.json()["detail"].split(":")[0]) == (422, "job 1 is done")


def test_no_call_that_the_description_allows_ends_in_an_error_of_the_node(own_study: App) -> None:
    caller(own_study, Role.OPERATOR)
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", create(own_study))
    statuses: list[int] = []

    for found in schema.get_all_operations():

        @settings(
            max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True
        )
        @given(case=found.ok().as_strategy())
        def call(case: schemathesis.Case) -> None:
            statuses.append(case.call(headers={"Authorization": "Bearer token of operator"}).status_code)

        call()

    assert 200 in statuses
    assert [status for status in statuses if status >= 500 or status == 401] == []


def test_the_numbers_for_prometheus_name_no_study(sent_study: App) -> None:
    client = TestClient(create(sent_study))
    text = client.get("/metrics").text

    assert 'dicom_ai_deliveries{state="sent"} 2.0' in text
    assert STUDY not in text
    assert client.get("/healthz").json() == {"alive": True}
    assert client.get("/readyz").json() == {"ready": True, "reason": ""}
