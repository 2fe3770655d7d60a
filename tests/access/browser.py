"""A browser as far as signing in goes: it keeps cookies, follows nothing by itself, and fills in forms."""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.support.serving import PASSWORD

HERE = "http://testserver"


class Browser:
    """One browser at an application; over `https://` it is one that came by TLS."""

    def __init__(self, app: FastAPI, base: str = HERE) -> None:
        self.client = TestClient(app, base_url=base, follow_redirects=False, raise_server_exceptions=False)

    def get(self, path: str, **more: Any) -> Any:
        """Look at a page."""
        return self.client.get(path, headers={"Accept": "text/html", **more.pop("headers", {})}, **more)

    def post(self, path: str, data: dict[str, str] | None = None, **more: Any) -> Any:
        """Send a form."""
        return self.client.post(path, data=data or {}, **more)

    def form_token(self, back_to: str = "/") -> str:
        """Open the login page, and return the token in its form."""
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.get("/login", params={"next": back_to}).text)
        assert found is not None
        return found.group(1)

    def form_token_while_signed_in(self) -> str:
        """Return the token of a form that was opened in another tab before this browser was signed in."""
        kept = self.session
        self.client.cookies.delete("evercrew_session")
        token = self.form_token()
        self.client.cookies.set("evercrew_session", kept, domain="testserver.local", path="/")
        return token

    def sign_in(self, name: str, password: str = PASSWORD, back_to: str = "/", **more: Any) -> Any:
        """Fill in the form and send it."""
        fields = {"csrf": self.form_token(back_to), "name": name, "password": password, "next": back_to}
        return self.post("/login", {**fields, **more})

    @property
    def session(self) -> str:
        """The cookie of the session; empty without one."""
        names = ("evercrew_session", "__Host-evercrew")
        return next((self.client.cookies[name] for name in names if name in self.client.cookies), "")
