import re

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from dicom_ai.app import App
from dicom_ai.storage import accounts, audit
from tests.unit.web.browser import Browser

NEW = {"name": "statistics", "role": "viewer", "ends": ""}


def secret_in(page: str) -> str:
    found = re.search(r'id="secret"[^>]* value="([^"]*)"', page)
    assert found is not None
    return found.group(1)


def status(web: FastAPI, secret: str) -> int:
    """Return the status of a call with a token."""
    return TestClient(web).get("/api/v1/queue", headers={"Authorization": f"Bearer {secret}"}).status_code


def test_a_token_is_shown_once_and_opens_the_api_until_it_is_revoked(web: FastAPI, administrator: Browser) -> None:
    secret = secret_in(administrator.post("/tokens/make", NEW).text)
    before = (status(web, secret), secret in administrator.get("/tokens").text)
    administrator.post("/tokens/revoke", {"name": "statistics"})

    assert before == (200, False)
    assert status(web, secret) == 401
    assert "revoked" in administrator.get("/tokens").text


def test_the_page_tells_when_a_token_was_last_used(node: App, web: FastAPI, administrator: Browser) -> None:
    secret = secret_in(administrator.post("/tokens/make", NEW).text)
    with node.database.read() as session:
        (before,) = accounts.tokens(session)
    status(web, secret)

    with node.database.read() as session:
        (after,) = accounts.tokens(session)
    assert before.used_at is None
    assert after.used_at is not None


def test_a_token_ends_with_its_last_day_in_the_zone_of_the_site(node: App, administrator: Browser) -> None:
    administrator.post("/tokens/make", NEW | {"ends": "2999-07-01"})

    assert '<time datetime="2999-07-01T21:59:59Z">2999-07-01 23:59:59</time>' in administrator.get("/tokens").text


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"name": " "}, "the name is empty"),
        ({"ends": "2020-01-01"}, "it would have ended already"),
        ({"ends": "soon"}, "is no day"),
        ({"role": "king"}, "malformed: role"),
    ],
)
def test_a_token_that_cannot_be_is_refused_with_the_reason(
    node: App, administrator: Browser, form: dict[str, str], problem: str
) -> None:
    answer = administrator.post("/tokens/make", NEW | form)

    assert answer.status_code == 422
    assert problem in answer.text
    with node.database.read() as session:
        assert accounts.tokens(session) == ()


@pytest.mark.parametrize(("path", "again"), [("make", "the name is taken"), ("revoke", "is revoked already")])
def test_what_was_done_is_not_done_again(administrator: Browser, path: str, again: str) -> None:
    administrator.post("/tokens/make", NEW)
    administrator.post("/tokens/revoke", NEW)

    answer = administrator.post(f"/tokens/{path}", NEW)

    assert answer.status_code == 422
    assert again in answer.text


def test_the_trail_knows_who_made_a_token_but_not_its_text(node: App, administrator: Browser) -> None:
    secret = secret_in(administrator.post("/tokens/make", NEW).text)

    with node.database.read() as session:
        events = [item for item in audit.events(session) if item.subject == "token statistics"]
    assert [(item.actor, item.action) for item in events] == [("administrator", "token added")]
    assert secret not in str(events)


@pytest.mark.parametrize("path", ["make", "revoke"])
def test_an_operator_neither_sees_nor_makes_tokens(node: App, operator: Browser, path: str) -> None:
    assert "/tokens" not in operator.get("/").text
    assert operator.get("/tokens").status_code == 403
    assert operator.post(f"/tokens/{path}", NEW).status_code == 403
