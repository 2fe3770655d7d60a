"""A receiver of webhooks on loopback: hands each body to a function, and says 200 only after that has returned."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from testbed.servers.base import free_port

MOST_BYTES = 4 * 1024 * 1024


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing is answered: whoever sent it sends it again."""


class Webhook:
    """Calls `receive` with the parsed JSON of every POST, in a thread of the request.

    What `receive` raises leaves the request without an answer, so that the sender tries again; what is no JSON is
    refused with 400 and not sent again.
    """

    def __init__(self, receive: Callable[[Any], object], port: int | None = None) -> None:
        self._receive = receive
        self._server = _Server(("127.0.0.1", port or free_port()), self._handler())
        self._thread = threading.Thread(target=self._serve, name="webhook", daemon=True)

    def __enter__(self) -> Webhook:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where bodies are sent to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def start(self) -> Webhook:
        """Begin to receive."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop receiving."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(timeout=5)
        self._server.server_close()

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receive = self._receive

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                if length > MOST_BYTES:
                    self._answer(413)
                    return
                try:
                    body = json.loads(self.rfile.read(length))
                except ValueError:
                    self._answer(400)
                    return
                receive(body)
                self._answer(200)

            def _answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                self.close_connection = status != 200

            def log_message(self, format: str, *args: object) -> None:
                """Keep quiet."""

        return Handler
