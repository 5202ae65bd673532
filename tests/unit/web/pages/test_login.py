import pytest

from dicom_ai.app import App
from dicom_ai.storage import accounts, audit
from dicom_ai.web.visit import COOKIE
from tests.unit.web.browser import PASSWORD, Browser


def test_a_page_without_log_in_leads_there_and_back(anybody: Browser) -> None:
    location = anybody.get("/?a=b").headers["location"]
    answer = anybody.client.post("/login", data={"name": "viewer", "password": PASSWORD, "next": "/?a=b"})

    assert location == "/login?next=/%3Fa%3Db"
    assert answer.headers["location"] == "/?a=b"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/\n/evil"]
)
def test_a_log_in_leads_nowhere_else(anybody: Browser, elsewhere: str) -> None:
    answer = anybody.client.post("/login", data={"name": "viewer", "password": PASSWORD, "next": elsewhere})

    assert answer.headers["location"] == "/"


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(anybody: Browser) -> None:
    answer = anybody.client.post("/login", data={"name": "viewer", "password": PASSWORD})

    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


@pytest.mark.parametrize("name", ["viewer", "nobody"])
def test_a_wrong_password_and_an_unknown_name_are_told_alike(anybody: Browser, name: str) -> None:
    answer = anybody.client.post("/login", data={"name": name, "password": "wrong"})

    assert answer.status_code == 401
    assert "Name or password is wrong." in answer.text


def test_after_five_failures_even_the_right_password_waits(anybody: Browser) -> None:
    for _ in range(5):
        anybody.client.post("/login", data={"name": "viewer", "password": "wrong"})

    answer = anybody.client.post("/login", data={"name": "viewer", "password": PASSWORD})

    assert answer.status_code == 429
    assert "Too many failures: wait" in answer.text


def test_a_log_out_ends_the_session_on_the_node(viewer: Browser) -> None:
    cookie = viewer.client.cookies[COOKIE]

    viewer.post("/logout")
    viewer.client.cookies.set(COOKIE, cookie)

    assert viewer.get("/").headers["location"] == "/login"


def test_a_new_password_signs_out_every_browser(node: App, viewer: Browser, hashed: str) -> None:
    with node.database.write() as session:
        accounts.set_password(session, "viewer", hashed=hashed, who="test")

    assert viewer.get("/").headers["location"] == "/login"


def test_a_disabled_account_is_out_at_once(node: App, viewer: Browser) -> None:
    with node.database.write() as session:
        accounts.set_disabled(session, "viewer", disabled=True, who="test")

    assert viewer.get("/").headers["location"] == "/login"
    assert viewer.client.post("/login", data={"name": "viewer", "password": PASSWORD}).status_code == 401


def test_the_trail_knows_who_came_and_who_failed(node: App, viewer: Browser) -> None:
    viewer.client.post("/login", data={"name": "operator", "password": "wrong"})
    viewer.client.post("/login", data={"name": PASSWORD, "password": "typed in the wrong field"})

    with node.database.read() as session:
        events = [(event.actor, event.action) for event in audit.events(session)]
    assert events[-2:] == [("viewer", "signed in"), ("operator", "log-in failed")]
