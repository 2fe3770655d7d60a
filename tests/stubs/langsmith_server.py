"""A LangSmith endpoint over real HTTP: GET /info and /sessions, POST /runs/multipart (plain and Zstandard),
/runs/batch and /feedback. It can be slow, refuse, or be old.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from email.parser import BytesParser
from typing import Any
from uuid import UUID

import zstandard

from tests.stubs.small_server import Asked, Said, SmallServer, said


class LangSmithStub:
    """Merges what is posted and patched into `runs`, by identity, and keeps feedback by its own.

    Like the real one it takes only runs that say where in their trace they stand, and whose trace is that of the root.

    Args:
        delay: seconds before each answer to a post.
        status: answered to every post instead of taking it.
        multipart: False for an endpoint that knows only the batch path.
        zstd: whether compressed posts are taken, and asked for.
        key: the only key it takes; any, when empty.
    """

    def __init__(
        self, *, delay: float = 0.0, status: int = 202, multipart: bool = True, zstd: bool = False, key: str = ""
    ) -> None:
        self.delay = delay
        self.status = status
        self.multipart = multipart
        self.zstd = zstd
        self.key = key
        self.runs: dict[str, dict[str, Any]] = {}
        self.feedback: dict[str, dict[str, Any]] = {}
        self.paths: list[str] = []
        self.keys: set[str] = set()
        self.encodings: set[str] = set()
        self.bodies: list[bytes] = []
        self.wrong: list[str] = []
        self.posted: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = SmallServer(self._answer)

    def start(self) -> str:
        """Serve in a thread and return the endpoint's URL."""
        return self._server.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.stop()

    @property
    def url(self) -> str:
        """Where it listens, once it was started."""
        return self._server.url

    @property
    def spoken(self) -> str:
        """Everything that has arrived, as text."""
        return "\n".join(body.decode("utf-8", "replace") for body in self.bodies)

    def _answer(self, request: Asked) -> Said:
        key = request.headers.get("x-api-key", "")
        if (request.method, request.path) == ("GET", "/info"):  # for everybody, whatever the key
            batching = {"use_multipart_endpoint": self.multipart, "size_limit": 100}
            flags = {"zstd_compression_enabled": self.zstd}
            return said({"version": "0.0.0", "batch_ingest_config": batching, "instance_flags": flags})
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
            body = self._plain(request)
            if body is None:
                return 415
            self.bodies.append(body)
            if request.path == "/runs/multipart" and self.multipart:
                self._multipart(request.headers.get("content-type", ""), body)
                return 202
            if request.path == "/runs/batch":
                batch = json.loads(body)
                for run in [*batch.get("post", []), *batch.get("patch", [])]:
                    self._run(run["id"], run)
                return 202
            if request.path == "/feedback":
                told = json.loads(body)
                self.feedback[told["id"]] = told
                return 200
        return 404

    def _plain(self, request: Asked) -> bytes | None:
        encoding = request.headers.get("content-encoding", "")
        self.encodings.add(encoding)
        if encoding != "zstd":
            return request.body
        return zstandard.ZstdDecompressor().decompress(request.body, 100_000_000) if self.zstd else None

    def _multipart(self, content_type: str, body: bytes) -> None:
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        for part in BytesParser().parsebytes(head + body).get_payload():
            name = str(part.get_param("name", header="content-disposition"))  # type: ignore[union-attr]
            method, identity, *rest = name.split(".")
            if method == "post" and not rest:
                self.posted[UUID(identity).hex] += 1
            value = json.loads(part.get_payload(decode=True))  # type: ignore[union-attr,arg-type]
            self._run(identity, {rest[0]: value} if rest else value)

    def _run(self, identity: str, told: dict[str, Any]) -> None:
        run = self.runs.setdefault(identity, {})
        run.update(told)
        if "dotted_order" not in run:
            return
        path = [part[-36:] for part in run["dotted_order"].split(".")]
        if path[-1] != identity or path[0] != run["trace_id"]:
            self.wrong.append(f"{identity} stands at {run['dotted_order']} of {run['trace_id']}")
        if (path[-2] if len(path) > 1 else None) != run.get("parent_run_id"):
            self.wrong.append(f"{identity} is below {run.get('parent_run_id')}, not {path[-2:-1]}")
