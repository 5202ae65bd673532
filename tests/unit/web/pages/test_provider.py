"""Log-in by an identity provider: who gets in as what, and everything that must not let anybody in."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from dicom_ai import settings
from dicom_ai.app import App, open_app, prepare
from dicom_ai.domain.account import Role
from dicom_ai.sections import OidcSettings
from dicom_ai.storage import accounts, audit
from dicom_ai.web.application import create
from dicom_ai.web.visit import COOKIE
from tests.unit.web.browser import PASSWORD, Browser
from tests.unit.web.identity_provider import CLIENT, SECRET, IdentityProvider, new_key

ADA = {"sub": "42", "preferred_username": "ada", "groups": ["staff", "radiology"]}


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return new_key()


@pytest.fixture(scope="module")
def other_key() -> rsa.RSAPrivateKey:
    return new_key()


@pytest.fixture
def provider(key: rsa.RSAPrivateKey) -> Iterator[IdentityProvider]:
    found = IdentityProvider(key, dict(ADA))
    yield found
    found.stop()


@pytest.fixture
def node(tmp_path: Path, provider: IdentityProvider, hashed: str) -> Iterator[App]:
    """A node with an administrator of its own, on which radiology looks and IT administers."""
    oidc = OidcSettings(
        issuer=provider.issuer,
        client_id=CLIENT,
        client_secret=SECRET,
        address="http://127.0.0.1/",
        viewers=("radiology",),
        administrators=("it",),
    )
    app = open_app(settings.Settings(storage=settings.Storage(data_dir=tmp_path, reserve_bytes=0), oidc=oidc))
    prepare(app)
    with app.database.write() as session:
        accounts.add(session, "administrator", Role.ADMINISTRATOR, hashed=hashed, who="test")
    yield app
    app.close()


@pytest.fixture
def browser(node: App) -> Browser:
    return Browser(create(node))


def sent_to(browser: Browser, path: str = "/") -> str:
    """Return the address at the provider to which the log-in page sends a browser."""
    return str(browser.client.get("/login/provider", params={"next": path}).headers["location"])


def comes_back(browser: Browser, provider: IdentityProvider, path: str = "/"):
    """Return the answer to a browser that comes back from the provider."""
    return browser.client.get("/login/provider/back", params=provider.log_in(sent_to(browser, path)))


def account(node: App, name: str):
    with node.database.read() as session:
        return accounts.find(session, name)


def test_somebody_logs_in_with_the_role_of_a_group_and_lands_where_they_wanted(
    node: App, browser: Browser, provider: IdentityProvider
) -> None:
    offered = browser.get("/login?next=/studies").text
    answer = comes_back(browser, provider, "/studies")

    assert '<a class="button primary" href="/login/provider?next=%2Fstudies">' in offered
    assert 'content="0; url=/studies"' in answer.text
    assert "ada <small>viewer</small>" in browser.get("/").text
    assert browser.get("/accounts").status_code == 403
    with node.database.read() as session:
        assert [event.action for event in audit.events(session) if event.actor == "ada"] == ["signed in", "viewed"][:1]


def test_the_cookies_are_out_of_reach_for_scripts_and_that_of_the_session_for_other_sites(
    browser: Browser, provider: IdentityProvider
) -> None:
    way = browser.client.get("/login/provider")
    back = browser.client.get("/login/provider/back", params=provider.log_in(way.headers["location"]))

    assert "HttpOnly" in way.headers["set-cookie"]
    assert "Path=/login/provider; SameSite=lax" in way.headers["set-cookie"]
    session = next(one for one in back.headers.get_list("set-cookie") if one.startswith(COOKIE))
    assert "HttpOnly" in session
    assert "SameSite=strict" in session


def test_the_provider_sees_a_challenge_and_never_the_secret(browser: Browser) -> None:
    asked = parse_qs(urlsplit(sent_to(browser)).query)

    assert asked["redirect_uri"] == ["http://127.0.0.1/login/provider/back"]
    assert asked["scope"] == ["openid profile"]
    assert SECRET not in str(asked)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"iss": "https://evil.example"}, "does not hold"),
        ({"aud": "another"}, "does not hold"),
        ({"aud": [CLIENT, "another"]}, "meant for another"),
        ({"azp": "another"}, "meant for another"),
        ({"exp": int(time.time()) - 3600}, "does not hold"),
        ({"iat": int(time.time()) + 3600}, "does not hold"),
        ({"exp": None}, "does not hold"),
        ({"sub": None}, "does not hold"),
        ({"nonce": "of another try"}, "answers another try"),
        ({"nonce": None}, "answers another try"),
        ({"groups": ["staff"]}, "gives you no role"),
        ({"groups": {"radiology": True}}, "gives you no role"),
        ({"preferred_username": "  "}, "gives no name"),
        ({"preferred_username": "a\nb"}, "gives no name"),
    ],
)
def test_what_the_provider_says_wrongly_lets_nobody_in(
    node: App, browser: Browser, provider: IdentityProvider, changes: dict, problem: str
) -> None:
    provider.changes = changes

    answer = comes_back(browser, provider)

    assert answer.status_code == 403
    assert problem in answer.text
    assert COOKIE not in browser.client.cookies
    assert account(node, "ada") is None
    with node.database.read() as session:
        assert [event.action for event in audit.events(session)][-1] == "log-in failed"


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_token_without_a_signature_by_the_provider_s_key_is_refused(
    browser: Browser, provider: IdentityProvider, algorithm: str
) -> None:
    provider.algorithm = algorithm

    assert comes_back(browser, provider).status_code == 403


def test_a_token_signed_with_another_key_is_refused(
    browser: Browser, provider: IdentityProvider, other_key: rsa.RSAPrivateKey
) -> None:
    provider.signed_by = other_key

    assert comes_back(browser, provider).status_code == 403


def test_a_new_key_of_the_provider_is_learnt(
    browser: Browser, provider: IdentityProvider, other_key: rsa.RSAPrivateKey
) -> None:
    first = comes_back(browser, provider).status_code
    provider.key, provider.key_name = other_key, "two"

    assert (first, comes_back(browser, provider).status_code) == (200, 200)


def test_an_answer_counts_once_and_only_in_the_browser_that_asked(
    node: App, browser: Browser, provider: IdentityProvider
) -> None:
    answer = provider.log_in(sent_to(browser))
    stolen = Browser(create(node)).client.get("/login/provider/back", params=answer).status_code
    elsewhere = Browser(browser.client.app).client.get("/login/provider/back", params=answer).status_code  # type: ignore[arg-type]

    assert (stolen, elsewhere) == (403, 403)
    assert browser.client.get("/login/provider/back", params=answer).status_code == 403


@pytest.mark.parametrize("answer", [{}, {"state": "made up", "code": "x"}, {"error": "access_denied"}])
def test_who_was_not_sent_does_not_come_back_and_fills_no_trail(node: App, browser: Browser, answer: dict) -> None:
    assert browser.client.get("/login/provider/back", params=answer).status_code == 403
    with node.database.read() as session:
        assert "log-in failed" not in [event.action for event in audit.events(session)]


def test_an_answer_in_the_name_of_another_provider_is_refused(browser: Browser, provider: IdentityProvider) -> None:
    answer = provider.log_in(sent_to(browser)) | {"iss": "https://evil.example"}

    assert browser.client.get("/login/provider/back", params=answer).status_code == 403
    assert not any("token" in call for call in provider.calls)


def test_groups_that_are_told_only_when_asked_are_asked_for(browser: Browser, provider: IdentityProvider) -> None:
    provider.claims.pop("groups")
    provider.userinfo = {"sub": "42", "groups": "it"}

    comes_back(browser, provider)

    assert "ada <small>administrator</small>" in browser.get("/").text


def test_the_groups_of_somebody_else_do_not_count(browser: Browser, provider: IdentityProvider) -> None:
    provider.claims.pop("groups")
    provider.userinfo = {"sub": "43", "groups": ["it"]}

    assert comes_back(browser, provider).status_code == 403


def test_a_new_group_counts_at_the_next_log_in(node: App, browser: Browser, provider: IdentityProvider) -> None:
    comes_back(browser, provider)
    provider.claims = ADA | {"groups": ["it"], "preferred_username": "ada.married"}
    comes_back(browser, provider)

    found = account(node, "ada")
    assert (found.role, found.is_local) == (Role.ADMINISTRATOR, False)
    assert account(node, "ada.married") is None


def test_the_name_of_a_local_account_is_not_given_away(node: App, browser: Browser, provider: IdentityProvider) -> None:
    provider.claims = ADA | {"preferred_username": "administrator"}

    answer = comes_back(browser, provider)

    assert answer.status_code == 403
    assert "the name is taken" in answer.text


def test_a_disabled_account_stays_out(node: App, browser: Browser, provider: IdentityProvider) -> None:
    comes_back(browser, provider)
    with node.database.write() as session:
        accounts.set_disabled(session, "ada", disabled=True, who="test")

    assert comes_back(browser, provider).status_code == 403
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize("password", ["", "no account has this password", PASSWORD])
def test_no_password_opens_an_account_of_the_provider(
    browser: Browser, provider: IdentityProvider, password: str
) -> None:
    comes_back(browser, provider)

    answer = browser.client.post("/login", data={"name": "ada", "password": password})

    assert answer.status_code in (401, 422)


def test_a_local_account_logs_in_while_the_provider_is_away(browser: Browser, provider: IdentityProvider) -> None:
    provider.stop()

    assert browser.client.get("/login/provider").status_code == 503
    assert browser.log_in("administrator").get("/").status_code == 200


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_a_log_in_leads_nowhere_else(browser: Browser, provider: IdentityProvider, elsewhere: str) -> None:
    assert 'content="0; url=/"' in comes_back(browser, provider, elsewhere).text


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://idp.example"},
        {"address": "http://node.example/"},
        {"client_id": ""},
        {"viewers": ()},
    ],
)
def test_settings_that_would_let_anybody_listen_or_nobody_in_are_refused(wrong: dict) -> None:
    usual = {"issuer": "https://idp.example", "client_id": "a", "address": "https://node.example", "viewers": ("a",)}

    with pytest.raises(ValueError, match="oidc"):
        OidcSettings(**(usual | wrong))


def test_without_a_provider_there_is_no_way_to_it(anybody_local: Browser) -> None:
    assert anybody_local.get("/login/provider").status_code == 404
    assert "/login/provider" not in anybody_local.get("/login").text


@pytest.fixture
def anybody_local(tmp_path: Path, hashed: str) -> Iterator[Browser]:
    app = open_app(settings.Settings(storage=settings.Storage(data_dir=tmp_path / "local", reserve_bytes=0)))
    prepare(app)
    with app.database.write() as session:
        accounts.add(session, "administrator", Role.ADMINISTRATOR, hashed=hashed, who="test")
    yield Browser(create(app))
    app.close()
