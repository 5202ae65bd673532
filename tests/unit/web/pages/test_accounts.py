import pytest
from fastapi import FastAPI

from dicom_ai.app import App
from dicom_ai.domain.account import Account, Role
from dicom_ai.storage import accounts, audit
from tests.unit.web.browser import PASSWORD, Browser

NEW = {"name": "ada", "role": "operator", "password": PASSWORD, "repeated": PASSWORD}


def account(node: App, name: str) -> Account | None:
    with node.database.read() as session:
        return accounts.find(session, name)


def actions(node: App, actor: str) -> list[tuple[str, str]]:
    with node.database.read() as session:
        return [(event.action, event.subject) for event in audit.events(session) if event.actor == actor]


def signs_in(web: FastAPI, name: str, password: str = PASSWORD) -> bool:
    return Browser(web).client.post("/login", data={"name": name, "password": password}).status_code == 303


def test_an_account_that_was_added_signs_in_with_its_role(node: App, web: FastAPI, administrator: Browser) -> None:
    answer = administrator.post("/accounts/add", NEW)

    assert answer.status_code == 303
    assert "<td>operator</td>" in administrator.get("/accounts").text.split("ada")[1]
    assert "ada <small>operator</small>" in Browser(web).log_in("ada").get("/").text
    assert ("account added", "account ada") in actions(node, "administrator")


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"password": "short", "repeated": "short"}, "at least 12 are needed"),
        ({"repeated": "something else"}, "the two passwords differ"),
        ({"name": "viewer"}, "the name is taken"),
        ({"name": "  "}, "the name is empty"),
        ({"role": "king"}, "malformed: role"),
    ],
)
def test_an_account_that_cannot_be_is_refused_with_the_reason(
    node: App, administrator: Browser, form: dict[str, str], problem: str
) -> None:
    answer = administrator.post("/accounts/add", NEW | form)

    assert (answer.status_code, account(node, "ada")) == (422, None)
    assert problem in answer.text
    assert PASSWORD not in answer.text


def test_a_new_role_holds_at_once(node: App, operator: Browser, administrator: Browser) -> None:
    administrator.post("/accounts/role", {"name": "operator", "role": "viewer"})

    assert operator.post("/queue/pause", {"kind": "all"}).status_code == 403
    assert ("role changed", "account operator") in actions(node, "administrator")


def test_a_disabled_account_is_signed_out_until_it_is_let_in_again(
    web: FastAPI, viewer: Browser, administrator: Browser
) -> None:
    administrator.post("/accounts/shut-out", {"name": "viewer"})
    out = (viewer.get("/").status_code, signs_in(web, "viewer"))
    administrator.post("/accounts/let-in", {"name": "viewer"})

    assert out == (303, False)
    assert signs_in(web, "viewer")


def test_a_new_password_signs_out_and_the_old_one_no_longer_fits(
    web: FastAPI, viewer: Browser, administrator: Browser
) -> None:
    new = "another good sentence"

    administrator.post("/accounts/password", {"name": "viewer", "password": new, "repeated": new})

    assert viewer.get("/").status_code == 303
    assert (signs_in(web, "viewer"), signs_in(web, "viewer", new)) == (False, True)


@pytest.mark.parametrize(
    ("path", "form"), [("/accounts/role", {"role": "viewer"}), ("/accounts/shut-out", {})], ids=["role", "disable"]
)
def test_the_last_administrator_stays(node: App, administrator: Browser, path: str, form: dict[str, str]) -> None:
    answer = administrator.post(path, {"name": "administrator"} | form)

    assert answer.status_code == 422
    assert "the last administrator must stay one" in answer.text
    kept = account(node, "administrator")
    assert kept is not None
    assert (kept.role, kept.disabled) == (Role.ADMINISTRATOR, False)


def test_who_gives_up_their_own_role_lands_where_they_may_be(administrator: Browser) -> None:
    administrator.post("/accounts/role", {"name": "viewer", "role": "administrator"})

    answer = administrator.post("/accounts/role", {"name": "administrator", "role": "operator"})

    assert answer.headers["location"].startswith("/?done=")
    assert administrator.get("/accounts").status_code == 403


@pytest.mark.parametrize("path", ["role", "password", "shut-out", "let-in"])
def test_an_account_that_is_not_there_is_told(administrator: Browser, path: str) -> None:
    answer = administrator.post(f"/accounts/{path}", NEW | {"name": "nobody"})

    assert answer.status_code == 422
    assert "there is no account &#39;nobody&#39;" in answer.text


def test_a_name_that_is_a_script_is_shown_as_text(administrator: Browser) -> None:
    administrator.post("/accounts/add", NEW | {"name": "<script>alert(1)</script>"})

    assert "<script>alert" not in administrator.get("/accounts").text


@pytest.mark.parametrize("path", ["add", "role", "password", "shut-out", "let-in"])
def test_an_operator_neither_sees_nor_changes_accounts(node: App, operator: Browser, path: str) -> None:
    assert "/accounts" not in operator.get("/").text
    assert operator.get("/accounts").status_code == 403
    assert operator.post(f"/accounts/{path}", NEW).status_code == 403
    assert account(node, "ada") is None
