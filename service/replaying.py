"""Building the office a cycle is replayed in: everything from its tape, nothing from the world.

No adapter of the world is built, no address is known, and nothing is written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from adapters.approvals.memory import MemoryApprovals
from adapters.audit.memory import MemoryAudit
from adapters.autonomy.memory import MemoryAutonomy
from adapters.llm.base import ChatPort
from adapters.retrieval.memory import MemoryRetrieval
from adapters.rules.memory import MemoryRules
from adapters.store.base import StorePort
from adapters.store.memory import MemoryStore
from adapters.traces.none import NoTraces
from adapters.workflow.inline import InlineWorkflow
from cycles.artifacts import Artifacts
from cycles.autonomy import AutonomyRecord
from cycles.desk import OVERRIDES, Office
from cycles.engine import Engine
from cycles.playback import Playback, ReplayClock
from cycles.ports import Judges
from cycles.replay import Theatre
from cycles.replay_parts import ReplayGate, ReplayJudges, ReplayTool
from cycles.rules import Rulebook
from cycles.shelf import Rules, TapeMissing, Taping, policy_files_of, rules_of
from cycles.taped_chat import AnsweringAnew, ReplayChat
from domain.actor import Role
from domain.canonical import json_ready
from domain.clock import FrozenClock
from domain.cycle import Cycle
from domain.errors import ConfigurationError, InvalidInput
from domain.events import nobody
from domain.people import People
from domain.receipt import AuditEntry, AuditRecord
from domain.tape import StepTape
from policies.contract import Contract, load_contract
from policies.loading import read_yaml
from policies.pdp import BrokenPolicies, PolicyDecisionPoint
from policies.profiles import Profile
from service.consents import consent_of
from tools.consent import Consent
from tools.gate import Decider, Gate
from tools.registry import Registry
from tools.tool import Tool, ToolSpec

Classes = Mapping[str, type[Tool[Any, Any]]]
ChatOf = Callable[[Role], ChatPort]


@dataclass(frozen=True)
class Other:
    """What is exchanged in a counterfactual: the policy set, the contract's gates and limits, or who answers."""

    pdp: Decider | None = None
    gates: str | None = None
    chat: ChatOf | None = None

    @property
    def strict(self) -> bool:
        """Whether nothing is: then the replay has to come to the same, byte by byte."""
        return self.pdp is None and self.gates is None and self.chat is None


class ReplayStore(MemoryStore):
    """A store in memory whose cycles can be put as they were."""

    def seed(self, cycle: Cycle) -> None:
        """See `SeededStore.seed`."""
        with self._lock:
            self._cycles[cycle.id] = cycle


class ReplayAudit(MemoryAudit):
    """A chain in memory that can be told what another one says. Its records are in the order they were told."""

    def append(self, entry: AuditEntry) -> AuditRecord:
        """See `AuditPort.append`."""
        return self._put(entry, None, None)

    def mirror(self, entry: AuditEntry, sequence: int | None, at: datetime | None) -> None:
        """See `MirrorAudit.mirror`; the same of a key is told once."""
        told = [r for r in self._records if (r.entry.key, r.entry.kind) == (entry.key, entry.kind)]
        if not any(r.sequence == sequence or (r.entry.status == entry.status and sequence is None) for r in told):
            self._put(entry, sequence, at)

    def _put(self, entry: AuditEntry, sequence: int | None, at: datetime | None) -> AuditRecord:
        last = max((r.sequence for r in self._records), default=0)
        record = AuditRecord.seal(sequence or last + 1, at or self._clock.now(), "", entry)
        self._records.append(record)
        return record


class ReplayArtifacts(Artifacts):
    """The artifacts of a replay: read back, and never written."""

    def __init__(self) -> None:
        super().__init__(Path(os.devnull))
        self._written: dict[tuple[str, str], dict[str, Any]] = {}

    def write(self, cycle_id: str, name: str, content: Mapping[str, Any]) -> Path:
        """See `Artifacts.write`."""
        self._written[cycle_id, name] = json_ready(content)
        return self.root

    def read(self, cycle_id: str, name: str) -> dict[str, Any] | None:
        """See `Artifacts.read`."""
        return self._written.get((cycle_id, name))


class RecordedPolicies:
    """The sets that decided then, by hash, as they were kept."""

    def __init__(self, store: StorePort) -> None:
        self._store = store
        self._points: dict[str, Decider] = {}

    def __call__(self, policy_hash: str) -> Decider:
        """Return the decision point of a set.

        Raises:
            TapeMissing: it is not kept. TapeForged: what is kept is another one. PolicySetBroken: it cannot be loaded.
        """
        if policy_hash not in self._points:
            self._points[policy_hash] = PolicyDecisionPoint.from_files(policy_files_of(self._store, policy_hash))
        return self._points[policy_hash]


def tool_classes() -> dict[str, type[Tool[Any, Any]]]:
    """Return the tools of this release by name."""
    import service.toolbox  # noqa: F401  imports every one of them

    return {kind.spec.name: kind for kind in _below(Tool) if kind.__module__.startswith("tools.")}


