"""What guards every page, whichever it is."""

import re

import pytest
from fastapi import FastAPI

from dicom_ai.web.guard import MOST_BODY_BYTES
from dicom_ai.web.routes import URLS
from dicom_ai.web.visit import COOKIE
from tests.unit.web.browser import Browser

CHANGES = [url for url in URLS if url.method == "POST" and url.role is not None]


def filled(path: str) -> str:
    """Return a path with something in the place of every part that varies."""
    return re.sub(r"\{[^}]*\}", "1", path)


@pytest.mark.parametrize("path", ["/", "/login", "/static/style.css", "/nowhere"])
def test_every_answer_carries_the_policy(viewer: Browser, path: str) -> None:
    headers = viewer.get(path).headers

    assert headers["content-security-policy"].startswith("default-src 'self'; ")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


def test_pages_are_kept_by_no_cache(viewer: Browser) -> None:
    assert viewer.get("/").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "url", [url for url in URLS if url.role is not None], ids=lambda url: f"{url.method} {url.path}"
)
def test_nothing_is_shown_or_changed_without_log_in(anybody: Browser, url) -> None:
    answer = anybody.client.request(url.method, filled(url.path))

    assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/login")


@pytest.mark.parametrize("url", CHANGES, ids=lambda url: url.path)
def test_no_change_without_the_token_of_the_session(administrator: Browser, url) -> None:
    answer = administrator.client.post(filled(url.path), data={"csrf": "0" * 64})

    assert answer.status_code == 403
    assert "another session" in answer.text


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}]
)
def test_no_change_from_another_site(administrator: Browser, headers: dict[str, str]) -> None:
    answer = administrator.post("/logout", **headers)

    assert answer.status_code == 403
    assert COOKIE in administrator.client.cookies


def test_a_large_body_is_refused_before_it_is_read(anybody: Browser) -> None:
    answer = anybody.client.post("/login", data={"name": "x" * MOST_BODY_BYTES})

    assert answer.status_code == 413


@pytest.mark.parametrize(
    "path", ["/static/../routes.py", "/static/%2e%2e/routes.py", "/static/..%2froutes.py", "/static//etc/passwd"]
)
def test_no_path_leads_out_of_the_static_files(viewer: Browser, path: str) -> None:
    assert viewer.get(path).status_code == 404


def test_an_unexpected_error_shows_nothing_of_its_text(web: FastAPI) -> None:
    def broken() -> None:
        raise RuntimeError("Doe^Jane")

    web.add_api_route("/broken", broken)

    answer = Browser(web).get("/broken")

    assert answer.status_code == 500
    assert "Doe" not in answer.text
