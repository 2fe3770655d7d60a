"""What the material says, read once and put in the order a person asks: when, how long, how it ended, what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cycles.artifacts import Artifacts
from domain.canonical import json_ready
from domain.errors import IntegrityError
from domain.receipt import AuditRecord, RecordKind
from domain.stage import Stage
from service.report.comparisons import Pair
from service.report.material import ReportMaterial
from service.report.signals import Trouble
from service.report.timecharts import Segment
from service.wording import (
    digest_label,
    duration,
    finite,
    percent,
    score,
    signal_label,
    signal_value,
    stage_label,
    visible,
    words,
)

QUALITY = "ndcg_at_10"
# Rows of the audit table; a cycle that polls for days has more, and they are in audit.jsonl.
MOST_RECORDS = 1500


def fitting(material: ReportMaterial, checker: Artifacts) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the artifacts that fit their schemas, and what is wrong with the others: those are not drawn."""
    good: dict[str, dict[str, Any]] = {}
    problems = []
    for name, content in material.artifacts.items():
        plain: dict[str, Any] = json_ready(content)
        try:
            checker.check(name, plain)
        except IntegrityError as problem:
            problems.append(str(problem))
        except KeyError:
            problems.append(f"{name} is not an artifact of a cycle")
        else:
            good[name] = plain
    return good, problems


def moment(value: Any) -> datetime | None:
    """Return a time from a fact (seconds since 1970) or an artifact (ISO 8601), None where it is neither."""
    number = finite(value)
    if number is not None:
        return datetime.fromtimestamp(number, UTC)
    try:
        parsed = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def segments(material: ReportMaterial) -> list[Segment]:
    """Return when each stage ran, from the transitions on record, else from the timings laid end to end."""
    moves = [r for r in material.audit if r.entry.kind is RecordKind.TRANSITION]
    begin, found = material.cycle.opened_at, []
    for record in moves:
        found.append(Segment(record.entry.stage, begin, record.at))
        begin = record.at
    if found:
        return found
    for stage in Stage:
        seconds = material.cycle.timings.get(stage.value)
        if seconds is not None:
            end = datetime.fromtimestamp(begin.timestamp() + seconds, UTC)
            found.append(Segment(stage.value, begin, end))
            begin = end
    return found


def effects(audit: Sequence[AuditRecord]) -> list[tuple[datetime, str]]:
    """Return when effects were done, and which."""
    return [(r.at, r.entry.tool) for r in audit if r.entry.kind is RecordKind.OUTCOME and r.entry.status == "done"]


def trouble(material: ReportMaterial, artifacts: Mapping[str, Mapping[str, Any]], signal: str) -> Trouble:
    """Return the stretch from the alert to the change that answered it, or to the end of a cycle without one."""
    cycle = material.cycle
    end = moment(cycle.facts.get("changed_at")) or cycle.updated_at
    trigger = artifacts.get("outcome.json", {}).get("trigger", {})
    baseline = finite(trigger.get("baseline")) if signal == cycle.alert.signal else None
    return Trouble(cycle.alert.starts_at, max(end, cycle.alert.starts_at), baseline)


def lost(material: ReportMaterial) -> list[Pair]:
    """Return the scores by subject before and after the alert."""
    return [Pair(s.name, finite(s.before), finite(s.after), f"n {s.n}") for s in material.slices]


def gained(artifacts: Mapping[str, Mapping[str, Any]]) -> list[Pair]:
    """Return the held-out scores by subject of the live model and the candidate."""
    rows = artifacts.get("evaluation.json", {}).get("slices", [])
    return [Pair(r["name"], finite(r["baseline"]), finite(r["candidate"]), f"n {r['n']}") for r in rows]


