"""What a demo found out, and what it came to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime

from cycles.verify import Check
from domain.cycle import Cycle
from service.summary import AbFacts, DemoSummary, EffectFact, GateFact, LiveFacts, NdcgLevels, Seconds
from service.wiring import App


@dataclass
class Stage:
    """What the demo has found out so far."""

    healthy: float | None = None
    degraded: float | None = None
    final: float | None = None
    events: list[tuple[datetime, str]] = field(default_factory=list)
    cycle: Cycle | None = None
    checks: list[Check] = field(default_factory=list)


def summarise(fault: str, seed: int, app: App, found: Stage) -> DemoSummary:
    """Return what the demo came to, from the artifacts of its cycle."""
    levels = NdcgLevels(healthy=found.healthy, degraded=found.degraded, final=found.final)
    artifacts = app.office.artifacts
    if found.cycle is None:
        return DemoSummary(
            cycle_id=None,
            fault=fault,
            seed=seed,
            action=None,
            outcome="no_cycle",
            verified=fault in ("none", "noise"),
            reason="no alert fired",
            ndcg=levels,
            model=app.model,
            artifacts=str(artifacts.root),
        )
    cycle = found.cycle
    outcome = artifacts.read(cycle.id, "outcome.json") or {}
    whole = all(check.ok for check in found.checks)
    return DemoSummary(
        cycle_id=cycle.id,
        fault=fault,
        seed=seed,
        action=cycle.action.value if cycle.action else None,
        outcome=cycle.outcome.value if cycle.outcome else cycle.stage.value,
        verified=bool(cycle.outcome and cycle.outcome.verified) and whole,
        reason=str(outcome.get("reason", cycle.reason)),
        ndcg=levels,
        gates=_gates(app, cycle.id),
        ab=_ab(app, cycle.id),
        effects=tuple(
            EffectFact(name=a["type"], receipt=a["receipt"], permit=a["permit"]) for a in outcome.get("actions", [])
        ),
        live=LiveFacts.model_validate(outcome.get("live", {})),
        seconds=Seconds(
            total=(cycle.updated_at - cycle.opened_at).total_seconds(),
            stages={k: round(v, 3) for k, v in cycle.timings.items()},
        ),
        model=", ".join(outcome.get("models", [])) or app.model,
        unsupported_claims=int(outcome.get("unsupported_claims", 0)),
        tokens=int(outcome.get("tokens", 0)),
        cost_usd=float(outcome.get("total_cost_usd", 0.0)),
        artifacts=str(artifacts.folder(cycle.id)),
    )


def as_json(summary: DemoSummary) -> str:
    """Return the summary as the JSON file holds it: the seconds of the stages stand beside their total."""
    plain = summary.model_dump(mode="json")
    plain["seconds"] = {"total": summary.seconds.total, **summary.seconds.stages}
    return json.dumps(plain, indent=2) + "\n"


def _gates(app: App, cycle_id: str) -> tuple[GateFact, ...]:
    artifacts = app.office.artifacts
    names = ("evaluation.json", "ab_test_results.json")
    listed = [
        (name.partition(".")[0], g) for name in names for g in (artifacts.read(cycle_id, name) or {}).get("gates", [])
    ]
    return tuple(
        GateFact(name=f"{where}: {g['name']}", verdict=g["verdict"], reason=g["reason"]) for where, g in listed
    )


def _ab(app: App, cycle_id: str) -> AbFacts | None:
    found = app.office.artifacts.read(cycle_id, "ab_test_results.json")
    if found is None:
        return None
    last = found["looks"][-1] if found["looks"] else {}
    return AbFacts(
        improvement=found["improvement"],
        lower=last.get("lower"),
        upper=last.get("upper"),
        users_baseline=last.get("users_baseline", 0),
        users_candidate=last.get("users_candidate", 0),
        verdict=found["verdict"],
    )
