"""What must be true after any fault, asked of the systems themselves and of the chain, never of the cycle's own claim.

chain        the audit chain verifies, and no intent is open
gated        every effect the systems show has an intent before it whose decision is allow; no commit goes without a key
single       no system shows an effect twice, and no key has two outcomes
gates        a promotion has the pass of the evaluation and of the A/B test on record before its intent
truth        a success is one the platform shows: what is live is what was promoted and better, or the old model again
old model    where nothing was promoted, or it was taken back, the old model is live, for all users
alive        the cycle ended, with a reason and a message to a person
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from domain.errors import AuditUnavailable, ChainBroken
from domain.receipt import AuditRecord, RecordKind
from evals.simulated import DEGRADED
from tests.chaos.keys import effects, keyless_commits
from tests.support.office import Rig

# The set-up's own commits; a path that rolls back begins with two releases.
RELEASES = {"rollback": 2}
# How each path ends where nothing is wrong but what it is about.
WANTED = {"retrain": "improved", "worse model": "rolled_back", "tuning": "tuned", "rollback": "restored"}
_SHARED = frozenset({"aliases"})


def judged(folder: Path, cell: Any, rig: Rig, cycle_id: str, lost: str) -> dict[str, Any]:
    """Return what became of the cycle, and every invariant that does not hold, with the evidence."""
    cycle = rig.now(cycle_id)
    broken: list[str] = []
    try:
        records = list(rig.audit.records(cycle_id))
        broken += [f"chain: {p}" for p in _chain(rig)]
    except (AuditUnavailable, ChainBroken) as problem:
        records, broken = [], [f"chain: {problem}"]
    broken += [f"gated: {p}" for p in _gated(folder, cell.path, records)]
    broken += [f"single: {p}" for p in _single(folder, records)]
    broken += [f"gates: {p}" for p in _gates(rig, cycle_id, records)]
    broken += [f"truth: {p}" for p in _truth(rig, cycle, records)]
    broken += [f"alive: {p}" for p in _alive(folder, cycle, lost)]
    return {
        "unsafe": broken,
        "outcome": cycle.outcome.value if cycle.outcome else "",
        "stage": cycle.stage.value,
        "reason": cycle.reason,
        "done": [r.entry.tool for r in records if _done(r)],
        "wanted": WANTED[cell.path],
    }


def _done(record: AuditRecord) -> bool:
    return record.entry.kind is RecordKind.OUTCOME and record.entry.status == "done"


def _chain(rig: Rig) -> Iterator[str]:
    rig.audit.verify()
    for record in rig.audit.open_intents():
        yield f"the intent of {record.entry.tool} ({record.sequence}) is open"


def _gated(folder: Path, path: str, records: list[AuditRecord]) -> Iterator[str]:
    allowed = {r.entry.key for r in records if r.entry.kind is RecordKind.INTENT and r.entry.decision == "allow"}
    for system, keys in effects(folder).items():
        for key in keys:
            if not any(key == k or key.startswith(k) or k.startswith(key) for k in allowed):
                yield f"{system} has {key}, and no allowed intent has it"
    extra = keyless_commits(folder) - RELEASES.get(path, 1)
    if extra > 0:
        yield f"{extra} commits of the values carry no key"


def _single(folder: Path, records: list[AuditRecord]) -> Iterator[str]:
    for system, keys in effects(folder).items():
        for key, count in keys.items():
            if count > 1 and system not in _SHARED:
                yield f"{system} has {key} {count} times"
    done = [r.entry.key for r in records if _done(r)]
    for key in {k for k in done if done.count(k) > 1}:
        yield f"{key} has {done.count(key)} outcomes"


def _gates(rig: Rig, cycle_id: str, records: list[AuditRecord]) -> Iterator[str]:
    promoted = next((r for r in records if r.entry.kind is RecordKind.INTENT and r.entry.tool == "promote"), None)
    if promoted is None:
        return
    for name in ("evaluation.json", "ab_test_results.json"):
        notes = [r for r in records if r.entry.status == "artifact" and r.entry.body.get("artifact") == name]
        verdict = (rig.office.artifacts.read(cycle_id, name) or {}).get("verdict")
        if verdict != "pass" or not any(n.sequence < promoted.sequence for n in notes):
            yield f"promote has intent {promoted.sequence}, and {name} says {verdict!r}"


def _truth(rig: Rig, cycle: Any, records: list[AuditRecord]) -> Iterator[str]:
    live, first = rig.world.live(), next(iter(rig.world.skills))
    outcome = cycle.outcome.value if cycle.outcome else ""
    shares = {variant.digest: variant.weight for variant in live.variants if variant.weight}
    candidate = ((cycle.facts.get("candidate") or {}).get("model") or {}).get("digest", "")
    quality = rig.world.quality(live.digest, rig.clock.now())
    match outcome:
        case "improved":
            if live.digest != candidate:
                yield f"improved, and live is {live.digest[:19]}, not the candidate {candidate[:19]}"
            if quality <= DEGRADED:
                yield f"improved, and users of what is live see {quality:.2f}"
        case "unverified" if live.digest == candidate:
            if quality < DEGRADED:
                yield f"the candidate was left live, and its users see {quality:.2f}"
        case _:
            if live.digest != first:
                yield f"{outcome or 'no outcome'}, and live is {live.digest[:19]}, not the old model"
            if set(shares) - {first}:
                yield f"{outcome or 'no outcome'}, and the candidate still serves {shares}"


def _alive(folder: Path, cycle: Any, lost: str) -> Iterator[str]:
    if lost or not cycle.stage.terminal:
        yield f"the cycle stands at {cycle.stage.value}: {lost or 'nobody goes on with it'}"
        return
    if not cycle.reason:
        yield "it ended without a reason"
    file = folder / "messages.jsonl"
    told = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    if not told:
        yield "it ended, and nobody was told"
