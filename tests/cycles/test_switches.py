"""Flags and switches: who sets them is on record first, and sleeping cycles learn of it together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from adapters.audit.memory import MemoryAudit
from adapters.store.base import FlagRow
from adapters.store.memory import MemoryStore
from cycles.switches import KillWatch, Switchboard, kill_name
from domain.clock import FrozenClock
from domain.errors import AuditUnavailable, DependencyUnavailable, InvalidInput
from domain.receipt import AuditEntry, AuditRecord
from tests.support.flaky import Flaky, always
from tests.support.setting import profile


class FullAudit(MemoryAudit):
    """A chain that can take nothing any more."""

    def append(self, entry: AuditEntry) -> AuditRecord:
        """See `AuditPort.append`."""
        raise AuditUnavailable("the disk is full")


def test_every_change_is_on_record_before_it_is_made() -> None:
    store, clock = MemoryStore(), FrozenClock()
    audit = MemoryAudit(clock)
    board = Switchboard(store, audit, clock)
    board.kill(kill_name(), True, environment="all", by="ann", reason="it loops")
    board.set_feature("auto_promote", False, environment="staging", by="bob", reason="a freeze", details={"until": "x"})
    board.kill(kill_name(), False, environment="all", by="ann", reason="mended")
    assert [r.entry.status for r in audit.records()] == ["kill_on", "flag_set", "kill_off"]
    assert audit.records()[0].entry.actor == "ann"
    assert [(c.name, c.enabled, c.by) for c in board.history()] == [
        ("kill_switch", False, "ann"),
        ("auto_promote", False, "bob"),
        ("kill_switch", True, "ann"),
    ]
    assert board.history("auto_promote")[0].details == {"until": "x", "by": "bob", "reason": "a freeze"}
    with pytest.raises(AuditUnavailable):
        Switchboard(store, FullAudit(clock), clock).kill(kill_name(), True, environment="all", by="a", reason="r")
    assert [row.enabled for row in store.flags() if row.name == "kill_switch"] == [False]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "auto_everything"}, "flag"),
        ({"name": "kill_switch"}, "flag"),
        ({"environment": "moon"}, "env"),
        ({"by": " "}, "by"),
        ({"reason": ""}, "reason"),
    ],
)
def test_what_cannot_be_set_names_the_field_and_the_remedy(wrong: dict[str, str], field: str) -> None:
    clock = FrozenClock()
    board = Switchboard(MemoryStore(), MemoryAudit(clock), clock)
    asked: dict[str, Any] = {"name": "auto_promote", "environment": "dev", "by": "ann", "reason": "r", **wrong}
    with pytest.raises(InvalidInput) as problem:
        board.set_feature(asked.pop("name"), True, **asked)
    assert problem.value.field == field


def test_a_switch_is_named_by_a_role_or_a_tool_that_there_is() -> None:
    tools: dict[str, Any] = {"tools": ["promote", "roll_back"], "safe": ["roll_back"]}
    assert kill_name(tool="promote", **tools) == "kill_switch/tool/promote"
    assert kill_name(agent="ml_engineer") == "kill_switch/agent/ml_engineer"
    for wrong, said in (
        ({"agent": "janitor"}, "supervisor"),
        ({"tool": "drop_table"}, "promote"),
        ({"tool": "roll_back"}, "safe state"),
        ({"agent": "ml_engineer", "tool": "promote"}, "two switches"),
    ):
        with pytest.raises(InvalidInput, match=said):
            kill_name(**wrong, **tools)


def test_hundreds_of_sleeping_cycles_ask_the_store_once_a_second() -> None:
    clock, store = FrozenClock(), Flaky(MemoryStore(), {"flags": lambda number: None})
    watch = KillWatch(store, profile(), clock)
    sleeping = [watch.differs(False) for _ in range(300)]
    for _ in range(20):
        assert not any(woken() for woken in sleeping)
        clock.advance(timedelta(milliseconds=100))
    assert store.calls["flags"] <= 3
    store.set_flag(FlagRow(name="kill_switch", enabled=True, environment="dev"), by="a", at=clock.now())
    clock.advance(timedelta(seconds=1))
    assert all(woken() for woken in sleeping)


def test_a_store_that_does_not_answer_wakes_nobody() -> None:
    store = Flaky(MemoryStore(), {"flags": always(DependencyUnavailable("store", "away"))})
    watch = KillWatch(store, profile(), FrozenClock())
    assert not watch.killed()
