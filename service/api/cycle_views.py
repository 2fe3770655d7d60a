"""Cycles as they are sent, and how the workflow of one stands."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from domain.cycle import Cycle
from domain.errors import InvalidInput
from service.api.problems import Problem
from service.api.serving import Serving
from service.api.shapes import Reply

ELSEWHERE = "elsewhere"


class CycleRow(Reply):
    """A cycle in a list. `reason` and `signal` say why it is there and how it ended."""

    id: str
    target: str
    environment: str
    stage: str
    open: bool
    signal: str
    action: str | None
    outcome: str | None
    verified: bool | None = Field(description="Whether the outcome rests on a measurement; null while it is open.")
    opened_at: datetime
    updated_at: datetime
    reason: str
    fingerprint: str
    cancel_requested: bool
    waiting_for: str | None = Field(description="The approval it waits for.")

    @classmethod
    def of(cls, cycle: Cycle) -> CycleRow:
        """Return a cycle as it is sent."""
        return cls(**_fields(cycle))


class AlertView(Reply):
    """The alert a cycle was opened for; labels and annotations are what its sender wrote."""

    name: str
    status: str
    source: str
    starts_at: datetime
    labels: dict[str, str]
    annotations: dict[str, str]


class CycleView(CycleRow):
    """A cycle with all that is known of it. `facts` are what its stages came to, `timings` are seconds by stage."""

    alert: AlertView
    facts: dict[str, Any]
    timings: dict[str, float]
    workflow: str = Field(
        description="How its workflow stands: absent, pending, done, failed, cancelled; elsewhere where none run here."
    )
    records: int = Field(description="How many records of the audit chain are about it.")
    artifacts: list[str]

    @classmethod
    def whole(cls, cycle: Cycle, *, workflow: str, records: int, artifacts: list[str]) -> CycleView:
        """Return a cycle as it is sent."""
        alert = cycle.alert
        shown = AlertView(
            name=alert.name,
            status=alert.status.value,
            source=alert.source,
            starts_at=alert.starts_at,
            labels=dict(alert.labels),
            annotations=dict(alert.annotations),
        )
        return cls(
            **_fields(cycle),
            alert=shown,
            facts=dict(cycle.facts),
            timings=dict(cycle.timings),
            workflow=workflow,
            records=records,
            artifacts=artifacts,
        )


class OpenedView(Reply):
    """A cycle was asked for. What waits in the inbox becomes one in its turn: `cycles` lists it then."""

    accepted: int
    fingerprint: str
    target: str
    environment: str
    signal: str
    cycles: str = Field(description="Where the cycle is found once it was opened.")


class CheckView(Reply):
    """One link of the proof of a cycle."""

    name: str
    ok: bool
    detail: str


class VerifiedView(Reply):
    """Whether the record of a cycle proves what it claims, link by link."""

    cycle_id: str
    verified: bool
    checks: list[CheckView]


class PartingView(Reply):
    """Where a replay parts from the record: both sides, and why."""

    step: int
    stage: str
    recorded: str
    now: str
    why: str


class ReplayView(Reply):
    """What came of a replay. `same`: every decision was the same, byte for byte."""

    cycle_id: str
    same: bool
    decisions: int
    partings: list[PartingView]
    notes: list[str]
    beyond: str


def workflow_of(on: Serving, cycle_id: str) -> str:
    """Return how the workflow of a cycle stands; a process that runs no cycles does not know."""
    try:
        return on.app.engine.status(cycle_id)
    except InvalidInput:
        return ELSEWHERE


def runs_none(cycle: Cycle) -> Problem:
    """Return that a cycle cannot be gone on with here."""
    return Problem(
        409,
        "It was not done",
        f"this process runs no cycles, and cannot go on with {cycle.id}",
        field="cycle_id",
        remedy="Ask an `evercrew serve` that does (without --no-worker), or use `evercrew cycles resume`",
        type="not-done",
    )


def _fields(cycle: Cycle) -> dict[str, Any]:
    outcome = cycle.outcome
    return {
        "id": cycle.id,
        "target": cycle.target,
        "environment": cycle.environment,
        "stage": cycle.stage.value,
        "open": not cycle.stage.terminal,
        "signal": cycle.alert.signal,
        "action": cycle.action.value if cycle.action else None,
        "outcome": outcome.value if outcome else None,
        "verified": outcome.verified if outcome else None,
        "opened_at": cycle.opened_at,
        "updated_at": cycle.updated_at,
        "reason": cycle.reason,
        "fingerprint": cycle.alert.fingerprint,
        "cancel_requested": cycle.cancel_requested,
        "waiting_for": str(cycle.facts.get("waiting_for") or "") or None,
    }
