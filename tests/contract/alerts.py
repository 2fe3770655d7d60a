"""Alerts for tests."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.alert import Alert, AlertStatus

NOON = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)


def alert(
    target: str = "search", environment: str = "dev", fingerprint: str = "f1", signal: str = "ndcg_at_10"
) -> Alert:
    """Return a firing alert."""
    return Alert(
        fingerprint=fingerprint,
        name="RelevanceDropped",
        status=AlertStatus.FIRING,
        signal=signal,
        target=target,
        environment=environment,
        starts_at=NOON,
        labels={"severity": "critical"},
        annotations={"summary": "down by 7 %"},
    )
