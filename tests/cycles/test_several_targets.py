"""Two targets behind one engine: each has its own platform and its own git repository, and neither knows the other."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from adapters.audit.memory import MemoryAudit
from adapters.inbox.memory import MemoryInbox
from adapters.store.memory import MemoryStore
from adapters.vcs.base import VcsPort
from adapters.workflow.inline import InlineWorkflow
from cycles.desk import Office
from cycles.engine import Engine
from cycles.intake import Routing, accept, take_turn
from domain.clock import FrozenClock
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.errors import DependencyUnavailable
from domain.outcome import OutcomeKind
from domain.permit import PermitOffice
from domain.receipt import AuditEntry
from evals.simulated import World
from evals.simulated_rows import VALUES
from service.toolbox import Ports
from tests.contract.gitremote import Remote, git, open_vcs
from tests.support.office import Rig, dones, ended, office_in_memory

TARGETS = ("search", "ads")


@dataclass
class Two:
    """Two targets, and what they share."""

    rigs: dict[str, Rig]
    remotes: dict[str, Remote]
    engine: Engine
    inbox: MemoryInbox
    store: MemoryStore
    clock: FrozenClock
    shut: set[str]

    def alerted(self, *targets: str) -> list[str]:
        """Let alerts about targets arrive at one door, and return the cycles that they opened."""
        routing = Routing(["latency_p95_ms"], {}, TARGETS, "dev")
        body = {"version": "4", "receiver": "evercrew", "alerts": [_alert(name, self.clock) for name in targets]}
        accept(json.dumps(body), routing, self.inbox)
        opened: list[str] = []
        while (turn := take_turn(self.inbox, self.clock)) is not None:
            opened += turn.opened
        return opened

    def ended(self, cycle_id: str) -> Cycle:
        """Work a cycle to its end."""
        self.engine.start(cycle_id)
        return self.engine.wait(cycle_id)

    def told(self, cycle_id: str) -> dict[str, Any]:
        """Take one step of a cycle, as its workflow does."""
        return self.engine._tried(cycle_id, 0)


@pytest.fixture
def two(tmp_path: Path) -> Two:
    clock, store = FrozenClock(), MemoryStore()
    permits, audit = PermitOffice(clock), MemoryAudit(clock)
    rigs: dict[str, Rig] = {}
    remotes: dict[str, Remote] = {}
    for name in TARGETS:
        remotes[name] = Remote(_folder(tmp_path / name), VALUES.format(version="1", digest="sha256:" + "0" * 64))
        vcs = open_vcs(remotes[name].folder, tmp_path / name / "checkout", permits, clock=clock)
        rigs[name] = office_in_memory(
            tmp_path / name,
            Action.TUNE,
            store=store,
            audit=audit,
            clock=clock,
            permits=permits,
            change=partial(_in_git, vcs=vcs, remote=remotes[name]),
        )
        _follow(rigs[name].world, remotes[name])
    for rig in rigs.values():
        rig.world.alert_at = clock.now()
    workflow, shut = InlineWorkflow(clock), set[str]()

    def office(target: str) -> Office:
        if target in shut:
            raise DependencyUnavailable(f"targets.{target}", "it cannot be opened", "Mend it")
        return rigs[target].office

    engine = Engine(rigs["search"].office, workflow, offices=office)
    engine.launch()
    return Two(rigs, remotes, engine, MemoryInbox(store, clock), store, clock, shut)


def test_alerts_about_two_targets_open_two_cycles_and_each_mends_its_own_platform(two: Two) -> None:
    opened = two.alerted("ads", "search")
    ends = {cycle.target: cycle for cycle in map(two.ended, opened)}
    assert {name: cycle.outcome for name, cycle in ends.items()} == dict.fromkeys(TARGETS, OutcomeKind.TUNED)
    for name, cycle in ends.items():
        assert dones(two.rigs[name], cycle.id)[:1] == ["apply_tuning"]
        subjects = git(two.remotes[name].folder, "log", "--format=%B", "main")
        assert [each.id for each in ends.values() if each.id in subjects] == [cycle.id]
        assert two.rigs[name].world.live().mode == "balanced"


def test_a_target_that_cannot_be_opened_holds_its_own_cycle_and_no_other(two: Two) -> None:
    two.shut.add("ads")
    held, free = two.alerted("ads", "search")
    told = two.told(held)
    assert "targets.ads" in told["held"]
    assert not told["ended"]
    assert two.ended(free).outcome is OutcomeKind.TUNED
    waiting = two.store.cycle(held)
    assert waiting is not None
    assert waiting.stage.value == "observe"
    assert dones(two.rigs["ads"], held) == []
    two.shut.clear()
    assert two.ended(held).outcome is OutcomeKind.TUNED


def test_the_first_target_leaves_the_same_records_and_tapes_whether_there_are_others_or_not(tmp_path: Path) -> None:
    alone = office_in_memory(tmp_path / "alone", Action.TUNE)
    beside = office_in_memory(tmp_path / "beside", Action.TUNE)
    beside.engine = Engine(beside.office, beside.workflow, offices=lambda _target: beside.office)
    cycles = [ended(rig, Action.TUNE) for rig in (alone, beside)]
    chains = [[_said(r.entry) for r in rig.audit.records(cycles[0].id)] for rig in (alone, beside)]
    places = [[(r.kind, r.place) for r in rig.store.recordings(cycles[0].id)] for rig in (alone, beside)]
    assert cycles[0].id == cycles[1].id
    assert len(chains[0]) > 10
    assert chains[0] == chains[1]
    assert "step" in {kind for kind, _ in places[0]}
    assert places[0] == places[1]


def _said(entry: AuditEntry) -> tuple[str, ...]:
    """All of a record but what is drawn by lot."""
    return (entry.kind.value, entry.stage, entry.tool, entry.args_hash, entry.key, entry.status, entry.actor)


def _folder(place: Path) -> Path:
    place.mkdir()
    return place


def _in_git(ports: Ports, *, vcs: VcsPort, remote: Remote) -> Ports:
    """Put what the values are in memory into the repository, and the repository among the ports."""
    remote.push(ports.vcs.read())
    return replace(ports, vcs=vcs)


def _follow(world: World, remote: Remote) -> None:
    """Let the platform serve what its repository says."""

    def head() -> str:
        return (remote.folder / "refs" / "heads" / "main").read_text(encoding="utf-8").strip()

    @cache
    def values(revision: str) -> str:
        return git(remote.folder, "show", f"{revision}:{remote.path}")

    world.head, world.values = head, lambda: values(head())
    world.overridden_at = head()


def _alert(target: str, clock: FrozenClock) -> dict[str, Any]:
    labels = {"alertname": "SlowSearch", "signal": "latency_p95_ms", "target": target, "environment": "dev"}
    return {"status": "firing", "labels": labels, "startsAt": clock.now().isoformat(), "fingerprint": f"f-{target}"}
