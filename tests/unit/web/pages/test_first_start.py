from dicom_ai.app import App
from dicom_ai.domain.account import Role
from dicom_ai.storage import accounts
from dicom_ai.web.application import create
from tests.unit.web.browser import PASSWORD, Browser

FORM = {"name": "ada", "password": PASSWORD, "repeated": PASSWORD}


def test_a_new_node_leads_every_page_to_the_first_start(new_node: App) -> None:
    browser = Browser(create(new_node))

    assert browser.get("/").headers["location"] == "/login"
    assert browser.get("/login").headers["location"] == "/first-start"


def test_the_first_account_is_an_administrator_who_is_signed_in(new_node: App) -> None:
    browser = Browser(create(new_node))

    answer = browser.post("/first-start", FORM, page="/first-start")

    assert answer.headers["location"] == "/"
    assert "ada <small>administrator</small>" in browser.get("/").text
    with new_node.database.read() as session:
        assert [(item.name, item.role) for item in accounts.all_of(session)] == [("ada", Role.ADMINISTRATOR)]


def test_a_short_password_is_refused_with_its_length(new_node: App) -> None:
    browser = Browser(create(new_node))

    answer = browser.post("/first-start", {"name": "ada", "password": "short", "repeated": "short"})

    assert answer.status_code == 422
    assert "the password has 5 characters where at least 12 are needed" in answer.text


def test_two_different_passwords_make_no_account(new_node: App) -> None:
    browser = Browser(create(new_node))

    answer = browser.post("/first-start", FORM | {"repeated": "another long password"})

    assert "the two passwords differ" in answer.text
    with new_node.database.read() as session:
        assert not accounts.exist(session)


def test_nobody_from_the_network_can_be_first(new_node: App) -> None:
    browser = Browser(create(new_node), host="192.0.2.7")

    assert browser.get("/first-start").status_code == 403
    assert browser.post("/first-start", FORM).status_code == 403
    with new_node.database.read() as session:
        assert not accounts.exist(session)


def test_there_is_no_second_first_start(anybody: Browser) -> None:
    assert anybody.get("/first-start").status_code == 404
    assert anybody.post("/first-start", FORM).status_code == 404
