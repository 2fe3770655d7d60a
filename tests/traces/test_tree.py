"""How spans nest, whoever opens them and wherever; and identities that follow from the cycle."""

from __future__ import annotations

import threading
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from uuid import UUID

from adapters.traces.memory import MemoryTraces
from adapters.traces.tree import OpenSpan
from domain.clock import FrozenClock
from domain.trace import Rating, SpanData, new_id, root_place, short_id, trace_id_of

CYCLE, OPENED = "si_2026_01_31_001", datetime(2026, 1, 31, 10, tzinfo=UTC)


def test_the_identity_of_a_trace_follows_from_the_cycle_alone() -> None:
    found = trace_id_of(CYCLE, OPENED)
    assert found == trace_id_of(CYCLE, OPENED)
    assert found == trace_id_of(CYCLE, OPENED.astimezone())
    others = {trace_id_of("si_2026_01_31_002", OPENED), trace_id_of(CYCLE, OPENED + timedelta(microseconds=1))}
    assert found not in others
    assert UUID(found).version == 7


def test_identities_sort_by_time_and_are_never_the_same() -> None:
    made = [new_id(OPENED + timedelta(milliseconds=n)) for n in range(50)]
    assert made == sorted(made)
    assert len({new_id(OPENED) for _ in range(1000)}) == 1000
    assert len(short_id(made[0])) == 16


def test_a_span_stands_under_the_one_that_is_open_in_its_context_also_in_other_threads() -> None:
    traces = MemoryTraces()
    with traces.span("stage", "chain", {}, cycle_id=CYCLE):
        context = copy_context()

        def work() -> None:
            with traces.span("call", "tool", {}, cycle_id=CYCLE):
                pass

        thread = threading.Thread(target=lambda: context.run(work))
        thread.start()
        thread.join()
        alone = threading.Thread(target=work)
        alone.start()
        alone.join()
    assert [(span.name, span.parent) for span in traces.spans] == [("stage", ""), ("call", "stage"), ("call", "")]


def test_without_an_open_span_it_stands_under_the_root_of_its_cycle() -> None:
    traces, root = MemoryTraces(), root_place(CYCLE, OPENED)
    with traces.span("call", "tool", {}, cycle_id=CYCLE, under=root):
        pass
    assert traces.taken[0].place.parent == root.id
    assert traces.taken[0].place.trace == trace_id_of(CYCLE, OPENED)


def test_work_that_is_no_cycle_gets_a_root_of_its_own_once() -> None:
    traces, root = MemoryTraces(), root_place("retention", OPENED)
    for _ in range(2):
        with traces.span("call", "tool", {}, cycle_id="retention", under=root):
            pass
    assert [(span.name, span.parent) for span in traces.spans] == [
        ("retention", ""),
        ("call", "retention"),
        ("call", "retention"),
    ]


def test_a_begun_span_is_entered_as_often_as_one_likes_and_ended_once() -> None:
    clock = FrozenClock()
    traces = MemoryTraces(clock)
    task = traces.begin("task", "chain", {}, cycle_id=CYCLE)
    for _ in range(2):
        with task.inside(), traces.span("call", "tool", {}, cycle_id=CYCLE):
            clock.advance(timedelta(seconds=1))
    task.end("late")
    task.end()
    assert traces.current() is None
    [kept, *calls] = traces.spans
    assert (kept.closed, kept.error) == (True, "late")
    assert {call.parent for call in calls} == {"task"}
    assert traces.taken[-1].end == clock.now()


def test_facts_told_outside_of_a_span_are_nobodys_and_lists_are_joined() -> None:
    traces = MemoryTraces()
    traces.tell(audit=[1])
    with traces.span("call", "tool", {}, cycle_id=CYCLE, facts={"stage": "train"}):
        traces.tell(audit=[2])
        traces.tell(audit=[3], stage="ab")
    assert traces.spans[0].facts == {"audit": [2, 3], "stage": "ab"}


def test_what_a_request_caused_is_a_trace_of_its_own_that_names_the_request() -> None:
    traces = MemoryTraces()
    asked = traces.span("POST /api/v1/cycles", "request", {}, cycle_id="")
    with asked, traces.span("crew operator", "chain", {}, cycle_id=""):
        pass
    request, crew = traces.taken[0], traces.taken[1]
    assert crew.is_root
    assert crew.place.trace != request.place.trace
    assert crew.link == request.place


def test_a_clock_that_goes_back_gives_no_span_that_ends_before_it_begins() -> None:
    clock = FrozenClock(OPENED)
    traces = MemoryTraces(clock)
    with traces.span("call", "tool", {}, cycle_id=CYCLE):
        clock.advance(timedelta(seconds=-5))
    closed = traces.taken[-1]
    assert closed.end == closed.start


def test_the_same_rating_has_the_same_identity() -> None:
    place = root_place(CYCLE, OPENED)
    one, again = (
        Rating(place, "outcome_verified", OPENED, 1.0),
        Rating(place, "outcome_verified", OPENED + timedelta(days=1), 0.0),
    )
    assert one.id == again.id
    assert one.id != Rating(place, "gate_ab", OPENED).id


def test_an_open_span_knows_its_place() -> None:
    traces = MemoryTraces()
    data = SpanData("x", "chain", CYCLE, root_place(CYCLE, OPENED))
    assert OpenSpan(traces, data).place == data.place
