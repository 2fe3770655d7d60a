"""A Qdrant server: its REST API over the client's local mode, with the collection's state and failures on demand."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError
from qdrant_client import QdrantClient, models

from tests.stubs.small_server import Asked, Said, said

COLLECTION = "documents"


@dataclass
class QdrantApi:
    """Answers for one collection.

    Args:
        status, optimizer, threads: what the collection says of itself.
        lost: the share of neighbours that the index does not find.
        version: before 1.16 metadata are not kept.
        read_only: changes are forbidden.
    """

    status: str = "green"
    optimizer: Any = "ok"
    threads: int | None = None
    lost: float = 0.0
    version: str = "1.16.0"
    read_only: bool = False
    ef_construct: int = 100
    rebuilds: int = 0
    local: QdrantClient = field(default_factory=lambda: QdrantClient(":memory:"))

    def __call__(self, request: Asked) -> Said:
        parts = request.path.strip("/").split("/")
        if request.path == "/":
            return said({"title": "qdrant - vector search engine", "version": self.version, "commit": "0"})
        if parts[0] != "collections" or len(parts) < 2:
            return Said(404, b"")
        if not self.local.collection_exists(parts[1]):
            return _error(404, f"Not found: Collection `{parts[1]}` doesn't exist!")
        ways: dict[tuple[str, str], Callable[[str, Asked], Said]] = {
            ("GET", ""): self._info,
            ("PATCH", ""): self._update,
            ("POST", "points/payload"): self._payload,
            ("POST", "points/count"): self._count,
            ("POST", "points/scroll"): self._scroll,
            ("POST", "points/query"): self._query,
        }
        way = ways.get((request.method, "/".join(parts[2:])))
        if way is None:
            return Said(404, b"")
        if self.read_only and way in (self._update, self._payload):
            return _error(403, "Forbidden: Global write access is required")
        try:
            return way(parts[1], request)
        except ValidationError as error:
            return _error(400, f"Format error in JSON body: {error.errors()[0]['msg']}")
        except ValueError as error:
            return _error(400, f"Wrong input: {error}")

    def _info(self, name: str, request: Asked) -> Said:
        info = _json(self.local.get_collection(name))
        info.update(status=self.status, optimizer_status=self.optimizer)
        info["config"]["hnsw_config"]["ef_construct"] = self.ef_construct
        info["config"]["optimizer_config"]["max_optimization_threads"] = self.threads
        info["indexed_vectors_count"] = info["points_count"]
        return _result(info)

    def _update(self, name: str, request: Asked) -> Said:
        change = models.UpdateCollection.model_validate(request.json())
        if change.hnsw_config is not None and change.hnsw_config.ef_construct not in (None, self.ef_construct):
            self.ef_construct = change.hnsw_config.ef_construct or self.ef_construct
            self.rebuilds += 1
        if change.metadata is not None and self.version >= "1.16":
            self.local.update_collection(name, metadata=change.metadata)
        return _result(True)

    def _payload(self, name: str, request: Asked) -> Said:
        change = models.SetPayload.model_validate(request.json())
        chosen = change.filter if change.filter is not None else change.points or []
        self.local.set_payload(name, payload=change.payload, points=chosen)
        return _result({"operation_id": 1, "status": "completed"})

    def _count(self, name: str, request: Asked) -> Said:
        asked = models.CountRequest.model_validate(request.json())
        return _result({"count": self.local.count(name, count_filter=asked.filter).count})

    def _scroll(self, name: str, request: Asked) -> Said:
        asked = models.ScrollRequest.model_validate(request.json())
        points, following = self.local.scroll(name, scroll_filter=asked.filter, limit=asked.limit or 10)
        bare = [{"id": point.id, "payload": None, "vector": None} for point in points]
        return _result({"points": bare, "next_page_offset": following})

    def _query(self, name: str, request: Asked) -> Said:
        asked = models.QueryRequest.model_validate(request.json())
        exact = asked.params is not None and bool(asked.params.exact)
        limit = asked.limit or 10
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the local mode searches exactly in any case
            points = self.local.query_points(name, query=asked.query, using=asked.using, limit=limit).points
        kept = points if exact else points[int(len(points) * self.lost) :]
        return _result({"points": [{**_json(point), "payload": None, "vector": None} for point in kept]})


def _json(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_none=True)


def _result(value: Any) -> Said:
    return said({"usage": None, "time": 0.001, "status": "ok", "result": value})


def _error(status: int, words: str) -> Said:
    return said({"status": {"error": words}, "time": 0.0}, status)
