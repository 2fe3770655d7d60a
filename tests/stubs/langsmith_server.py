"""A LangSmith endpoint over real HTTP: GET /info, POST /runs/multipart and /runs/batch. It can be slow, refuse, or be
old.
"""

from __future__ import annotations

import json
import threading
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LangSmithStub:
    """Merges what is posted and patched into `runs`, by identity.

    Args:
        delay: seconds before each answer to a post.
        status: answered to every post instead of taking it.
        multipart: False for an endpoint that knows only the batch path.
    """

    def __init__(self, *, delay: float = 0.0, status: int = 202, multipart: bool = True) -> None:
        self.delay = delay
        self.status = status
        self.multipart = multipart
        self.runs: dict[str, dict[str, Any]] = {}
        self.paths: list[str] = []
        self.keys: set[str] = set()
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> str:
        """Serve in a thread and return the endpoint's URL."""
        stub = self

        class Handler(_Handler):
            home = stub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Stop serving."""
        self.stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def take(self, path: str, key: str, content_type: str, body: bytes) -> int:
        """Take a post and return the status to answer."""
        self.stopping.wait(self.delay)
        with self._lock:
            self.paths.append(path)
            self.keys.add(key)
            if self.status != 202:
                return self.status
            if path == "/runs/multipart" and self.multipart:
                self._multipart(content_type, body)
                return 202
            if path == "/runs/batch":
                batch = json.loads(body)
                for run in [*batch.get("post", []), *batch.get("patch", [])]:
                    self.runs.setdefault(run["id"], {}).update(run)
                return 202
        return 404

    def _multipart(self, content_type: str, body: bytes) -> None:
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        for part in BytesParser().parsebytes(head + body).get_payload():
            name = str(part.get_param("name", header="content-disposition"))  # type: ignore[union-attr]
            _, identity, *rest = name.split(".")
            value = json.loads(part.get_payload(decode=True))  # type: ignore[union-attr,arg-type]
            self.runs.setdefault(identity, {}).update({rest[0]: value} if rest else value)


class _Handler(BaseHTTPRequestHandler):
    home: LangSmithStub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/info":
            batching = {"use_multipart_endpoint": self.home.multipart, "size_limit": 100}
            self._send(200, {"version": "0.0.0", "batch_ingest_config": batching, "instance_flags": {}})
        else:
            self._send(404, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        key = self.headers.get("x-api-key", "")
        self._send(self.home.take(self.path, key, self.headers.get("Content-Type", ""), body), {})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client gave up waiting

    def log_message(self, format: str, *args: object) -> None:
        """Keep the terminal quiet."""
