"""A served console and a real browser that looks at it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from domain.clock import SystemClock
from service.access.guard import PLAIN_COOKIE
from service.api.app import create_app
from service.api.serving import Serving
from service.chat.making import chat_desk_of
from testbed.servers.base import free_port
from tests.support.serving import ROLES, serving_of
from tests.support.waiting import until

if TYPE_CHECKING:
    from fastapi import FastAPI
    from playwright.sync_api import Browser, BrowserContext, Page, Request

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
PATIENCE = timedelta(seconds=30)


class Server:
    """An application on a port of its own; it may be stopped, and started again on the same port."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._port = free_port()
        self._server: Any = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Serve, and return once it answers."""
        import uvicorn

        config = uvicorn.Config(
            self._app,
            host="127.0.0.1",
            port=self._port,
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="served", daemon=True)
        self._thread.start()
        until(lambda: self._server.started)

    def stop(self) -> None:
        """Stop serving, whoever listens."""
        if self._thread is not None:
            self._server.should_exit = True
            self._server.force_exit = True
            self._thread.join(PATIENCE.total_seconds())
            self._thread = None


@dataclass(frozen=True)
class Console:
    """A console that is served, with what it stands on."""

    serving: Serving
    server: Server

    @property
    def url(self) -> str:
        """Where it is."""
        return self.server.url

    def cookies(self, role: str) -> list[Any]:
        """Return the cookies of a new session of whoever holds a role."""
        person = next(name for name, held in ROLES.items() if held == role)
        account = self.serving.access.accounts.account(person)
        assert account is not None
        session = self.serving.access.credentials.begin(account, "password")
        return [{"name": PLAIN_COOKIE, "value": session, "url": self.url, "httpOnly": True, "sameSite": "Lax"}]


@contextmanager
def console(folder: Path, *, notify: object = None) -> Iterator[Console]:
    """Serve a console with cycles of every kind, under the real clock; `notify` is a section of its configuration."""
    made = serving_of(folder, clock=SystemClock(), notify=notify)
    serving = replace(made, chat=chat_desk_of(made.app, made.access, orchestrator=None))
    server = Server(create_app(serving))
    server.start()
    try:
        yield Console(serving, server)
    finally:
        server.stop()
        serving.access.close()
        serving.app.close()


def chromium() -> str | None:
    """Return where Chromium is on this machine, or None."""
    return next((found for name in NAMES if (found := shutil.which(name)) is not None), None)


@contextmanager
def browser(program: str) -> Iterator[Browser]:
    """Open a browser."""
    from playwright.sync_api import expect, sync_playwright

    patience_ms = PATIENCE.total_seconds() * 1000
    expect.set_options(timeout=patience_ms)
    with sync_playwright() as playwright:
        args = ["--no-sandbox", "--disable-gpu"]
        opened = playwright.chromium.launch(executable_path=program, args=args, timeout=4 * patience_ms)
        try:
            yield opened
        finally:
            opened.close()


@dataclass
class Visit:
    """Somebody at a browser, and what went wrong meanwhile: errors, refused content, requests to elsewhere."""

    context: BrowserContext
    page: Page
    url: str
    expected: tuple[str, ...] = ()
    wrong: list[str] = field(default_factory=list)

    def to(self, path: str) -> Page:
        """Go to a page of the console."""
        self.page.goto(f"{self.url}{path}")
        return self.page

    def expect(self, *texts: str) -> None:
        """Take messages with one of these texts for what they should be."""
        self.expected = (*self.expected, *texts)

    @property
    def problems(self) -> list[str]:
        """What went wrong and was not expected."""
        return [said for said in self.wrong if not any(text in said for text in self.expected)]

    def listen(self) -> None:
        """Note what goes wrong from now on."""
        self.page.on(
            "console", lambda said: self.wrong.append(said.text) if said.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        self.page.on("request", self._elsewhere)

    def _elsewhere(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:", "blob:")):
            self.wrong.append(f"request to {request.url}")


@contextmanager
def visit(
    opened: Browser,
    console: Console,
    role: str | None,
    *,
    viewport: dict[str, int] | None = None,
    dark: bool = False,
    scripts: bool = True,
) -> Iterator[Visit]:
    """Let somebody in, by a session of a role; without a role, nobody is signed in."""
    size: Any = viewport or DESK
    context = opened.new_context(
        viewport=size, color_scheme="dark" if dark else "light", java_script_enabled=scripts, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE.total_seconds() * 1000)
    if role is not None:
        context.add_cookies(console.cookies(role))
    page = context.new_page()
    made = Visit(context, page, console.url)
    made.listen()
    try:
        yield made
    finally:
        context.close()
