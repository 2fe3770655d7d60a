"""Verification: does the record of a cycle still prove what it claims?

The chain is whole, and: live digest = git values = registered model = evaluated artifact = trained on that DVC revision
= caused by that alert. Each link is compared by content; what differs is named with both sides.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from adapters.audit.base import AuditPort
from adapters.datasets.base import DatasetsPort
from adapters.delivery.base import DeliveryPort
from adapters.store.base import StorePort
from adapters.tracking.base import TrackingPort
from adapters.vcs.base import VcsPort
from cycles.artifacts import Artifacts
from domain.canonical import canonical_hash
from domain.cycle import Cycle
from domain.dataset import DatasetRef
from domain.errors import DependencyTimeout, DependencyUnavailable, EvercrewError, InvalidInput
from domain.receipt import AuditRecord, RecordKind
from tools.data.dataset import DatasetMade
from tools.deliver.values import DEFAULT_LAYOUT, ValuesLayout, parse_values
from tools.observe.deployments import RuntimeState, RuntimeView
from tools.records import call_place

# Facts of a cycle that are the result of an effect, and the tool that gave it.
_FROM_CHAIN = {
    "dataset": "dataset_version",
    "trained": "train_model",
    "candidate": "register_candidate",
    "reverted": "roll_back",
    "restored": "restore_values",
}


class Check(BaseModel):
    """One link of the proof."""

    model_config = ConfigDict(frozen=True)

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Evidence:
    """The ports the proof is read from."""

    store: StorePort
    audit: AuditPort
    artifacts: Artifacts
    tracking: TrackingPort
    datasets: DatasetsPort
    vcs: VcsPort
    delivery: DeliveryPort
    model: str
    layout: ValuesLayout = DEFAULT_LAYOUT


def verify(cycle_id: str, evidence: Evidence) -> list[Check]:
    """Return every check that applies to the cycle; a check that cannot be made is not ok.

    Raises:
        InvalidInput: there is no such cycle.
    """
    cycle = evidence.store.cycle(cycle_id)
    if cycle is None:
        raise InvalidInput("cycle_id", f"{cycle_id} is not a cycle", "See `evercrew cycles list`")
    return [_guarded(name, test) for name, test in _checks(cycle, evidence)]


def _guarded(name: str, test: Callable[[], str]) -> Check:
    try:
        return Check(name=name, ok=True, detail=test())
    except (EvercrewError, _Differs) as problem:
        return Check(name=name, ok=False, detail=str(problem))


class _Differs(ValueError):
    """Two sides of a link differ."""


def _same(left_name: str, left: Any, right_name: str, right: Any) -> str:
    if left != right or left in ("", None):
        raise _Differs(f"{left_name} is {left!r}, {right_name} is {right!r}")
    return f"{left_name} = {right_name} = {left}"


def _checks(cycle: Cycle, evidence: Evidence) -> Iterator[tuple[str, Callable[[], str]]]:
    facts = cycle.facts
    yield "audit chain", lambda: f"{evidence.audit.verify()} records, unbroken"
    yield "effects", lambda: _effects(cycle, evidence)
    yield "facts", lambda: _facts(cycle, evidence)
    yield "recordings", lambda: _recordings(cycle, evidence)
    yield "artifacts", lambda: _artifacts(cycle, evidence)
    yield "alert", lambda: _alert(cycle, evidence)
    if "dataset" in facts:
        yield "dataset", lambda: _dataset(facts, evidence)
    if "candidate" in facts:
        yield "registered model", lambda: _registered(cycle, evidence)
        yield "dataset of the model", lambda: _trained_on(facts, evidence)
        yield "alert of the model", lambda: _caused_by(cycle, evidence)
    if "verdict_evaluate" in facts:
        yield "evaluated model", lambda: _evaluated(cycle, evidence)
    if "release" in facts or "reverted" in facts:
        yield "values in git", lambda: _values(facts, evidence)
        yield "live", lambda: _live(cycle, evidence)


def _effects(cycle: Cycle, evidence: Evidence) -> str:
    records = {r.sequence: r for r in evidence.audit.records(cycle.id)}
    effects = cycle.facts.get("effects", [])
    for effect in effects:
        record = records.get(effect["receipt"])
        if record is None or record.entry.kind is not RecordKind.INTENT:
            raise _Differs(f"{effect['name']} claims intent {effect['receipt']}, which the chain does not have")
        _same("effect", effect["name"], f"intent {effect['receipt']}", record.entry.tool)
    done = [r for r in records.values() if r.entry.kind is RecordKind.OUTCOME and r.entry.status == "done"]
    keys = [r.entry.key for r in done]
    if len(keys) != len(set(keys)):
        raise _Differs("an effect has more than one outcome")
    return f"{len(effects)} effects, each with its intent and one outcome"


def _artifacts(cycle: Cycle, evidence: Evidence) -> str:
    """Compare each file with the last hash the chain has of it."""
    notes = [r.entry.body for r in evidence.audit.records(cycle.id) if r.entry.status == "artifact"]
    recorded = {str(note["artifact"]): str(note["sha256"]) for note in notes}
    for name, digest in recorded.items():
        path = evidence.artifacts.folder(cycle.id) / name
        if not path.exists():
            raise _Differs(f"{name} is in the chain and not on disk")
        _same("the chain's hash", digest, f"{name} on disk", hashlib.sha256(path.read_bytes()).hexdigest())
        evidence.artifacts.check(name, evidence.artifacts.read(cycle.id, name) or {})
    return ", ".join(recorded) or "none"


def _facts(cycle: Cycle, evidence: Evidence) -> str:
    """Compare what the cycle says its effects gave with what the chain says."""
    done = {
        r.entry.tool: r.entry.body["result"]
        for r in evidence.audit.records(cycle.id)
        if r.entry.kind is RecordKind.OUTCOME and r.entry.status == "done"
    }
    compared = [name for name, tool in _FROM_CHAIN.items() if name in cycle.facts and tool in done]
    for name in compared:
        _same(f"the cycle's {name}", cycle.facts[name], f"outcome of {_FROM_CHAIN[name]}", done[_FROM_CHAIN[name]])
    return ", ".join(compared) or "none"


def _recordings(cycle: Cycle, evidence: Evidence) -> str:
    """Compare what tools are recorded to have answered with the hash the chain has of each answer."""
    kept = {r.place: r.payload for r in evidence.store.recordings(cycle.id) if r.kind == "tool"}
    last = {_place(r): r for r in evidence.audit.records(cycle.id) if r.entry.kind is RecordKind.READ}
    for place, record in last.items():
        found = canonical_hash(kept[place]) if place in kept else None
        _same(f"the chain's hash of {place}", record.entry.body["result_hash"], "the recording", found)
    return f"{len(last)} answers, as the chain has them"


def _place(record: AuditRecord) -> str:
    return call_place(record.entry.stage, record.entry.tool, record.entry.args_hash)


def _alert(cycle: Cycle, evidence: Evidence) -> str:
    outcome = evidence.artifacts.read(cycle.id, "outcome.json") or {}
    return _same("alert", cycle.alert.fingerprint, "outcome.json", outcome.get("trigger", {}).get("fingerprint"))


def _dataset(facts: Any, evidence: Evidence) -> str:
    ref = DatasetMade.model_validate(facts["dataset"]).ref
    evidence.datasets.verify(ref)
    return f"{ref.path} at {ref.revision[:12]} is {ref.md5}"


def _tags(cycle: Cycle, evidence: Evidence) -> dict[str, str]:
    digest = cycle.facts["candidate"]["model"]["digest"]
    found = evidence.tracking.by_digest(evidence.model, digest)
    if found is None:
        raise _Differs(f"the registry has no {evidence.model} with digest {digest}")
    return {**found.tags, "digest": found.digest}


def _registered(cycle: Cycle, evidence: Evidence) -> str:
    """Download the bundle too: the adapter computes its digest anew."""
    made = cycle.facts["trained"]["digest"]
    ref = evidence.tracking.by_digest(evidence.model, made)
    if ref is not None:
        with tempfile.TemporaryDirectory(prefix="evercrew-verify-") as scratch:
            evidence.tracking.download(ref, Path(scratch))
    return _same("trained", made, "registered", _tags(cycle, evidence)["digest"])


def _trained_on(facts: Any, evidence: Evidence) -> str:
    ref = DatasetRef.model_validate(facts["dataset"]["ref"])
    found = evidence.tracking.by_digest(evidence.model, facts["candidate"]["model"]["digest"])
    tags = found.tags if found else {}
    _same("dataset revision", ref.revision, "model's tag dataset_rev", tags.get("dataset_rev"))
    return _same("dataset hash", ref.md5, "model's tag dataset_md5", tags.get("dataset_md5"))


def _caused_by(cycle: Cycle, evidence: Evidence) -> str:
    tags = _tags(cycle, evidence)
    return _same("alert", cycle.alert.fingerprint, "model's tag alert_fingerprint", tags.get("alert_fingerprint"))


def _evaluated(cycle: Cycle, evidence: Evidence) -> str:
    scored = evidence.artifacts.read(cycle.id, "evaluation.json") or {}
    digest = cycle.facts["candidate"]["model"]["digest"]
    return _same("registered", digest, "evaluated", scored.get("candidate", {}).get("digest"))


def _values(facts: Any, evidence: Evidence) -> str:
    revision = (facts.get("reverted") or facts["release"])["revision"]
    declared = parse_values(evidence.vcs.read(revision), evidence.layout).model.digest
    _same("live digest of the cycle", facts["live"]["digest"], f"values at {revision[:12]}", declared)
    if "release" in facts and "reverted" not in facts and "candidate" in facts:
        _same("promoted", declared, "registered", facts["candidate"]["model"]["digest"])
    return f"{declared} at {revision[:12]}"


def _live(cycle: Cycle, evidence: Evidence) -> str:
    """What is live now; a later release is no fault of this cycle, a digest that git does not declare is.

    A platform that does not answer today takes nothing from the proof: then the cycle's own last look counts, which the
    chain vouches for.
    """
    try:
        live = evidence.delivery.live()
    except (DependencyUnavailable, DependencyTimeout):
        return _last_seen(cycle, evidence)
    declared = parse_values(evidence.vcs.read(evidence.vcs.head()), evidence.layout).model.digest
    return _same("live", live.digest, "git", declared)


def _last_seen(cycle: Cycle, evidence: Evidence) -> str:
    looks = [
        r
        for r in evidence.audit.records(cycle.id)
        if r.entry.kind is RecordKind.READ and r.entry.tool == RuntimeState.spec.name
    ]
    if not looks:
        raise _Differs("the platform does not answer, and the cycle never looked at what was live")
    kept = {r.place: r.payload for r in evidence.store.recordings(cycle.id) if r.kind == "tool"}
    payload = kept.get(_place(looks[-1]), {})
    _same("the last look in the chain", looks[-1].entry.body["result_hash"], "its recording", canonical_hash(payload))
    seen = RuntimeView.model_validate(payload["result"])
    declared = parse_values(evidence.vcs.read(seen.revision), evidence.layout).model.digest
    said = _same("live", seen.digest, f"git at {seen.revision[:12]}", declared)
    return f"{said}, as last seen at {looks[-1].at:%Y-%m-%d %H:%M:%S} UTC (the platform does not answer now)"
