"""What the door costs: a no-op tool through the real gate, beside the bare call and beside one flushed write."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from adapters.audit.keys import Keys
from adapters.audit.signed import HEAD, SignedAudit
from adapters.audit.sqlite import SqliteAudit
from adapters.store.sqlalchemy import SqlStore
from adapters.traces.none import NoTraces
from cycles.context import ContextSource
from domain.actor import Actor, Role
from domain.alert import Alert, AlertStatus
from domain.clock import Clock
from domain.decision import AuthorizationRequest, Effect
from domain.permit import PermitOffice
from evals.sections import Section, quantile, timed
from policies.contract import load_contract
from policies.packaged import packaged_contract, packaged_policy_files, packaged_profile
from policies.pdp import PolicyDecisionPoint
from policies.profiles import load_profile
from tools.gate import Gate
from tools.outcome import Done
from tools.registry import Registry
from tools.tool import Arguments, Call, Result, Scope, Tool, ToolSpec

CALLS = 240
RECORDS = 500
# A cycle leaves some sixty records in the chain; after so many calls another cycle begins.
CALLS_A_CYCLE = 30
# So many decisions are made in a row, for each flush leaves the caches cold.
DECISIONS = 10
EFFECT = "nothing.done"
# The size of a record, about; what matters is the flush.
LINE = b"x" * 600 + b"\n"
ACTOR = Actor(role=Role.DEVOPS_ENGINEER)


class NumberArgs(Arguments):
    """Which call it is: equal arguments would be answered from the record."""

    number: int


class NumberResult(Result):
    number: int


class ReadNothing(Tool[NumberArgs, NumberResult]):
    """Reads nothing, under the name of a tool the policies know."""

    spec = ToolSpec("metric_query", "Read nothing.")
    input = NumberArgs
    output = NumberResult

    def run(self, args: NumberArgs, call: Call) -> NumberResult:
        return NumberResult(number=args.number)


class DoNothing(Tool[NumberArgs, NumberResult]):
    """Does nothing, with a permit, under the name of a tool the policies know."""

    spec = ToolSpec("notify", "Do nothing.", Effect.WRITE, effects=(EFFECT,))
    input = NumberArgs
    output = NumberResult

    def __init__(self, permits: PermitOffice) -> None:
        self._permits = permits

    def run(self, args: NumberArgs, call: Call) -> NumberResult:
        self._permits.spend(call.permit, effect=EFFECT, key=call.key)
        return NumberResult(number=args.number)


@dataclass
class Door:
    """The real gate, policies, signed chain and store below `folder`, with two tools that do nothing.

    Several may be open on one folder, each with cycles under a `name` of its own.
    """

    folder: Path
    clock: Clock
    closing: ExitStack = field(default_factory=ExitStack)
    chain: Callable[[Path], SqliteAudit] | None = None
    name: str = "bench"

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.permits = PermitOffice(self.clock)
        self.store = SqlStore(f"sqlite:///{self.folder}/store.db")
        self.closing.callback(self.store.close)
        path = self.folder / "audit.db"
        chain = self.chain(path) if self.chain else SqliteAudit(path, self.clock)
        self.closing.callback(chain.close)
        self.audit = SignedAudit(chain, Keys(self.folder), self.clock, anchor=self.folder / HEAD)
        self.pdp = PolicyDecisionPoint.from_files(packaged_policy_files())
        self.read, self.write = ReadNothing(), DoNothing(self.permits)
        profile = load_profile(packaged_profile("dev"), file="dev.yaml")
        contract = load_contract(packaged_contract()).with_overrides(profile.signals)
        self.context = ContextSource(self.store, self.clock, profile, contract)
        self.gate = Gate(
            registry=Registry([self.read, self.write]),
            pdp=self.pdp,
            audit=self.audit,
            store=self.store,
            office=self.permits,
            traces=NoTraces(),
            context=self.context,
        )
        self.cycles = 0

    def scope(self) -> Scope:
        """A fresh cycle's."""
        self.cycles += 1
        now = self.clock.now()
        alert = Alert(
            fingerprint=f"{self.name}-{self.cycles}",
            name="Bench",
            status=AlertStatus.FIRING,
            signal="ndcg_at_10",
            target=f"{self.name}-{self.cycles}",
            environment="dev",
            starts_at=now,
        )
        cycle, _ = self.store.open_cycle(alert, now)
        return Scope(cycle.id, "observe", alert.target, "dev", now, now)

    def request(self, scope: Scope) -> AuthorizationRequest:
        """The question the gate asks the policies."""
        facts: Mapping[str, bool | int | str] = self.context(scope, self.write.spec, {}, ACTOR)
        return AuthorizationRequest(
            actor=ACTOR,
            tool="notify",
            effect=Effect.WRITE,
            target=scope.target,
            environment="dev",
            context=facts,
        )


