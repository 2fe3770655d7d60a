"""The HTTP server of the stubs: all methods, headers, credentials; a delay, a lie, a cut or dripping answer on demand.

A stub is a function from what was asked to what is said; what it keeps besides is its own.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from adapters.rest import Endpoint


@dataclass(frozen=True)
class Asked:
    """What came in; `headers` by lower-case name, `target` as it stood in the request line."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    target: str = ""

    def json(self) -> Any:
        """Return the body as JSON; None where there is none."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Said:
    """What goes out.

    `promised` is the content length to claim, where it is not the true one; with `drip`, the body comes a byte at a
    time, so many seconds apart.
    """

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    promised: int | None = None
    drip: float = 0.0


def said(value: Any, status: int = 200) -> Said:
    """Return an answer of JSON; NaN is written as Python writes it."""
    return Said(status, json.dumps(value).encode())


class _Quiet(ThreadingHTTPServer):
    """Clients that hang up are part of the tests, and so is an answer that a stub breaks off."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet."""


@dataclass
class SmallServer:
    """Serves `answer` on a free port of loopback while it is entered, or from `start` to `stop`.

    Args:
        header: the header a request has to carry, by name and value; others are answered with `refusal`.
        delay: before each answer.
        lie: said in place of every answer.
    """

    answer: Callable[[Asked], Said]
    header: tuple[str, str] | None = None
    refusal: Said = field(default_factory=lambda: said({"message": "unauthorized"}, 401))
    delay: float = 0.0
    lie: Said | None = None
    seen: list[Asked] = field(default_factory=list)
    exchanges: list[tuple[Asked, Said]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> SmallServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """Serve in a thread, and return the address."""
        small = self

        class Handler(_Handler):
            home = small

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self.url

    def stop(self) -> None:
        """Stop serving; answers that wait are let go."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, request: Asked) -> Said:
        """Answer one request, and keep the exchange."""
        self.seen.append(request)
        given = self._given(request)
        self.exchanges.append((request, given))
        return given

    def _given(self, request: Asked) -> Said:
        if self.delay:
            self.stopping.wait(self.delay)
        if self.header is not None and request.headers.get(self.header[0].lower()) != self.header[1]:
            return self.refusal
        return self.lie if self.lie is not None else self.answer(request)


class _Handler(BaseHTTPRequestHandler):
    home: SmallServer
    protocol_version = "HTTP/1.1"
    # Head and body leave in one packet: else the second waits for the client to acknowledge the first.
    wbufsize = -1

    def handle_one(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        out = self.home.take(Asked(self.command, unquote(parts.path), query, headers, body, self.path))
        try:
            self._send(out)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client gave up waiting

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

    def _send(self, out: Said) -> None:
        self.send_response(out.status)
        for name, value in {"Content-Type": out.kind, **out.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(out.body) if out.promised is None else out.promised))
        self.end_headers()
        for start in range(len(out.body) if out.drip else 0):
            self.wfile.write(out.body[start : start + 1])
            self.wfile.flush()
            self.home.stopping.wait(out.drip)
        self.wfile.write(b"" if out.drip or self.command == "HEAD" else out.body)
        self.wfile.flush()
        self.close_connection = self.close_connection or out.promised is not None

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def endpoint(url: str, *, token: str = "", password: str = "", **fields: Any) -> Endpoint:
    """Return an endpoint for tests: one attempt."""
    given = {"attempts": 1, "timeout": timedelta(seconds=30), **fields}
    return Endpoint(
        url=url,
        token=SecretStr(token) if token else None,
        password=SecretStr(password) if password else None,
        **given,
    )


NOBODY = "http://127.0.0.1:9"
"""Where nothing listens (the discard port)."""
