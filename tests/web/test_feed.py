"""What happened, live and resumable: nothing is told twice or left out, and a slow client holds up nobody."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.audit.memory import MemoryAudit
from adapters.audit.sqlite import SqliteAudit
from domain.clock import FrozenClock, SystemClock
from domain.errors import AuditUnavailable
from domain.receipt import AuditRecord, RecordKind
from service.api.problems import Problem
from service.web.feed import Feed, Hub
from service.web.feed_items import FeedItem, item_of
from tests.support.waiting import PATIENCE_S
from tests.web.made import NASTY, entry

ONE, TWO = "si_2026_01_01_001", "si_2026_01_01_002"
QUICK = timedelta(milliseconds=5)
_APPEND = """
import sys
from pathlib import Path
from adapters.audit.sqlite import SqliteAudit
from domain.clock import SystemClock
from tests.web.made import entry
from domain.receipt import RecordKind
audit = SqliteAudit(Path(sys.argv[1]), SystemClock())
for number in range(int(sys.argv[2])):
    audit.append(entry(RecordKind.READ, tool=f"other_{number}"))
audit.close()
"""


def _filled(count: int) -> MemoryAudit:
    audit = MemoryAudit(FrozenClock())
    for number in range(count):
        audit.append(entry(RecordKind.READ, (ONE, TWO)[number % 2], tool=f"tool_{number + 1}"))
    return audit


async def _take(stream: AsyncIterator[FeedItem], count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        found.append((await asyncio.wait_for(anext(stream), PATIENCE_S)).sequence)
    return found


def test_the_feed_gives_what_came_after_a_number_of_a_cycle_or_of_all() -> None:
    feed = Feed(_filled(6))
    assert [item.sequence for item in feed.after(4)] == [5, 6]
    assert [item.sequence for item in feed.after(1, TWO, 2)] == [2, 4]
    assert feed.after(6) == []
    assert feed.head() == 6


def test_a_client_that_comes_back_is_given_what_it_missed_and_then_what_is_new() -> None:
    async def run() -> list[int]:
        audit = _filled(3)
        async with Hub(Feed(audit), every=QUICK).joined(1) as stream:
            missed = await _take(stream, 2)
            audit.append(entry(RecordKind.READ))
            return [*missed, *await _take(stream, 1)]

    assert asyncio.run(run()) == [2, 3, 4]


def test_without_a_number_it_begins_with_what_happens_from_now_on() -> None:
    async def run() -> list[int]:
        audit = _filled(3)
        async with Hub(Feed(audit), every=QUICK).joined(None) as stream:
            audit.append(entry(RecordKind.READ))
            return await _take(stream, 1)

    assert asyncio.run(run()) == [4]


def test_a_number_from_a_longer_chain_does_not_make_a_client_deaf() -> None:
    async def run() -> list[int]:
        audit = _filled(3)
        async with Hub(Feed(audit), every=QUICK).joined(900) as stream:
            audit.append(entry(RecordKind.READ))
            return await _take(stream, 1)

    assert asyncio.run(run()) == [4]


def test_a_client_of_one_cycle_is_told_of_no_other() -> None:
    async def run() -> list[int]:
        audit = _filled(4)
        async with Hub(Feed(audit), every=QUICK).joined(0, ONE) as stream:
            before = await _take(stream, 2)
            audit.append(entry(RecordKind.READ, TWO))
            audit.append(entry(RecordKind.READ, ONE))
            return [*before, *await _take(stream, 1)]

    assert asyncio.run(run()) == [1, 3, 6]


def test_records_of_another_process_reach_who_listens_here(tmp_path: Path) -> None:
    async def run() -> list[int]:
        audit = SqliteAudit(tmp_path / "audit.db", SystemClock())
        audit.append(entry(RecordKind.READ))
        async with Hub(Feed(audit), every=QUICK).joined(0) as stream:
            seen = await _take(stream, 1)
            command = [sys.executable, "-c", _APPEND, str(tmp_path / "audit.db"), "3"]
            await asyncio.to_thread(subprocess.run, command, check=True, timeout=PATIENCE_S)
            seen += await _take(stream, 3)
        # Another process takes over where this one stopped: the number is the same everywhere.
        other = SqliteAudit(tmp_path / "audit.db", SystemClock())
        async with Hub(Feed(other), every=QUICK).joined(seen[-2]) as stream:
            seen += await _take(stream, 1)
        audit.close()
        other.close()
        return seen

    assert asyncio.run(run()) == [1, 2, 3, 4, 4]


def test_a_client_that_does_not_keep_up_is_let_go_and_loses_nothing_when_it_returns() -> None:
    async def run() -> tuple[list[int], list[int], int]:
        audit = _filled(1)
        hub = Hub(Feed(audit), every=QUICK, room=4)
        async with hub.joined(None) as slow, hub.joined(None) as brisk:
            brisk_seen = []
            for _ in range(20):
                audit.append(entry(RecordKind.READ))
                brisk_seen += await _take(brisk, 1)
            slow_seen = [item.sequence async for item in slow]
        async with hub.joined(slow_seen[-1] if slow_seen else 1) as back:
            rest = await _take(back, 21 - (slow_seen[-1] if slow_seen else 1))
        return brisk_seen, [*slow_seen, *rest], hub.dropped

    brisk, slow, dropped = asyncio.run(run())
    assert brisk == slow == list(range(2, 22))
    assert dropped == 1


def test_only_so_many_may_listen_and_who_leaves_makes_room() -> None:
    async def run() -> tuple[int, int]:
        hub = Hub(Feed(_filled(1)), every=QUICK, most=1)
        async with hub.joined(0):
            with pytest.raises(Problem, match="open in this process") as told:
                async with hub.joined(0):
                    pass
        async with hub.joined(0) as stream:
            assert await _take(stream, 1) == [1]
        return told.value.status, hub.listening

    assert asyncio.run(run()) == (503, 0)


def test_a_stream_ends_after_so_long_that_who_listens_is_asked_again_who_they_are() -> None:
    async def run() -> list[int]:
        hub = Hub(Feed(_filled(2)), every=QUICK, longest=timedelta(milliseconds=500))
        async with hub.joined(0) as stream:
            return [item.sequence async for item in stream]

    assert asyncio.run(asyncio.wait_for(run(), 60)) == [1, 2]


class _Shaky(MemoryAudit):
    """A chain that does not answer for a while."""

    down = False

    def after(self, sequence: int, *, cycle_id: str | None = None, limit: int = 500) -> Sequence[AuditRecord]:
        """Fail while it is down."""
        if self.down:
            raise AuditUnavailable("the disk is gone")
        return super().after(sequence, cycle_id=cycle_id, limit=limit)


def test_a_chain_that_does_not_answer_for_a_while_costs_no_event() -> None:
    async def run() -> list[int]:
        audit = _Shaky(FrozenClock())
        audit.append(entry(RecordKind.READ))
        async with Hub(Feed(audit), every=QUICK).joined(0) as stream:
            assert await _take(stream, 1) == [1]
            waits = asyncio.ensure_future(_take(stream, 1))
            audit.down = True
            await asyncio.sleep(0.05)
            audit.append(entry(RecordKind.READ))
            await asyncio.sleep(0.05)
            audit.down = False
            return await waits

    assert asyncio.run(run()) == [2]


def test_a_client_that_comes_while_the_chain_does_not_answer_is_let_go_to_come_back() -> None:
    async def run() -> list[int]:
        audit = _Shaky(FrozenClock())
        audit.append(entry(RecordKind.READ))
        hub = Hub(Feed(audit), every=QUICK)
        audit.down = True
        async with hub.joined(0) as stream:
            assert [item.sequence async for item in stream] == []
        audit.down = False
        async with hub.joined(0) as stream:
            return await _take(stream, 1)

    assert asyncio.run(run()) == [1]


def test_one_poller_serves_all_and_stops_when_nobody_listens() -> None:
    async def run() -> tuple[int, bool]:
        audit = _filled(1)
        hub = Hub(Feed(audit), every=QUICK)
        async with hub.joined(None) as one, hub.joined(None) as two:
            audit.append(entry(RecordKind.READ))
            assert await _take(one, 1) == await _take(two, 1) == [2]
            pollers = [task for task in asyncio.all_tasks() if task.get_name() == "events of the audit chain"]
        _, going = await asyncio.wait(pollers, timeout=60)
        return len(pollers), not going

    assert asyncio.run(run()) == (1, True)


def _item(kind: RecordKind, **fields: Any) -> FeedItem:
    audit = MemoryAudit(FrozenClock())
    return item_of(audit.append(entry(kind, **fields)))


def test_every_kind_of_record_is_a_sentence_and_what_people_want_to_know_is_loud() -> None:
    told = {kind: _item(kind, status="denied") for kind in RecordKind}
    assert all(item.said for item in told.values())
    assert {kind for kind, item in told.items() if item.loud} == {RecordKind.TRANSITION, RecordKind.REFUSAL}
    assert _item(RecordKind.OUTCOME, status="failed").loud
    thrown = _item(RecordKind.NOTE, status="kill_on", actor="Ann", body={"flag": "kill_switch"})
    assert (thrown.loud, thrown.said) == (True, "Ann threw the kill switch kill_switch")
    voted = _item(RecordKind.NOTE, status="approval_vote", decision="deny", actor="Bob", tool="promote")
    assert voted.said == f"Bob denied promote of {ONE}"


def test_an_item_holds_no_body_and_no_control_characters() -> None:
    item = _item(RecordKind.REFUSAL, tool=NASTY, body={"reason": "secret"}, status="denied")
    assert "secret" not in item.model_dump_json()
    assert "\u202e" not in item.said
