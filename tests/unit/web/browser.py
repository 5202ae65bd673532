"""A browser without a screen: it keeps its cookie, and fills in a form with the token that the form carries."""

import re
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

PASSWORD = "a sentence is a good password"
TOKEN = re.compile(r'name="csrf" value="([0-9a-f]*)"')


class Browser:
    """Asks for pages. host: the address it seems to come from."""

    def __init__(self, web: FastAPI, *, host: str = "127.0.0.1") -> None:
        self.client = TestClient(
            web,
            base_url="http://127.0.0.1",
            client=(host, 50_000),
            follow_redirects=False,
            raise_server_exceptions=False,
        )

    def get(self, path: str, **headers: str) -> Any:
        """Return the answer to a GET."""
        return self.client.get(path, headers=headers)

    def post(self, path: str, form: dict[str, Any] | None = None, *, page: str = "/", **headers: str) -> Any:
        """Return the answer to a form sent with the token of a page."""
        found = TOKEN.search(self.client.get(page).text)
        return self.client.post(path, data={"csrf": found.group(1) if found else ""} | (form or {}), headers=headers)

    def log_in(self, name: str) -> "Browser":
        """Sign in with the password that every account of the tests has."""
        answer = self.client.post("/login", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return self
