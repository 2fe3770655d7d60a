"""A LangSmith endpoint over real HTTP: GET /info and /sessions, POST /runs/multipart and /runs/batch. It can be slow,
refuse, or be old.
"""

from __future__ import annotations

import json
import threading
from email.parser import BytesParser
from typing import Any

from tests.stubs.small_server import Asked, Said, SmallServer, said


class LangSmithStub:
    """Merges what is posted and patched into `runs`, by identity.

    Args:
        delay: seconds before each answer to a post.
        status: answered to every post instead of taking it.
        multipart: False for an endpoint that knows only the batch path.
        key: the only key it takes; any, when empty.
    """

    def __init__(self, *, delay: float = 0.0, status: int = 202, multipart: bool = True, key: str = "") -> None:
        self.delay = delay
        self.status = status
        self.multipart = multipart
        self.key = key
        self.runs: dict[str, dict[str, Any]] = {}
        self.paths: list[str] = []
        self.keys: set[str] = set()
        self._lock = threading.Lock()
        self._server = SmallServer(self._answer)

    def start(self) -> str:
        """Serve in a thread and return the endpoint's URL."""
        return self._server.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.stop()

    def _answer(self, request: Asked) -> Said:
        key = request.headers.get("x-api-key", "")
        if (request.method, request.path) == ("GET", "/info"):  # for everybody, whatever the key
            batching = {"use_multipart_endpoint": self.multipart, "size_limit": 100}
            return said({"version": "0.0.0", "batch_ingest_config": batching, "instance_flags": {}})
        if self.key and key != self.key:
            return said({"error": "Forbidden"}, 403)
        if (request.method, request.path) == ("GET", "/sessions"):
            return said([])
        if request.method != "POST":
            return said({}, 404)
        return said({}, self._take(request, key))

    def _take(self, request: Asked, key: str) -> int:
        """Take a post and return the status to answer."""
        self._server.stopping.wait(self.delay)
        with self._lock:
            self.paths.append(request.path)
            self.keys.add(key)
            if self.status != 202:
                return self.status
            if request.path == "/runs/multipart" and self.multipart:
                self._multipart(request.headers.get("content-type", ""), request.body)
                return 202
            if request.path == "/runs/batch":
                batch = request.json()
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
