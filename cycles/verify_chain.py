"""The part of a proof that the audit chain gives by itself: whole, signed, one outcome an effect, approved, by rules
that are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from cycles.proof import Differs, Evidence, same
from cycles.shelf import policy_files_of
from domain.canonical import canonical_hash
from domain.cycle import Cycle
from domain.errors import IntegrityError
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from domain.tape import PLACE
from tools.ballots import VOTE
from tools.records import call_place

# Facts of a cycle that are the result of an effect, and the tool that gave it.
_FROM_CHAIN = {
    "dataset": "dataset_version",
    "trained": "train_model",
    "candidate": "register_candidate",
    "reverted": "roll_back",
    "restored": "restore_values",
}


class ChainChecks:
    """The checks of one cycle against the chain, which is walked once."""

    def __init__(self, cycle: Cycle, evidence: Evidence) -> None:
        self._cycle = cycle
        self._evidence = evidence
        self._walked = cache(self._walk)
        self._records = cache(lambda: evidence.audit.records(cycle.id))

    def chain(self) -> str:
        """Walk the chain."""
        return f"{self._walked()[0]} records, unbroken"

    def checkpoint(self) -> str:
        """Hold the cycle's records against the newest signed checkpoint.

        Of a cycle that has ended, everything up to its end lies under one; notes may come after.
        """
        covered, records = self._walked()[1], self._records()
        ends = [r.sequence for r in records if r.entry.kind is RecordKind.TRANSITION]
        if self._cycle.stage.terminal and ends and ends[-1] > covered:
            told = f"record {ends[-1]}, its end, lies under no signed checkpoint: the newest covers record {covered}"
            raise Differs(f"{told}; `evercrew audit checkpoint` signs what there is")
        later = sum(1 for record in records if record.sequence > covered)
        return f"signed up to record {covered}" + (f"; {later} later records of it are chained only" if later else "")

    def effects(self) -> str:
        """Compare each effect the cycle claims with its intent, and count outcomes."""
        records = {r.sequence: r for r in self._records()}
        effects = self._cycle.facts.get("effects", [])
        for effect in effects:
            record = records.get(effect["receipt"])
            if record is None or record.entry.kind is not RecordKind.INTENT:
                raise Differs(f"{effect['name']} claims intent {effect['receipt']}, which the chain does not have")
            same("effect", effect["name"], f"intent {effect['receipt']}", record.entry.tool)
        keys = [r.entry.key for r in records.values() if _done(r)]
        if len(keys) != len(set(keys)):
            raise Differs("an effect has more than one outcome")
        return f"{len(effects)} effects, each with its intent and one outcome"

    def approvals(self) -> str:
        """Find the votes of every approval that was used, before the effect and for exactly it."""
        used = 0
        for record in self._records():
            if record.entry.kind is RecordKind.INTENT and "approval" in record.entry.body:
                self._approved(record)
                used += 1
        return f"{used} effects were approved, each by votes in the chain before it" if used else "none was needed"

    def policies(self) -> str:
        """Find the policy set of every effect, by its hash."""
        hashes = {r.entry.policy_hash for r in self._records() if r.entry.kind is RecordKind.INTENT} - {""}
        store = self._evidence.store
        if not store.recordings(self._cycle.id, PLACE):
            return "none kept: it ended before steps were recorded"
        for digest in sorted(hashes - {self._evidence.policy_hash}):
            try:
                policy_files_of(store, digest)
            except IntegrityError as problem:
                raise Differs(
                    f"the policy set {digest[:12]} that allowed an effect is not known: {problem}"
                ) from problem
        return f"{', '.join(sorted(d[:12] for d in hashes)) or 'none'}: each set is known by its hash"

    def facts(self) -> str:
        """Compare what the cycle says its effects gave with what the chain says."""
        facts = self._cycle.facts
        done = {r.entry.tool: r.entry.body["result"] for r in self._records() if _done(r)}
        compared = [name for name, tool in _FROM_CHAIN.items() if name in facts and tool in done]
        for name in compared:
            same(f"the cycle's {name}", facts[name], f"outcome of {_FROM_CHAIN[name]}", done[_FROM_CHAIN[name]])
        return ", ".join(compared) or "none"

    def recordings(self) -> str:
        """Compare what tools are recorded to have answered with the hash the chain has of each answer."""
        kept = {r.place: r.payload for r in self._evidence.store.recordings(self._cycle.id) if r.kind == "tool"}
        last = {place_of(r): r for r in self._records() if r.entry.kind is RecordKind.READ}
        for place, record in last.items():
            found = canonical_hash(kept[place]) if place in kept else None
            same(f"the chain's hash of {place}", record.entry.body["result_hash"], "the recording", found)
        return f"{len(last)} answers, as the chain has them"

    def _walk(self) -> tuple[int, int]:
        signed = self._evidence.signed
        return (self._evidence.audit.verify(), 0) if signed is None else signed.vouched()

    def _approved(self, intent: AuditRecord) -> None:
        approval = intent.entry.body["approval"]
        before = [r.entry for r in self._records() if r.sequence < intent.sequence]
        people = _in_favour(before, approval["id"], intent.entry)
        missing = sorted(set(approval["by"]) - people)
        if missing or not approval["by"]:
            by = ", ".join(approval["by"]) or "nobody"
            told = f"{intent.entry.tool} (record {intent.sequence}) was approved by {by}"
            raise Differs(f"{told}; the chain has no vote before it of {', '.join(missing) or 'anybody'}")


def place_of(record: AuditRecord) -> str:
    """Return where the recording of a call is."""
    return call_place(record.entry.stage, record.entry.tool, record.entry.args_hash)


def _done(record: AuditRecord) -> bool:
    return record.entry.kind is RecordKind.OUTCOME and record.entry.status == "done"


def _in_favour(entries: Sequence[AuditEntry], approval: str, intent: AuditEntry) -> set[str]:
    """Return who voted for exactly this call; a later vote of the same person takes the place of the earlier one."""
    votes = [e for e in entries if e.status == VOTE and e.body.get("approval") == approval]
    last = {entry.actor: entry for entry in votes}
    return {
        person
        for person, entry in last.items()
        if entry.decision == "approve" and (entry.tool, entry.args_hash) == (intent.tool, intent.args_hash)
    }
