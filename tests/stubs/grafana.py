"""A Grafana as its HTTP API documents it, for what concerns annotations: tokens with permissions, dashboards, tags."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.stubs.small_server import Asked, Said, SmallServer, said

EDITOR = {"annotations:read": ["annotations:*"], "annotations:create": ["annotations:*"], "dashboards:read": ["*"]}
VIEWER = {"annotations:read": ["annotations:*"], "dashboards:read": ["*"]}


class GrafanaStub:
    """Serves on loopback while it is entered. `tokens` are permissions by token, `dashboards` the UIDs there are.

    `knows_permissions` False is a Grafana from before they could be asked for; `database` is what its health says.
    """

    def __init__(
        self,
        tokens: Mapping[str, Mapping[str, Any]],
        dashboards: tuple[str, ...] = (),
        *,
        knows_permissions: bool = True,
    ) -> None:
        self.tokens = tokens
        self.dashboards = dashboards
        self.knows_permissions = knows_permissions
        self.database = "ok"
        self.annotations: list[dict[str, Any]] = []
        self.seen: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._server = SmallServer(self._served)

    def __enter__(self) -> GrafanaStub:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._server.url

    def _served(self, request: Asked) -> Said:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        status, content = self.answer(request.method, request.target, token, request.json())
        return said(content, status)

    def answer(self, method: str, target: str, token: str, body: Any) -> tuple[int, Any]:
        """Return status and JSON of a request."""
        parts = urlsplit(target)
        self.seen.append((method, parts.path))
        if parts.path == "/api/health":
            return 200, {"commit": "unknown", "database": self.database, "version": "11.2.0"}
        granted = self.tokens.get(token)
        if granted is None:
            return 401, {"message": "Invalid API key"}
        if parts.path == "/api/access-control/user/permissions" and self.knows_permissions:
            return 200, dict(granted)
        if parts.path.startswith("/api/dashboards/uid/"):
            known = parts.path.rpartition("/")[2] in self.dashboards
            return (200, {"dashboard": {}, "meta": {}}) if known else (404, {"message": "Dashboard not found"})
        if parts.path == "/api/annotations":
            return self._annotations(method, parse_qs(parts.query), granted, body)
        return 404, {"message": "Not found"}

    def _annotations(
        self, method: str, query: Mapping[str, list[str]], granted: Mapping[str, Any], body: Any
    ) -> tuple[int, Any]:
        needed = "annotations:read" if method == "GET" else "annotations:create"
        if needed not in granted:
            return 403, {"message": f"You'll need additional permissions to perform this action: {needed}"}
        if method == "POST":
            return self._created(body)
        wanted = set(query.get("tags", []))
        found = [a for a in self.annotations if wanted <= set(a["tags"])]
        return 200, found[: int(query.get("limit", ["100"])[0])]

    def _created(self, body: Any) -> tuple[int, Any]:
        if not isinstance(body, dict) or not str(body.get("text", "")):
            return 400, {"message": "Failed to save annotation: text field should not be empty"}
        uid = body.get("dashboardUID")
        if uid and uid not in self.dashboards:
            return 404, {"message": "Dashboard not found"}
        with self._lock:
            made = {
                "id": len(self.annotations) + 1,
                "time": body.get("time"),
                "timeEnd": body.get("timeEnd") or body.get("time"),
                "text": body["text"],
                "tags": body.get("tags") or [],
                "dashboardUID": uid,
                "panelId": body.get("panelId", 0),
            }
            self.annotations.append(made)
        return 200, {"message": "Annotation added", "id": made["id"]}
