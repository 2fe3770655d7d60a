"""What the door makes of an effect that failed, hung, or was made before: it happens once, or a person is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.decision import Answer
from domain.errors import (
    DependencyUnavailable,
    OutcomeUnknown,
)
from tests.support.gates import ACTOR, Door
from tests.support.office import office_in_memory
from tools.outcome import Done, Failed, Refused
from tools.tool import PATIENCE


@pytest.fixture
def door() -> Door:
    return Door()


class Killed(BaseException):
    """The end of the process."""


def _die() -> None:
    raise Killed


# -- act -------------------------------------------------------------------------------------------------


def test_an_error_without_an_effect_is_failed_and_may_be_asked_for_again(door: Door) -> None:
    door.lamps.before = _away
    outcome = door.switch()
    assert isinstance(outcome, Failed)
    assert (outcome.error, outcome.unknown) == ("DependencyUnavailable", False)
    assert door.kinds() == ["intent", "outcome failed"]
    door.lamps.before = lambda: None
    assert isinstance(door.switch(), Done)
    assert door.lamps.switched == 1


def test_an_error_after_the_effect_is_done_because_the_effect_is_there(door: Door) -> None:
    door.lamps.after = _away
    outcome = door.switch()
    assert isinstance(outcome, Done)
    assert door.lamps.switched == 1
    assert door.kinds() == ["intent", "outcome done"]


def test_an_error_whose_effect_cannot_be_seen_is_unknown_and_the_intent_stays_open(door: Door) -> None:
    door.lamps.after, door.lamps.blind = _away, True
    outcome = door.switch()
    assert isinstance(outcome, Failed)
    assert outcome.unknown
    assert len(door.audit.open_intents()) == 1


def test_an_adapter_that_does_not_know_is_believed_even_when_nothing_is_to_be_seen(door: Door) -> None:
    def lost() -> None:
        raise OutcomeUnknown("the wire was cut")

    door.lamps.before = lost
    outcome = door.switch()
    assert isinstance(outcome, Failed)
    assert outcome.unknown
    assert len(door.audit.open_intents()) == 1


def test_a_tool_that_takes_too_long_may_have_acted(door: Door) -> None:
    release = threading.Event()
    door.lamps.before = lambda: _wait(release)
    door.gate._threads = _Prompt(max_workers=1)
    _in_a_hurry(door)
    outcome = door.switch()
    release.set()
    assert isinstance(outcome, Failed)
    assert (outcome.error, outcome.unknown) == ("DependencyTimeout", True)
    assert len(door.audit.open_intents()) == 1


def test_a_call_that_never_got_a_thread_has_not_acted_and_never_will(door: Door) -> None:
    release, taken = threading.Event(), threading.Barrier(9)

    def hangs() -> None:
        taken.wait(60)
        _wait(release)

    for _ in range(8):
        door.gate._threads.submit(hangs)
    taken.wait(60)
    _in_a_hurry(door)
    outcome = door.switch("attic")
    release.set()
    door.gate._threads.shutdown(wait=True)
    assert isinstance(outcome, Failed)
    assert (outcome.error, outcome.unknown) == ("DependencyTimeout", False)
    assert door.kinds() == ["intent", "outcome failed"]
    assert door.lamps.switched == 0


def test_no_tool_is_given_up_because_the_machine_is_busy(tmp_path: Path) -> None:
    registry = office_in_memory(tmp_path, cluster=True).gate.registry
    assert len(list(registry)) > 40
    assert [tool.spec.name for tool in registry if tool.spec.timeout < PATIENCE] == []
    assert timedelta(minutes=2) <= PATIENCE


def test_a_result_that_is_not_finite_is_a_lie_and_not_a_result(door: Door) -> None:
    outcome = door.read("cellar")
    assert isinstance(outcome, Failed)
    assert outcome.error == "DependencyLied"
    assert door.store.recordings(door.scope.cycle_id) == []


def test_an_effect_whose_result_is_not_finite_stops_for_a_person(door: Door) -> None:
    outcome = door.gate.call("promote", {"room": "hall", "watts": 1e308}, ACTOR, door.scope)
    assert isinstance(outcome, Failed)
    assert outcome.unknown
    assert door.lamps.switched == 1
    assert len(door.audit.open_intents()) == 1


def test_a_defect_in_a_tool_goes_up_and_leaves_the_intent_open(door: Door) -> None:
    door.lamps.before = _defect
    with pytest.raises(ZeroDivisionError):
        door.switch()
    assert len(door.audit.open_intents()) == 1


# -- once ------------------------------------------------------------------------------------------------


def test_the_same_call_twice_is_one_effect_with_one_receipt(door: Door) -> None:
    first, second = door.switch(), door.switch()
    assert isinstance(first, Done)
    assert isinstance(second, Done)
    assert second.value == first.value
    assert second.receipt == first.receipt.model_copy(update={"repeated": True})
    assert door.lamps.switched == 1
    assert door.kinds() == ["intent", "outcome done"]


def test_other_arguments_another_stage_or_another_place_are_another_effect(door: Door) -> None:
    door.switch()
    door.switch("attic")
    door.gate.call("promote", {"room": "hall"}, ACTOR, door.scope, place="again")
    assert door.lamps.switched == 3


def test_an_intent_without_an_effect_is_closed_as_absent_and_made_again(door: Door) -> None:
    door.lamps.before = _die
    with pytest.raises(Killed):
        door.switch()
    door.lamps.before = lambda: None
    door.restart()
    outcome = door.switch()
    assert isinstance(outcome, Done)
    assert door.lamps.switched == 1
    assert door.kinds() == ["intent", "outcome absent", "intent", "outcome done"]


def test_an_intent_with_its_effect_is_closed_by_looking(door: Door) -> None:
    door.lamps.after = _die
    with pytest.raises(Killed):
        door.switch()
    door.lamps.after = lambda: None
    door.restart()
    outcome = door.switch()
    assert isinstance(outcome, Done)
    assert outcome.receipt.intent == 1
    assert door.lamps.switched == 1
    assert door.kinds() == ["intent", "outcome done"]


def test_an_intent_nobody_can_see_the_effect_of_stops_for_a_person(door: Door) -> None:
    door.lamps.after = _die
    with pytest.raises(Killed):
        door.switch()
    door.lamps.blind = True
    door.restart()
    outcome = door.switch()
    assert isinstance(outcome, Failed)
    assert (outcome.error, outcome.unknown) == ("OutcomeUnknown", True)
    assert door.lamps.switched == 1


def test_a_refusal_in_between_does_not_hide_an_open_intent(door: Door) -> None:
    door.lamps.after = _die
    with pytest.raises(Killed):
        door.switch()
    door.lamps.after = lambda: None
    door.pdp.answer = Answer.DENY
    assert isinstance(door.switch(), Refused)
    door.pdp.answer = Answer.ALLOW
    assert isinstance(door.switch(), Done)
    assert door.lamps.switched == 1


def test_reconciling_closes_what_happened_and_frees_what_did_not(door: Door) -> None:
    door.lamps.after = _die
    with pytest.raises(Killed):
        door.switch("hall")
    door.lamps.before = _die
    with pytest.raises(Killed):
        door.switch("attic")
    door.lamps.before = door.lamps.after = lambda: None
    door.restart()
    done, absent = door.gate.reconcile(door.scope, ACTOR)
    assert isinstance(done, Done)
    assert isinstance(absent, Refused)
    assert absent.kind == "absent"
    assert door.audit.open_intents() == []
    assert door.gate.reconcile(door.scope, ACTOR) == []


def test_reconciling_leaves_open_what_cannot_be_seen(door: Door) -> None:
    door.lamps.after = _die
    with pytest.raises(Killed):
        door.switch()
    door.lamps.blind = True
    [outcome] = door.gate.reconcile(door.scope, ACTOR)
    assert isinstance(outcome, Failed)
    assert outcome.unknown
    assert len(door.audit.open_intents()) == 1


class _Prompt(ThreadPoolExecutor):
    """Hands work over once it has begun: then nothing but its time limit is over when that is over."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See `Executor.submit`."""
        begun = threading.Event()

        def work() -> Any:
            begun.set()
            return fn(*args, **kwargs)

        future = super().submit(work)
        assert begun.wait(60)
        return future


def _in_a_hurry(door: Door) -> None:
    """Give the tool next to no time."""
    lamp = door.gate.registry.get("promote")
    lamp.spec = replace(lamp.spec, timeout=timedelta(milliseconds=50))


def _wait(release: threading.Event) -> None:
    release.wait(60)


def _defect() -> None:
    raise ZeroDivisionError("a defect")


def _away() -> None:
    raise DependencyUnavailable("lamps", "away")