def theatre(
    tapes: Sequence[StepTape],
    store: StorePort,
    classes: Classes,
    *,
    other: Other | None = None,
    with_crews: bool = True,
    sets: RecordedPolicies | None = None,
) -> Theatre:
    """Return what a cycle is replayed on.

    Args:
        store: where its tapes, and the rules and policy sets of then, are kept; it is only read.
        with_crews: whether crews are replayed where their models' answers are taped; else their answers are taken.
        sets: the policy sets of then, where they are already loaded.

    Raises:
        TapeMissing, TapeForged: the record is not whole. InvalidInput: `other.gates` does not fit the contract.
    """
    other = other or Other()
    rules = rules_of(store, tapes[0].rules)
    contract, profile = contract_of(rules, other.gates), Profile.model_validate_json(rules.profile)
    playback = Playback(_results(store, tapes[0].cycle_id), strict=other.strict)
    memory, audit, traces = ReplayStore(), ReplayAudit(FrozenClock()), NoTraces()
    recorded, exchanged = sets or RecordedPolicies(store), other.pdp
    gate = ReplayGate(
        playback=playback,
        registry=_registry(rules, classes),
        pdp_of=recorded if exchanged is None else lambda _: exchanged,
        audit=audit,
        store=memory,
        traces=traces,
        anew=exchanged is not None,
    )
    crews = _crews(gate, playback, other.chat) if with_crews else None
    office = Office(
        gate=gate,
        judges=ReplayJudges(playback, gate, crews, anew=other.chat is not None),
        store=memory,
        audit=audit,
        retrieval=MemoryRetrieval(),
        traces=traces,
        artifacts=ReplayArtifacts(),
        clock=ReplayClock(playback),
        profile=profile,
        contract=contract,
        live_contract=_contract_then(store, playback, contract, tapes[0].rules, other.gates),
        observer=nobody,
        consent=_nobody_asked(audit, memory, profile),
        taping=Taping(source=playback, versions=rules.versions),
        autonomy=AutonomyRecord(MemoryAutonomy(), audit, FrozenClock(), profile.autonomy),
        rulebook=_rulebook(tapes, contract, audit),
    )
    return Theatre(Engine(office, InlineWorkflow(FrozenClock())), playback, gate, memory, audit)


def _contract_then(
    store: StorePort, playback: Playback, first: Contract, rules: str, gates: str | None
) -> Callable[[], Contract]:
    """Return what gives the contract that the present step was judged by: its file may have changed in between."""
    known = {rules: first, "": first}

    def then() -> Contract:
        if playback.rules not in known:
            known[playback.rules] = contract_of(rules_of(store, playback.rules), gates)
        return known[playback.rules]

    return then


def contract_of(rules: Rules, gates: str | None = None) -> Contract:
    """Return the contract of then, with the values of another file (all of a contract, or a part) in place of its own.

    Raises:
        InvalidInput: the file does not fit the contract; names the field.
    """
    if gates is None:
        return Contract.model_validate_json(rules.contract)
    ours = json.loads(rules.contract)
    try:
        given = read_yaml(gates, file="--gates")
    except ConfigurationError as problem:
        raise InvalidInput("gates", problem.problem, "Give a contract.yaml, or a part of one") from problem
    if not isinstance(given, Mapping) or not given.keys() & ours.keys():
        known = ", ".join(sorted(ours))
        raise InvalidInput("gates", f"holds none of {known}", "Give a contract.yaml, or a part of one")
    merged = yaml.safe_dump(_merged(ours, given), sort_keys=False)
    return load_contract(merged, file="--gates")


def _merged(ours: Any, theirs: Any) -> Any:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return {key: _merged(ours.get(key), theirs[key]) if key in theirs else ours[key] for key in {**ours, **theirs}}
    return theirs


def _registry(rules: Rules, classes: Classes) -> Registry:
    missing = [name for name in rules.tools if name not in classes]
    if missing:
        raise TapeMissing(f"this release has no tool {missing[0]}, which the cycle could use")
    return Registry([ReplayTool(classes[name]) for name in rules.tools])


def _results(store: StorePort, cycle_id: str) -> dict[str, Mapping[str, Any]]:
    return {r.place: r.payload for r in store.recordings(cycle_id) if r.kind == "tool"}


def _nobody_asked(audit: ReplayAudit, store: ReplayStore, profile: Profile) -> Consent:
    """Who approved what then is on the tape; nobody is asked again."""
    clock, pdp = FrozenClock(), BrokenPolicies("a replay asks nobody")
    return consent_of(
        MemoryApprovals(), people=People({}), profile=profile, pdp=pdp, audit=audit, store=store, clock=clock
    )


def _rulebook(tapes: Sequence[StepTape], contract: Contract, audit: ReplayAudit) -> Rulebook | None:
    """Which overrides were in force is on the tape, where there was anything to override by."""
    if not any(read.name == OVERRIDES for tape in tapes for read in tape.reads):
        return None
    return Rulebook(MemoryRules(), contract, audit, FrozenClock(), environment=tapes[0].environment)


def _crews(gate: Gate, playback: Playback, chat: ChatOf | None) -> Judges:
    from service.models import judges_of

    return judges_of(gate, _chat(playback, chat), nobody, NoTraces(), FrozenClock())


def _chat(playback: Playback, chat: ChatOf | None) -> ChatOf:
    def recorded(role: Role) -> ChatPort:
        from agents.meter import note_fallback

        return ReplayChat(playback, note_fallback)

    def anew(role: Role) -> ChatPort:
        assert chat is not None, "asked anew only where there is somebody to ask"
        return AnsweringAnew(chat(role), playback)

    return recorded if chat is None else anew


def _below(kind: type[Any]) -> list[type[Any]]:
    found = [kind, *(lower for child in kind.__subclasses__() for lower in _below(child))]
    return [k for k in found if isinstance(getattr(k, "spec", None), ToolSpec)]
