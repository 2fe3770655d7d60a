"""Gathering what a report is drawn from, and writing it beside the other artifacts of the cycle."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cycles.artifacts import SCHEMAS
from cycles.verify import Check
from domain.cycle import Cycle
from domain.stage import Stage
from service.report.material import FeatureShare, ReportMaterial, Series, SliceScore, VerificationCheck
from service.summary import DemoSummary
from service.wiring import App
from tools.evidence import tool_of

SIGNALS = ("ndcg_at_10", "latency_p95_ms", "cost_per_1k_requests", "user_satisfaction")
POINTS = 120
_MARKED = {Stage.AB.value: "A/B", Stage.PROMOTE.value: "promotion", Stage.ROLL_BACK.value: "roll back"}


def report(
    app: App,
    cycle: Cycle,
    *,
    summary: DemoSummary | None = None,
    checks: Sequence[Check] = (),
    events: Sequence[tuple[datetime, str]] = (),
) -> tuple[Path, Path]:
    """Write `report.html`, `report.md` and `audit.jsonl` into the cycle's folder; return the paths of the first two."""
    from service.report.write import write_report

    artifacts = app.office.artifacts
    folder = artifacts.folder(cycle.id)
    records = app.audit.records(cycle.id)
    lines = "".join(record.model_dump_json() + "\n" for record in records)
    artifacts.write_text(cycle.id, "audit.jsonl", lines)
    found = {name: content for name in SCHEMAS if (content := artifacts.read(cycle.id, name)) is not None}
    transitions = [(r.at, _MARKED[r.entry.status]) for r in records if r.entry.status in _MARKED]
    results = {r.place: r.payload["result"] for r in app.ports.store.recordings(cycle.id) if r.kind == "tool"}
    attribution = next((r["features"] for place, r in results.items() if tool_of(place) == "attribution"), None)
    drift: list[dict[str, Any]] = next(
        (r["slices"] for place, r in results.items() if tool_of(place) == "drift_report"), []
    )
    material = ReportMaterial(
        cycle=cycle,
        artifacts=found,
        audit=records,
        series=_series(app, cycle),
        events=[*events, *transitions],
        attribution=[FeatureShare.model_validate(f) for f in attribution] if attribution else None,
        slices=[SliceScore(name=s["name"], before=s["before"], after=s["after"], n=s["n_after"]) for s in drift],
        summary=summary,
        checks=[VerificationCheck(name=c.name, ok=c.ok, detail=c.detail) for c in checks],
    )
    return write_report(folder, material)


def _series(app: App, cycle: Cycle) -> dict[str, Series]:
    measure = app.profile.measure
    start = cycle.alert.starts_at - measure.baseline - measure.gap
    step = max((cycle.updated_at - start) / POINTS, timedelta(milliseconds=500))
    wanted = [name for name in SIGNALS if name in app.reader.catalog]
    return {name: app.reader.series(name, start, cycle.updated_at, step) for name in wanted}
