"""A bare git repository over HTTP or HTTPS: git's own ``http-backend`` as a CGI program behind a threaded server.

with GitHttp(repository, users={"evercrew": "token"}, tls=True) as server:
    ...  # clone from server.url, trusting server.ca
"""

from __future__ import annotations

import base64
import binascii
import hmac
import shlex
import shutil
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Collection, Mapping
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from testbed.servers.base import ServerError, find

_PAGE = b"<!doctype html>\n<title>Sign in</title>\n<p>This is a page about the repository.</p>\n"
_PATIENCE = 60.0


class Fault(StrEnum):
    """What the server does instead of answering: nothing for a long time, a 503, or a page that is not git."""

    NONE = ""
    SLOW = "slow"
    REFUSE = "refuse"
    NOT_GIT = "not-git"


class GitHttp:
    """Serves one bare repository on loopback while it is entered.

    Args:
        repository: folder of the bare repository.
        users: name -> password; without users nobody has to say who they are, and nobody may push.
        readers: those of the users who may only read.
        protected: branch -> users who may push to it; everybody else is refused by a pre-receive hook.
        tls: serve HTTPS with a certificate of an authority of its own (`ca`).
        client_certificates: ask every client for a certificate of that authority (`client`).
    """

    def __init__(
        self,
        repository: Path,
        *,
        users: Mapping[str, str] | None = None,
        readers: Collection[str] = (),
        protected: Mapping[str, Collection[str]] | None = None,
        tls: bool = False,
        client_certificates: bool = False,
    ) -> None:
        if not (repository / "HEAD").is_file():
            raise ServerError(f"{repository} is not a bare git repository: git init --bare")
        self.repository = repository.absolute()
        self.fault = Fault.NONE
        self.requests: list[str] = []
        self.stopping = threading.Event()
        self._users = dict(users or {})
        self._readers = frozenset(readers)
        self._tls = tls
        self._asks_clients = client_certificates
        self._copy: Path | None = None
        self._git = find("git", "git")
        self._scratch = Path(tempfile.mkdtemp(prefix="githttp-"))
        self._certify()
        self._server = self._make_server()
        if protected is not None:
            self.protect(protected)

    def _certify(self) -> None:
        if not self._tls:
            return
        from testbed.servers.certificates import Authority

        authority = Authority(self._scratch)
        self.ca = authority.ca
        self._certificate = authority.issue("server")
        self.client = authority.issue("client")

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop serving; the repository stays."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def url(self) -> str:
        """The address to clone from."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}/{self.repository.name}"

    def protect(self, branches: Mapping[str, Collection[str]]) -> None:
        """Let only the named users push to these branches; over other ways nobody may."""
        rules = "".join(
            f"    {shlex.quote('refs/heads/' + branch)}:*)\n"
            f'      case {shlex.quote(" " + " ".join(users) + " ")} in *" $REMOTE_USER "*) ;;\n'
            f'        *) echo "the branch {branch} is protected" >&2; exit 1 ;;\n      esac ;;\n'
            for branch, users in branches.items()
        )
        hook = self.repository / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        loop = f'while read old new ref; do\n  case "$ref:$new" in\n{rules}  esac\ndone\n'
        hook.write_text(f"#!/bin/sh\nREMOTE_USER=${{REMOTE_USER:--}}\n{loop}")
        hook.chmod(0o755)

    def freeze(self) -> None:
        """From now on answer reads from a copy of the repository as it is, while pushes go to the repository."""
        copy = self._scratch / "copy" / self.repository.name
        shutil.copytree(self.repository, copy)
        self._copy = copy

    def thaw(self) -> None:
        """Answer reads from the repository again."""
        if self._copy is not None:
            shutil.rmtree(self._copy.parent)
            self._copy = None

    # -- answering --------------------------------------------------------------------------------------------------

    def allows(self, authorization: str, *, writes: bool) -> tuple[int, str]:
        """Return the status of a request, 200 when it may go on, and the user's name."""
        if not self._users:
            return (403 if writes else 200), ""
        try:
            name, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return 401, ""
        if not hmac.compare_digest(self._users.get(name, ""), password) or not password:
            return 401, ""
        return (403 if writes and name in self._readers else 200), name

    def answer(self, environment: Mapping[str, str], body: bytes, *, writes: bool) -> bytes:
        """Run the backend and return what it wrote: header lines, an empty line, the body."""
        repository = self._copy if self._copy is not None and not writes else self.repository
        place = {
            "GIT_PROJECT_ROOT": str(repository.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "HOME": str(self._scratch),
            "PATH": f"{Path(self._git).parent}:/usr/local/bin:/usr/bin:/bin",
        }
        done = subprocess.run(
            [self._git, "http-backend"],
            input=body,
            capture_output=True,
            check=False,
            env={**environment, **place},
            timeout=_PATIENCE,
        )
        return done.stdout or b"Status: 500 Internal Server Error\r\n\r\n" + done.stderr

    def wait_for_the_end(self) -> None:
        """Keep a client waiting until the server stops, or for a minute."""
        self.stopping.wait(_PATIENCE)

    def _make_server(self) -> ThreadingHTTPServer:
        home = self

        class Handler(_Handler):
            server_of = home

        server = _Quiet(("127.0.0.1", 0), Handler)
        if self._tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*self._certificate)
            if self._asks_clients:
                context.load_verify_locations(self.ca)
                context.verify_mode = ssl.CERT_REQUIRED
            # The handshake is the handler's: a client that never speaks must not stop the others.
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        return server


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up or do not trust us are no news."""


class _Handler(BaseHTTPRequestHandler):
    server_of: GitHttp
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        home = self.server_of
        body = self._body()
        parts = urlsplit(self.path)
        home.requests.append(f"{self.command} {self.path}")
        match home.fault:
            case Fault.SLOW:
                home.wait_for_the_end()
                self.close_connection = True
                return
            case Fault.REFUSE:
                return self._send(503, b"the server is being worked on\n")
            case Fault.NOT_GIT:
                return self._send(200, _PAGE, {"Content-Type": "text/html"})
        if not parts.path.startswith(f"/{home.repository.name}/"):
            return self._send(404, b"no such repository\n")
        writes = "git-receive-pack" in self.path
        status, user = home.allows(self.headers.get("Authorization", ""), writes=writes)
        if status == 401:
            return self._send(401, b"who are you?\n", {"WWW-Authenticate": 'Basic realm="git"'})
        if status != 200:
            return self._send(status, b"you may not do this\n")
        self._relay(home.answer(self._environment(parts.path, parts.query, user, len(body)), body, writes=writes))

    def _environment(self, path: str, query: str, user: str, length: int) -> dict[str, str]:
        """The meta-variables of RFC 3875 that the backend reads."""
        return {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_USER": user,
            "REMOTE_ADDR": str(self.client_address[0]),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "SERVER_PROTOCOL": self.request_version,
        }

    def _relay(self, answer: bytes) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line]
        headers = {name: value for name, value in lines if name.lower() not in ("status", "content-length")}
        status = next((value for name, value in lines if name.lower() == "status"), "200 OK")
        self._send(int(status.split()[0]), body, headers)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the terminal quiet."""
