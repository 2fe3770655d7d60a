"""What the stubs of forges share: requests to merge over a real repository, and a small HTTP server with faults."""

from __future__ import annotations

import json
import threading
from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.stubs import small_server
from tests.stubs.forge.repository import Bare, Style

Answer = tuple[int, Any]
CREATED = "2026-01-01T00:{:02d}:00Z"


@dataclass
class Proposed:
    """One request to merge. `style` and `made` say how and as what it was merged."""

    number: int
    branch: str
    base: str
    title: str
    body: str
    state: str = "open"
    made: str = ""
    style: str = ""
    fork: bool = False
    asked: int = 0
    comments: list[tuple[str, str, str]] = field(default_factory=list)
    checks: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A request over HTTP: its path without the part before the project's own."""

    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]


class ForgeStub:
    """A forge with one project over a bare repository.

    `auto` merges what is asked for at the second look; `blank` forgets the message of what is squashed; `strict` wants
    the newest base first; `fault` is ``slow``, ``down``, ``page`` or ``limited``.
    """

    def __init__(
        self, repository: Path, *, project: str, token: str, auto: bool = False, style: Style = "squash"
    ) -> None:
        self.bare = Bare(repository)
        self.project = project
        self.token = token
        self.reader = f"{token}-reader"
        self.auto = auto
        self.style: Style = style
        self.blank = False
        self.strict = False
        self.archived = False
        self.hides_checks = False
        self.fault = ""
        self.proposed: list[Proposed] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self._server = small_server.SmallServer(self._served)
        self._minute = 0
        self._lock = threading.RLock()

    def __enter__(self) -> ForgeStub:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        return self._server.url

    def _served(self, request: small_server.Asked) -> small_server.Said:
        match self.fault:
            case "slow":
                self._server.stopping.wait(30)
                return _said(503, {})
            case "down":
                return _said(503, {"message": "Service Unavailable"})
            case "page":
                return _said(200, "<!doctype html><title>Sign in</title>")
            case "limited":
                return _said(403, {"message": "API rate limit exceeded for user ID 1."})
            case _:
                return _said(*self.take(request.method, request.target, dict(request.headers), request.body))

    # -- what people do ---------------------------------------------------------------------------------------------

    def merge(self, number: int, style: Style | None = None) -> str:
        """Merge for real and return what the base is at then."""
        one, chosen = self.one(number), style or self.style
        message = self.merge_message(one, chosen)
        one.made = self.bare.merge(one.branch, one.base, chosen, message, forward=self.forwards)
        one.state, one.style = "merged", chosen
        return one.made

    def refuse(self, number: int, words: str, who: str = "reviewer") -> None:
        """Say why and close it without a merge."""
        one = self.one(number)
        one.comments.append((who, words, self.minute()))
        one.state = "closed"

    def one(self, number: int) -> Proposed:
        return next(one for one in self.proposed if one.number == number)

    def conflicts(self, one: Proposed) -> bool:
        return not self.bare.merged_tree(self.bare.tip(one.base), self.bare.tip(one.branch))

    def behind(self, one: Proposed) -> bool:
        return self.strict and not self.bare.has(self.bare.tip(one.base), self.bare.tip(one.branch))

    def minute(self) -> str:
        """Timestamps that only grow."""
        self._minute += 1
        return CREATED.format(self._minute % 60)

    def looked(self, one: Proposed) -> None:
        """Somebody asks for one request: with `auto`, it is merged at the second time."""
        one.asked += 1
        if self.auto and one.state == "open" and one.asked > 1:
            self.merge(one.number)

    # -- what a vendor gives ----------------------------------------------------------------------------------------

    forwards = False
    prefix: str

    @abstractmethod
    def merge_message(self, one: Proposed, style: Style) -> str:
        """The message of the commit a merge makes."""

    @abstractmethod
    def allows(self, headers: dict[str, str]) -> tuple[bool, bool]:
        """Whether the token is known, and whether it may write."""

    @abstractmethod
    def answer(self, asked: Asked) -> Answer:
        """Answer a request of somebody who may make it."""

    @abstractmethod
    def wrong(self, status: int) -> Any:
        """The body of a refusal."""

    def take(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Answer a request."""
        parts = urlsplit(target)
        with self._lock:
            self.seen.append((method, parts.path, headers))
            known, writes = self.allows(headers)
            if not known:
                return 401, self.wrong(401)
            if not parts.path.startswith(self.prefix):
                return 404, self.wrong(404)
            if method != "GET" and not writes:
                return 403, self.wrong(403)
            path = unquote(parts.path.removeprefix(self.prefix))
            return self.answer(Asked(method, path, dict(parse_qsl(parts.query)), json.loads(body or b"{}")))


def _said(status: int, body: Any) -> small_server.Said:
    if isinstance(body, str):
        return small_server.Said(status, body.encode(), "text/html")
    return small_server.Said(status, json.dumps(body).encode(), "application/json; charset=utf-8")
