import pytest

from dicom_ai.domain.account import Role
from dicom_ai.errors import ConfigError
from dicom_ai.storage import accounts
from dicom_ai.storage.database import Database


@pytest.fixture
def ada(database: Database) -> str:
    with database.write() as session:
        accounts.add(session, "ada", Role.ADMINISTRATOR, hashed="hash", who="test")
    return "ada"


def test_a_browser_is_known_until_it_was_idle_too_long(database: Database, clock, ada: str) -> None:
    with database.write() as session:
        accounts.sign_in(session, ada, secret="cookie")
    clock.advance(60)

    with database.read() as session:
        assert accounts.signed_in(session, "cookie", idle_s=60).account.name == "ada"
        assert accounts.signed_in(session, "another", idle_s=60) is None
        assert accounts.signed_in(session, "cookie", idle_s=59) is None


def test_neither_cookie_nor_token_is_kept_as_it_is(database: Database, ada: str) -> None:
    with database.write() as session:
        accounts.sign_in(session, ada, secret="cookie-in-the-clear")
        accounts.add_token(session, "robot", Role.VIEWER, secret="token-in-the-clear", who=ada)

    dump = "".join(database.engine.raw_connection().iterdump())
    assert "in-the-clear" not in dump


@pytest.mark.parametrize("change", [{"role": Role.VIEWER}, {"disabled": True}])
def test_the_last_administrator_stays(database: Database, ada: str, change) -> None:
    with pytest.raises(ConfigError, match="the last administrator must stay one"), database.write() as session:
        if "role" in change:
            accounts.set_role(session, ada, change["role"], who=ada)
        else:
            accounts.set_disabled(session, ada, disabled=True, who=ada)

    with database.read() as session:
        assert accounts.find(session, ada).role is Role.ADMINISTRATOR


def test_a_name_is_taken_once(database: Database, ada: str) -> None:
    with pytest.raises(ConfigError, match="the name is taken"), database.write() as session:
        accounts.add(session, ada, Role.VIEWER, hashed="hash", who=ada)


def test_a_revoked_token_opens_nothing(database: Database, ada: str) -> None:
    with database.write() as session:
        accounts.add_token(session, "robot", Role.OPERATOR, secret="text", who=ada)
        before = accounts.token(session, "text")
        accounts.revoke_token(session, "robot", who=ada)

    with database.read() as session:
        assert before.role is Role.OPERATOR
        assert accounts.token(session, "text") is None
        assert [item.revoked for item in accounts.tokens(session)] == [True]


def test_a_role_includes_those_below_it() -> None:
    assert Role.OPERATOR.may(Role.VIEWER)
    assert not Role.OPERATOR.may(Role.ADMINISTRATOR)


def test_a_token_opens_nothing_after_its_end(database: Database, clock, ada: str) -> None:
    with database.write() as session:
        accounts.add_token(session, "robot", Role.VIEWER, secret="text", who=ada, ends_at=clock() + 60)
    with database.read() as session:
        before = accounts.token(session, "text")
    clock.advance(60)

    with database.read() as session:
        assert before is not None
        assert accounts.token(session, "text") is None
        assert [item.state for item in accounts.tokens(session)] == ["ended"]


def test_somebody_from_the_provider_keeps_the_account_and_gets_today_s_role(database: Database, ada: str) -> None:
    with database.write() as session:
        first = accounts.from_provider(session, "https://idp 42", "bob", Role.VIEWER)
        again = accounts.from_provider(session, "https://idp 42", "robert", Role.OPERATOR)

    assert (first.name, first.role, first.is_local) == ("bob", Role.VIEWER, False)
    assert (again.name, again.role) == ("bob", Role.OPERATOR)


def test_nobody_gets_another_s_account_by_its_name(database: Database, ada: str) -> None:
    with pytest.raises(ConfigError, match="the name is taken"), database.write() as session:
        accounts.from_provider(session, "https://idp 42", ada, Role.ADMINISTRATOR)


def test_a_disabled_account_is_shut_out_by_the_provider_s_way_too(database: Database, ada: str) -> None:
    with database.write() as session:
        accounts.from_provider(session, "https://idp 42", "bob", Role.VIEWER)
        accounts.set_disabled(session, "bob", disabled=True, who=ada)

    with pytest.raises(ConfigError, match="is disabled"), database.write() as session:
        accounts.from_provider(session, "https://idp 42", "bob", Role.VIEWER)


def test_an_account_of_the_provider_has_no_password_to_guess_or_set(database: Database, ada: str) -> None:
    with database.write() as session:
        accounts.from_provider(session, "https://idp 42", "bob", Role.VIEWER)
        known = accounts.password_hash(session, "bob")

    assert known is None
    with pytest.raises(ConfigError, match="signs in by the identity provider"), database.write() as session:
        accounts.set_password(session, "bob", hashed="hash", who=ada)