def tiles(material: ReportMaterial, artifacts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the figures at the head of the page: label, figure, what it means."""
    found = [
        _level_tile(material, artifacts),
        _lift_tile(artifacts),
        _time_tile(material),
        _work_tile(material, artifacts),
    ]
    return [tile for tile in found if tile]


def _tile(label: str, figure: str, said: str) -> dict[str, str]:
    return {"label": label, "figure": figure, "said": said}


def _level_tile(material: ReportMaterial, artifacts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    if material.summary is not None and material.summary.ndcg.final is not None:
        n = material.summary.ndcg
        return _tile("nDCG@10 after", score(n.final), f"healthy {score(n.healthy)}, during {score(n.degraded)}")
    trigger = artifacts.get("outcome.json", {}).get("trigger")
    if not trigger:
        return {}
    name = str(trigger["type"])
    return _tile(
        f"{signal_label(name)} at the alert",
        signal_value(name, trigger["value"]),
        f"baseline {signal_value(name, trigger['baseline'])}",
    )


def _lift_tile(artifacts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    ab = artifacts.get("ab_test_results.json")
    if not ab:
        return {}
    last = ab["looks"][-1] if ab["looks"] else {"lower": None, "upper": None}
    return _tile(
        "A/B lift",
        percent(ab["improvement"]),
        f"between {percent(last['lower'])} and {percent(last['upper'])} after {len(ab['looks'])} looks",
    )


def _time_tile(material: ReportMaterial) -> dict[str, str]:
    ran = segments(material)
    if not ran:
        return {}
    total = ran[-1].end - ran[0].begin
    longest = max(ran, key=lambda s: s.end - s.begin)
    return _tile(
        "first look to end",
        duration(total),
        f"longest: {stage_label(longest.stage)}, {duration(longest.end - longest.begin)}",
    )


def _work_tile(material: ReportMaterial, artifacts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    outcome = artifacts.get("outcome.json")
    if not outcome:
        return {}
    done = len(outcome["actions"])
    models = ", ".join(outcome["models"]) or "no model"
    said = f"{outcome['tokens']:,} tokens, ${outcome['total_cost_usd']:.2f}, by {models}"
    return _tile("effects, each with a receipt", str(done), said)


def verdict(material: ReportMaterial, artifacts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return how it ended: outcome, whether it was verified, why. A check that does not hold takes the proof away."""
    whole = all(check.ok for check in material.checks) and (material.summary is None or material.summary.verified)
    outcome = artifacts.get("outcome.json")
    if outcome:
        verified = bool(outcome["verified"]) and whole
        return {"name": words(outcome["outcome"]), "verified": verified, "reason": outcome["reason"]}
    known = material.cycle.outcome
    name = words(known.value) if known else f"at {stage_label(material.cycle.stage.value)}"
    return {"name": name, "verified": known is not None and known.verified and whole, "reason": material.cycle.reason}


@dataclass(frozen=True)
class Watched:
    """What the looks of a watch hold: the signal, the points before the change, the level to come back to."""

    signal: str
    before: list[float | None]
    healthy: float | None


def watched(material: ReportMaterial, artifacts: Mapping[str, Mapping[str, Any]]) -> Watched:
    """Return what the watch looked at.

    A promotion is compared with the quality of search before it; a repair has to bring the first of the breached
    signals from its level in the trouble back to its baseline.
    """
    watch = artifacts.get("watch.json", {})
    if watch.get("kind") == "promotion":
        return Watched(QUALITY, [finite(v) for v in watch["baseline"]], None)
    alerted = material.cycle.alert.signal
    snapshot = material.cycle.facts.get("snapshot") or {}
    name = str((snapshot.get("breached") or [alerted])[0])
    reading = (snapshot.get("readings") or {}).get(name, {})
    if not reading and name == alerted:
        trigger = artifacts.get("outcome.json", {}).get("trigger", {})
        reading = {"current": trigger.get("value"), "baseline": trigger.get("baseline")}
    return Watched(name, [finite(reading.get("current"))], finite(reading.get("baseline")))


def gates(artifacts: Mapping[str, Mapping[str, Any]], watched_by: str) -> list[dict[str, Any]]:
    """Return every judgement of the offline gates, the A/B test and the watch, in the order they were made."""
    rows = [{"where": "offline", **g} for g in artifacts.get("evaluation.json", {}).get("gates", [])]
    rows += [{"where": "A/B test", **g} for g in artifacts.get("ab_test_results.json", {}).get("gates", [])]
    watch = artifacts.get("watch.json")
    if watch:
        rows.append(
            {"where": "watch", "name": watched_by, **{k: watch[k] for k in ("verdict", "reason")}, "figures": {}}
        )
    return [{**row, "label": signal_label(row["name"])} for row in rows]


def audit_rows(audit: Sequence[AuditRecord]) -> list[dict[str, Any]]:
    """Return the records as the table shows them, the first `MOST_RECORDS`."""
    return [
        {
            "sequence": r.sequence,
            "at": f"{r.at:%H:%M:%S}.{r.at.microsecond // 100000}",
            "kind": r.entry.kind.value,
            "stage": stage_label(r.entry.stage),
            "actor": r.entry.actor,
            "tool": _what(r),
            "decision": r.entry.decision,
            "status": r.entry.status,
            "policies": ", ".join(r.entry.policies),
            "hash": r.hash.removeprefix("sha256:")[:8],
            "effect": r.entry.kind in (RecordKind.INTENT, RecordKind.OUTCOME, RecordKind.REFUSAL),
        }
        for r in audit[:MOST_RECORDS]
    ]


def _what(record: AuditRecord) -> str:
    return record.entry.tool or str(record.entry.body.get("artifact") or record.entry.body.get("reason") or "")


def patch_lines(patch: str) -> list[tuple[str, str]]:
    """Return the lines of a diff with their kind: ``added``, ``removed``, ``place`` or ``same``."""
    kinds = {"+": "added", "-": "removed", "@": "place"}
    lines = [visible(line) for line in patch.splitlines() if not line.startswith(("diff ", "index "))][:200]
    return [("same" if line[:3] in ("+++", "---") else kinds.get(line[:1], "same"), line) for line in lines]


def live(artifacts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return what was live at the end, as short digests; empty where nobody looked."""
    found = artifacts.get("outcome.json", {}).get("live", {})
    return {key: digest_label(str(value)) for key, value in found.items() if value}
