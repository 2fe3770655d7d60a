"""Annotations in Grafana, by its HTTP API with a service account's token."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from adapters.annotations.base import EFFECT_ANNOTATE, Annotation
from adapters.rest import Endpoint, NotFound, Refused, RestClient
from domain.clock import Clock
from domain.errors import (
    ConfigurationError,
    DependencyError,
    DependencyLied,
    DependencyUnavailable,
    InvalidInput,
)
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

NAME = "grafana"
FIELD = "grafana"
TAG = "evercrew"
ANOTHER_PRODUCT = (
    f"Another product answers at {FIELD}.url: give the address of Grafana, with the path it is served below"
)


class GrafanaAnnotations:
    """An `AnnotationsPort` on the Grafana at `endpoint`.

    Marks go onto the dashboard with the UID `dashboard` (and its panel, where one is named); without one they are the
    organization's, shown wherever a dashboard asks for the tag `evercrew`. The key is a tag of its own.
    """

    configured = True

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        clock: Clock,
        permits: PermitVerifier,
        dashboard: str = "",
        panel: int | None = None,
    ) -> None:
        if panel is not None and not dashboard:
            raise ConfigurationError(f"{FIELD}.panel", "belongs to a dashboard", f"Name {FIELD}.dashboard too")
        self._client = RestClient(endpoint, name=NAME, field=FIELD, clock=clock)
        self._permits = permits
        self._dashboard = dashboard
        self._panel = panel

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def annotate(self, annotation: Annotation, *, key: str, permit: Permit | None) -> str:
        """See `AnnotationsPort.annotate`.

        Raises:
            ConfigurationError: the dashboard is not there.
        """
        self._permits.spend(permit, effect=EFFECT_ANNOTATE, key=key)
        found = self._of_key(key)
        if found is not None:
            return found
        body: dict[str, Any] = {
            "time": _milliseconds(annotation.at),
            "text": annotation.text,
            "tags": [TAG, _tag(key), *annotation.tags],
        }
        if annotation.ends_at is not None:
            body["timeEnd"] = _milliseconds(annotation.ends_at)
        if self._dashboard:
            body["dashboardUID"] = self._dashboard
        if self._panel is not None:
            body["panelId"] = self._panel
        try:
            answer = self._client.request("POST", "/api/annotations", json=body)
        except NotFound as absent:
            raise self._no_dashboard() from absent
        made = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(made, int) or isinstance(made, bool):
            raise DependencyLied(NAME, "it took the annotation and gave no id", ANOTHER_PRODUCT)
        return str(made)

    def observe(self, key: str) -> Observation:
        """See `AnnotationsPort.observe`."""
        try:
            found = self._of_key(key)
        except DependencyError as problem:
            return Observation.unknown(str(problem))
        return Observation.absent() if found is None else Observation.done({"id": found})

    def check(self) -> str:
        """See `AnnotationsPort.check`."""
        version = self._version()
        self._may_write()
        if self._dashboard:
            try:
                self._client.get(f"/api/dashboards/uid/{self._dashboard}")
            except NotFound as absent:
                raise self._no_dashboard() from absent
        where = f"dashboard {self._dashboard}" if self._dashboard else "every dashboard that shows the tag evercrew"
        return f"{NAME}: {version} answers, marks go to {where}"

    def _version(self) -> str:
        try:
            health = self._client.get("/api/health")
        except InvalidInput as other:
            raise DependencyLied(NAME, f"it does not answer as one: {other.problem}", ANOTHER_PRODUCT) from other
        if not isinstance(health, dict) or "database" not in health:
            raise DependencyLied(NAME, "its health is not that of Grafana", ANOTHER_PRODUCT)
        if health["database"] != "ok":
            raise DependencyUnavailable(NAME, f"its database is {health['database']!r}", "Look at Grafana's own log")
        return str(health.get("version", "an unnamed version"))

    def _may_write(self) -> None:
        """Ask for the token's permissions; a Grafana before 8.5 does not know them, and is believed."""
        try:
            granted = self._client.get("/api/access-control/user/permissions")
        except NotFound:
            self._client.get("/api/annotations", {"limit": 1})
            return
        except Refused as refused:
            raise Refused(
                NAME,
                f"it does not take the token: {refused.problem}",
                "Make a service account's token, and name it in EVERCREW_GRAFANA_TOKEN",
            ) from refused
        if not isinstance(granted, dict):
            raise DependencyLied(NAME, "the permissions are not those of Grafana", ANOTHER_PRODUCT)
        missing = [name for name in ("annotations:read", "annotations:create") if name not in granted]
        if missing:
            raise Refused(
                NAME,
                f"the token lacks {' and '.join(missing)}",
                "Give its service account the role Editor, or these rights",
            )

    def _of_key(self, key: str) -> str | None:
        try:
            rows = self._client.get("/api/annotations", {"tags": [TAG, _tag(key)], "type": "annotation", "limit": 10})
        except InvalidInput as other:
            raise DependencyLied(NAME, f"it has no list of annotations: {other.problem}", ANOTHER_PRODUCT) from other
        if not isinstance(rows, list) or not all(isinstance(r, dict) and isinstance(r.get("id"), int) for r in rows):
            raise DependencyLied(NAME, "its annotations are not a list of annotations", ANOTHER_PRODUCT)
        ours = [int(row["id"]) for row in rows if _tag(key) in (row.get("tags") or [])]
        return str(min(ours)) if ours else None

    def _no_dashboard(self) -> ConfigurationError:
        problem = f"there is no dashboard {self._dashboard!r}, or the token may not see it"
        return ConfigurationError(f"{FIELD}.dashboard", problem, "Give the UID of its address: /d/UID/name")


def _tag(key: str) -> str:
    return f"evercrew-key:{key}"


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
