"""Looking through the audit chain, newest first: every filter, page by page, without reading all of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.audit.memory import MemoryAudit
from domain.clock import FrozenClock
from domain.receipt import AuditEntry, RecordKind
from service.web.record_search import WINDOW, Wanted, one, search

COUNT = 1200


@pytest.fixture(scope="module")
def chain() -> MemoryAudit:
    clock = FrozenClock()
    made = MemoryAudit(clock)
    for number in range(COUNT):
        clock.advance(timedelta(minutes=1))
        kind = RecordKind.INTENT if number % 10 == 0 else RecordKind.READ
        made.append(
            AuditEntry(
                kind=kind,
                cycle_id=f"si_2026_01_01_{number % 3:03d}",
                actor="devops_engineer/stage" if kind is RecordKind.INTENT else "metrics_analyst/agent",
                tool="promote" if number % 100 == 0 else "metric_query",
                decision="deny" if number % 50 == 0 else "allow",
            )
        )
    return made


def _numbers(chain: MemoryAudit, wanted: Wanted) -> list[int]:
    """Return every record that is found, page by page, as somebody who clicks on to the end."""
    found = search(chain, wanted)
    numbers = [record.sequence for record in found.records]
    while found.older is not None:
        following = Wanted(**{**wanted.__dict__, "before": found.older})
        found = search(chain, following)
        numbers += [record.sequence for record in found.records]
    return numbers


def test_without_a_filter_the_newest_come_first_and_pages_leave_nothing_out(chain: MemoryAudit) -> None:
    assert _numbers(chain, Wanted(limit=50)) == list(range(COUNT, 0, -1))


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Wanted(kind="intent"), 120),
        (Wanted(tool="promote"), 12),
        (Wanted(decision="deny"), 24),
        (Wanted(actor="DevOps"), 120),
        (Wanted(cycle="si_2026_01_01_000"), 400),
        (Wanted(cycle="si_2026_01_01_000", tool="promote"), 4),
        (Wanted(kind="intent", decision="deny", tool="metric_query"), 12),
        (Wanted(tool="nothing_of_the_kind"), 0),
    ],
    ids=lambda value: str(value)[:40],
)
def test_filters_find_exactly_what_fits_over_all_pages(chain: MemoryAudit, wanted: Wanted, count: int) -> None:
    numbers = _numbers(chain, wanted)
    assert len(numbers) == count
    assert numbers == sorted(set(numbers), reverse=True)
    assert all(wanted.fits(record) for record in chain.records() if record.sequence in set(numbers))


def test_times_bound_what_is_found_from_both_sides(chain: MemoryAudit) -> None:
    start = FrozenClock().now()
    wanted = Wanted(since=start + timedelta(minutes=100), until=start + timedelta(minutes=110))
    assert _numbers(chain, wanted) == list(range(109, 99, -1))


def test_a_time_far_back_is_found_without_reading_what_lies_between(chain: MemoryAudit) -> None:
    until = FrozenClock().now() + timedelta(minutes=30)
    found = search(chain, Wanted(until=until, limit=5))
    assert [record.sequence for record in found.records] == [29, 28, 27, 26, 25]
    assert found.read < WINDOW


def test_a_search_ends_after_so_many_records_and_says_where_to_look_on(chain: MemoryAudit) -> None:
    found = search(chain, Wanted(tool="nothing"), most=300)
    assert (list(found.records), found.read, found.older) == ([], 300, COUNT - 300 + 1)


def test_an_empty_chain_has_nothing_and_nothing_older() -> None:
    found = search(MemoryAudit(FrozenClock()), Wanted())
    assert (list(found.records), found.older) == ([], None)


def test_one_record_is_read_by_its_number_and_what_is_beyond_is_none(chain: MemoryAudit) -> None:
    link = one(chain, 77)
    assert link is not None
    assert link.sequence == 77
    assert one(chain, 0) is None
    assert one(chain, COUNT + 1) is None
