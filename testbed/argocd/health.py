"""What the platform says of itself, in Argo CD's words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx

_TIMEOUT = 2.0


@dataclass(frozen=True)
class Health:
    """One of Argo CD's health states, with its reason."""

    status: str
    message: str = ""


class PlatformHealth:
    """Asks the platform at `url` whether a revision is live there, or was refused."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url.rstrip("/"), timeout=_TIMEOUT, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def of(self, revision: str) -> Health:
        """Return the health of the platform that shall serve `revision`."""
        try:
            answer = self._client.get("/version")
            live = str(answer.json()["values_revision"]) if answer.status_code == 200 else ""
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return Health("Progressing", "the platform does not answer")
        if live == revision:
            return Health("Healthy")
        refusal = self._refusal(revision)
        if refusal:
            return Health("Degraded", refusal)
        return Health("Progressing", f"the platform serves {live[:12] or 'nothing'}, {revision[:12]} is on its way")

    def _refusal(self, revision: str) -> str:
        """Why the platform refused the revision, empty when it did not."""
        try:
            answer = self._client.get("/data/logs", params={"contains": "values_rejected", "limit": 50})
            lines = [json.loads(line) for line in answer.text.splitlines() if line] if answer.is_success else []
        except (httpx.HTTPError, ValueError):
            return ""
        return next((_reason(line) for line in reversed(lines) if line.get("revision") == revision), "")


def _reason(line: dict[str, Any]) -> str:
    return f"the platform refused the revision: {line.get('reason', 'no reason given')}"
