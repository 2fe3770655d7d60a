"""The part of a proof that an outcome itself asks for: a success has the measurement and the effect it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cycles.hands import BY_HAND
from cycles.proof import Differs, Evidence, same
from cycles.shelf import hashed_tapes
from domain.cycle import Cycle
from domain.outcome import OutcomeKind
from domain.receipt import RecordKind
from domain.tape import PLACE
from domain.verdict import Verdict

# What has to have happened, by the chain, for a cycle to end so; one of each set.
_EFFECTS: Mapping[OutcomeKind, frozenset[str]] = {
    OutcomeKind.IMPROVED: frozenset({"promote"}),
    OutcomeKind.RESTORED: frozenset({"roll_back", "restore_values"}),
    OutcomeKind.REPAIRED: frozenset({"quarantine_feedback"}),
    OutcomeKind.TUNED: frozenset({"apply_tuning"}),
    OutcomeKind.ROLLED_BACK: frozenset({"roll_back"}),
}
# What was watched before it was called a success.
_WATCHED = frozenset({OutcomeKind.IMPROVED, OutcomeKind.RESTORED, OutcomeKind.REPAIRED, OutcomeKind.TUNED})


def check_outcome(cycle: Cycle, evidence: Evidence) -> str:
    """Return what an ended cycle's outcome rests on.

    Raises:
        Differs: it is told otherwise elsewhere, or what it rests on is not there.
    """
    outcome = cycle.outcome
    if outcome is None or not outcome.verified:
        return f"{outcome.value if outcome else 'none'}: nothing is claimed"
    read = evidence.artifacts.read
    same("the cycle's outcome", outcome.value, "outcome.json", (read(cycle.id, "outcome.json") or {}).get("outcome"))
    if evidence.store.recordings(cycle.id, PLACE):
        last = hashed_tapes(evidence.store, cycle.id)[-1][0]
        same("the cycle's outcome", outcome.value, "the tape of its last step", last.moved.outcome)
    said = [outcome.value, *_effect(cycle, outcome, evidence)]
    if outcome in _WATCHED and cycle.alert.name != BY_HAND:
        said.append(_watched(cycle, read(cycle.id, "watch.json") or {}))
    return ", ".join(said)


def _effect(cycle: Cycle, outcome: OutcomeKind, evidence: Evidence) -> list[str]:
    wanted = _EFFECTS.get(outcome)
    if wanted is None:
        return []
    done = {
        record.entry.tool: record.sequence
        for record in evidence.audit.records(cycle.id)
        if record.entry.kind is RecordKind.OUTCOME and record.entry.status == "done" and record.entry.tool in wanted
    }
    if not done:
        raise Differs(f"{outcome.value} is claimed, and the chain has no {' or '.join(sorted(wanted))} that was done")
    return [f"{tool} (record {sequence})" for tool, sequence in sorted(done.items())]


def _watched(cycle: Cycle, watch: Mapping[str, Any]) -> str:
    """Return that the watch passed, by its last look; a look that was not made passes nothing."""
    looks = watch.get("looks") or []
    passed = Verdict.PASS.value
    if watch.get("verdict") != passed or not looks or looks[-1].get("verdict") != passed:
        last = looks[-1].get("verdict") if looks else "no look was made"
        raise Differs(f"a success is claimed, and watch.json ends with {watch.get('verdict')!r} (last look: {last})")
    same("looks in watch.json", len(looks), "looks of the cycle", len(cycle.facts.get("watch", ())))
    return f"a watch of {len(looks)} looks that passed"