def measure(folder: Path, clock: Clock, calls: int = CALLS, records: int = RECORDS) -> list[Section]:
    """Time gate, bare calls, flushed writes and policy decisions in turn, so that a busy moment meets all of them."""
    door = Door(folder / "door", clock)
    with door.closing, (folder / "flushed").open("ab") as flushed:
        times: dict[str, list[float]] = {
            name: [] for name in ("write", "bare", "read", "effect", "decide", "again", "facts")
        }
        scope = door.scope()
        for number in range(calls):
            if number % CALLS_A_CYCLE == 0:
                scope = door.scope()
            for name, call in _calls(door, scope, number, flushed.fileno()).items():
                times[name].append(timed(clock, call))
            decide = partial(door.pdp.decide, door.request(scope))
            times["again"] += [timed(clock, decide) for _ in range(DECISIONS)]
        long = _long_chain(door, clock, records)
    return [_overhead(times, long, records), _decisions(times)]


def _calls(door: Door, scope: Scope, number: int, file: int) -> dict[str, Callable[[], object]]:
    args = {"number": number}
    bare = Call(scope, ACTOR, "", "")
    request = door.request(scope)

    def flushed_write() -> None:
        os.write(file, LINE)
        os.fsync(file)

    def through(tool: str) -> None:
        outcome = door.gate.call(tool, args, ACTOR, scope)
        assert isinstance(outcome, Done), f"a call that should be let through was answered {outcome}"

    return {
        "write": flushed_write,
        "bare": lambda: door.read.run(door.read.input.model_validate(args), bare),
        "read": lambda: through("metric_query"),
        "effect": lambda: through("notify"),
        "facts": lambda: door.context(scope, door.write.spec, args, ACTOR),
        "decide": lambda: door.pdp.decide(request),
    }


def _long_chain(door: Door, clock: Clock, records: int) -> list[float]:
    """Times of effects in a cycle that has left many records already: the gate looks for its key among them."""
    scope = door.scope()
    for number in range(records):
        door.gate.call("metric_query", {"number": number}, ACTOR, scope)
    return [timed(clock, partial(door.gate.call, "notify", {"number": n}, ACTOR, scope)) for n in range(30)]


def _overhead(times: Mapping[str, list[float]], long: list[float], records: int) -> Section:
    bare, write = quantile(times["bare"], 0.5), quantile(times["write"], 0.5)

    def row(name: str, values: list[float], flushes: int) -> dict[str, str | float | int | None]:
        p50 = quantile(values, 0.5)
        return {
            "call": name,
            "p50 ms": 1000 * p50,
            "p95 ms": 1000 * quantile(values, 0.95),
            "overhead p50 ms": 1000 * (p50 - bare) if flushes or name.startswith("read") else None,
            "in flushed writes": p50 / write,
            "records flushed": flushes,
        }

    rows = [
        row("bare call of a no-op tool", times["bare"], 0),
        row("one flushed write (fsync) of 600 bytes", times["write"], 1),
        row("read through the gate", times["read"], 1),
        row("effect through the gate", times["effect"], 2),
        row(f"effect in a cycle with {records} records", long, 2),
    ]
    note = f"{len(times['read'])} calls each, in turn; real policies, SQLite chain and store; no traces"
    return Section("gate", "the gate's overhead per call", rows, note)


def _decisions(times: Mapping[str, list[float]]) -> Section:
    rows: list[dict[str, str | float | int | None]] = [
        {"step": name, "p50 us": 1e6 * quantile(times[key], 0.5), "p95 us": 1e6 * quantile(times[key], 0.95)}
        for name, key in (
            ("policy decision (Cedar), one after another", "again"),
            ("policy decision (Cedar), right after a flushed write", "decide"),
            ("gathering the facts for it (SQLite)", "facts"),
        )
    ]
    return Section("policy", "a policy decision", rows)
