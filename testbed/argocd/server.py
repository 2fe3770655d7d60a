"""The stand-in as a server on loopback, in threads of this process."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from testbed.argocd.accounts import Account, Accounts
from testbed.argocd.api import CONTROL, Api, Asked, parsed
from testbed.argocd.application import Application
from testbed.argocd.controller import Controller
from testbed.argocd.errors import Problem
from testbed.argocd.exchange import Exchange
from testbed.argocd.faults import Fault
from testbed.argocd.health import PlatformHealth
from testbed.argocd.source import GitSource

ADMIN_TOKEN = "testbed-admin-token"


class ArgoCd:
    """Serves one application; use it as a context manager, or call `start` and `stop`.

    Args:
        folder: for its own mirror of the remote.
        remote, branch, path: what the application follows; a path, https or ssh.
        cluster: the bare repository it applies to; the platform follows its `main`.
        platform: the platform's URL, asked for its health.
        accounts: who may ask; by default one that may do everything, with `ADMIN_TOKEN`.
        automated: whether it applies new commits by itself.
        poll_seconds: pause between looks at the remote; 0 looks only when asked to refresh.
        git_environment: for git, e.g. GIT_SSL_CAINFO, GIT_ASKPASS, GIT_SSH_COMMAND.
        repo_url: what it calls the repository, where that differs from `remote`.
        certificate: files of a certificate and its key, to answer over https.
        slow_seconds: how long an answer takes while the fault `slow` is on.
        on_exchange: told of every request to the API with its answer.
    """

    def __init__(
        self,
        *,
        folder: Path,
        remote: str,
        cluster: Path,
        platform: str,
        branch: str = "main",
        path: str = ".",
        application: str = "search-production",
        project: str = "default",
        namespace: str = "argocd",
        accounts: Sequence[Account] = (Account("admin", ADMIN_TOKEN),),
        automated: bool = True,
        poll_seconds: float = 1.0,
        git_environment: Mapping[str, str] | None = None,
        repo_url: str = "",
        certificate: tuple[Path, Path] | None = None,
        port: int = 0,
        slow_seconds: float = 5.0,
        on_exchange: Callable[[Exchange], None] | None = None,
    ) -> None:
        spec = Application(application, repo_url or remote, branch, path, project, namespace, automated)
        source = GitSource(
            folder=folder, remote=remote, branch=branch, cluster=cluster, environment=git_environment or {}
        )
        self._health = PlatformHealth(platform)
        self.controller = Controller(spec, source, self._health)
        self.accounts = Accounts(accounts)
        self.api = Api(self.controller, source, self.accounts)
        self.on_exchange = on_exchange
        self.slow_seconds = slow_seconds
        self.stopping = threading.Event()
        self._poll_seconds = poll_seconds
        self._server = _server(self, port, certificate)
        self._scheme = "https" if certificate else "http"
        self._poller = threading.Thread(target=self._poll, name="argocd-poll", daemon=True)

    def __enter__(self) -> ArgoCd:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Look at the remote once, then serve."""
        self.controller.reconcile()
        serve = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="argocd", daemon=True)
        serve.start()
        if self._poll_seconds > 0:
            self._poller.start()

    def stop(self) -> None:
        """Stop serving."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        if self._poller.is_alive():
            self._poller.join(timeout=60)
        self._health.close()

    def fault(self, fault: Fault | str, on: bool = True) -> None:
        """Switch a fault on or off."""
        self.controller.switch(Fault(fault), on)

    def expire_sessions(self) -> None:
        """End all sessions that were opened with a password."""
        self.accounts.expire()

    def _poll(self) -> None:
        while not self.stopping.wait(self._poll_seconds):
            self.controller.reconcile()


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are nothing to report."""


def _server(argo: ArgoCd, port: int, certificate: tuple[Path, Path] | None) -> ThreadingHTTPServer:
    class Handler(_Handler):
        home = argo

    server = _QuietServer(("127.0.0.1", port), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, certificate))
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server


class _Handler(BaseHTTPRequestHandler):
    home: ArgoCd
    protocol_version = "HTTP/1.1"
    timeout = 30
    # Head and body in one packet.
    wbufsize = -1

    def do_GET(self) -> None:
        home, parts = self.home, urlsplit(self.path)
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
        path = unquote(parts.path)
        apart = path == CONTROL
        if Fault.SLOW in home.controller.faults and not apart:
            home.stopping.wait(home.slow_seconds)
        try:
            asked = Asked(self.command, path, dict(query), parsed(sent), self.headers.get("Authorization", ""))
            status, body = home.api.answer(asked)
        except Problem as problem:
            status, body = problem.status, problem.body()
        broken = Fault.BROKEN_JSON in home.controller.faults and not apart
        content = json.dumps(body).encode()
        content = content[: len(content) // 2] if broken else content
        if home.on_exchange is not None and not apart:
            home.on_exchange(Exchange(self.command, parts.path, query, sent, status, content, broken))
        self._send(status, content)

    do_POST = do_GET
    do_DELETE = do_GET
    do_PATCH = do_GET
    do_PUT = do_GET

    def _send(self, status: int, content: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep the terminal quiet."""
