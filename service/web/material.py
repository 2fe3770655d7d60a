"""What the page of a cycle is made of: its record, its artifacts, its signals and what its tools said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cycles.artifacts import SCHEMAS
from domain.cycle import Cycle
from domain.errors import IntegrityError
from domain.receipt import AuditRecord, RecordKind
from domain.stage import Stage
from service.report import story
from service.report.material import FeatureShare, ReportMaterial, Series, SliceScore
from service.web.background import STILL_ASKING, Background
from service.wiring import App
from tools.evidence import tool_of

SIGNALS = ("ndcg_at_10", "latency_p95_ms", "cost_per_1k_requests", "user_satisfaction")
POINTS = 120
LEAST_STEP = timedelta(milliseconds=500)
# How long after its end the signals of a cycle are shown as well.
AFTERWARDS = timedelta(minutes=1)
# What has ended does not change any more.
SETTLED = timedelta(hours=1)
_MARKED = {Stage.AB.value: "A/B", Stage.PROMOTE.value: "promotion", Stage.ROLL_BACK.value: "roll back"}


@dataclass(frozen=True)
class Gathered:
    """All of it. `results` are what tools answered, by place; `problems` say what could not be had or does not fit.

    While `asking`, metrics have simply not answered yet.
    """

    material: ReportMaterial
    artifacts: Mapping[str, Mapping[str, Any]]
    results: Mapping[str, Mapping[str, Any]]
    problems: tuple[str, ...]
    asking: bool = False


def gather(app: App, background: Background, cycle: Cycle, records: Sequence[AuditRecord]) -> Gathered:
    """Gather what is known of a cycle; metrics are asked in the background, everything else is ours.

    Raises:
        DependencyError: the store does not answer.
    """
    found, broken = _artifacts(app, cycle.id)
    results = {r.place: r.payload for r in app.ports.store.recordings(cycle.id) if r.kind == "tool"}
    series, unread = _series(app, background, cycle)
    drift = _result_of(results, "drift_report").get("slices", ())
    attribution = _result_of(results, "attribution").get("features", ())
    material = ReportMaterial(
        cycle=cycle,
        artifacts=found,
        audit=records,
        series=series,
        events=[(cycle.alert.starts_at, "alert"), *_moves(records)],
        attribution=[FeatureShare.model_validate(share) for share in attribution] or None,
        slices=[SliceScore(name=s["name"], before=s["before"], after=s["after"], n=s["n_after"]) for s in drift],
    )
    fitting, unfit = story.fitting(material, app.office.artifacts)
    asking = unread == STILL_ASKING
    problems = (*broken, *unfit, *([f"signals: {unread}"] if unread and not asking else []))
    return Gathered(material, fitting, results, problems, asking)


def _artifacts(app: App, cycle_id: str) -> tuple[dict[str, dict[str, Any]], list[str]]:
    found: dict[str, dict[str, Any]] = {}
    problems = []
    for name in SCHEMAS:
        try:
            content = app.office.artifacts.read(cycle_id, name)
        except IntegrityError as problem:
            problems.append(str(problem))
            continue
        if content is not None:
            found[name] = content
    return found, problems


def _moves(records: Sequence[AuditRecord]) -> list[tuple[Any, str]]:
    return [
        (r.at, _MARKED[r.entry.status])
        for r in records
        if r.entry.kind is RecordKind.TRANSITION and r.entry.status in _MARKED
    ]


def _result_of(results: Mapping[str, Mapping[str, Any]], tool: str) -> Mapping[str, Any]:
    """Return the last result of a tool; empty where it was not called."""
    found = [payload.get("result") for place, payload in results.items() if tool_of(place) == tool]
    return found[-1] if found and isinstance(found[-1], Mapping) else {}


def _series(app: App, background: Background, cycle: Cycle) -> tuple[dict[str, Series], str]:
    ended = cycle.stage.terminal
    settled = ended and app.clock.now() - cycle.updated_at > AFTERWARDS
    fresh = SETTLED if settled else None
    known = background.ask(("series", cycle.id, ended), lambda: _read_series(app, cycle), fresh=fresh)
    return known.value or {}, known.problem


def _read_series(app: App, cycle: Cycle) -> dict[str, Series]:
    measure = app.profile.measure
    start = cycle.alert.starts_at - measure.baseline - measure.gap
    end = cycle.updated_at + AFTERWARDS if cycle.stage.terminal else app.clock.now()
    end = min(max(end, start + LEAST_STEP), app.clock.now())
    if end <= start:
        return {}
    step = max((end - start) / POINTS, LEAST_STEP)
    wanted = dict.fromkeys((cycle.alert.signal, *SIGNALS))
    reader = app.at(cycle.target).reader
    read = {name: reader.series(name, start, end, step) for name in wanted if name in reader.catalog}
    return {name: rows for name, rows in read.items() if any(value is not None for _, value in rows)}
