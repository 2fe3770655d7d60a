"""What goes on the tape of a cycle, and that nobody can change it unnoticed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.store.base import FlagRow, Recording
from adapters.store.memory import MemoryStore
from cycles.engine import Engine
from cycles.shelf import SHARED, TapeForged, TapeMissing, Taping, policy_files_of, rules_of, tapes_of
from cycles.tape import Tape, TapedClock, current, hidden
from cycles.tape_check import NONE, check_tape
from domain.canonical import canonical_json
from domain.clock import FrozenClock
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.errors import DependencyUnavailable
from domain.receipt import RecordKind
from domain.stage import Stage, StageResult
from domain.tape import (
    KIND,
    MARK,
    Mark,
    TapedReply,
    changes,
    differences,
    moment_of,
    place_of,
    problem_of,
    told_problem,
)
from policies.packaged import packaged_policy_files
from policies.pdp import hash_of
from tests.support.office import Rig, ended, office_in_memory
from tests.support.setting import alert_of

SECRET = 'hunter2-"quoted"-of-the-forge'


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """An office that has worked one cycle; tests that change something take it from a copy."""
    made = office_in_memory(tmp_path_factory.mktemp("tape"), Action.TUNE)
    ended(made, Action.TUNE)
    return made


def _only(rig: Rig) -> Cycle:
    [cycle] = rig.store.cycles()
    return cycle


def _step(rig: Rig, step: int) -> Recording:
    [found] = rig.store.recordings(_only(rig).id, place_of(step))
    return found


def _worked(folder: Path) -> Rig:
    made = office_in_memory(folder, Action.NOISE)
    ended(made, Action.NOISE)
    return made


def _check(rig: Rig) -> str:
    return check_tape(_only(rig), rig.store, rig.audit)


def test_every_step_has_one_tape_that_names_the_one_before(rig: Rig) -> None:
    tapes = tapes_of(rig.store, _only(rig).id)
    assert [tape.step for tape in tapes] == list(range(len(tapes)))
    assert tapes[0].previous == ""
    assert len({tape.previous for tape in tapes}) == len(tapes)
    assert [tape.moved.next for tape in tapes][-1] == "done"


def test_a_tape_has_every_call_with_its_context_decision_and_outcome(rig: Rig) -> None:
    calls = [(c, x) for t in tapes_of(rig.store, _only(rig).id) for c, x in zip(t.calls, t.contexts(), strict=True)]
    records = rig.audit.records(_only(rig).id)
    asked = [r for r in records if r.entry.kind in (RecordKind.READ, RecordKind.INTENT, RecordKind.REFUSAL)]
    assert [(r.entry.tool, r.entry.args_hash) for r in asked] == [(c.tool, c.args_hash) for c, _ in calls]
    assert all(
        c.decision is not None and c.decision.policies == ("permit-observe",) for c, _ in calls if c.via == "agent"
    )
    assert all(context["signal"] == "latency_p95_ms" for _, context in calls)


def test_what_was_in_force_is_kept_beside_it_once(rig: Rig) -> None:
    tapes = tapes_of(rig.store, _only(rig).id)
    assert len({tape.rules for tape in tapes}) == 1
    rules = rules_of(rig.store, tapes[0].rules)
    assert '"latency_p95_ms"' in rules.contract
    assert "apply_tuning" in rules.tools
    files = packaged_policy_files()
    assert policy_files_of(rig.store, hash_of(files)) == files
    assert len(rig.store.recordings(SHARED)) == 2


def test_every_transition_carries_the_hash_of_the_last_tape(rig: Rig) -> None:
    moves = [r.entry.body for r in rig.audit.records(_only(rig).id) if r.entry.kind is RecordKind.TRANSITION]
    assert all(len(move["tape"]) == 64 for move in moves)
    assert "8 steps" in _check(rig)


def test_a_tape_costs_one_write_a_step(tmp_path: Path) -> None:
    written: list[str] = []

    class Counted(MemoryStore):
        def record(self, recording: Recording) -> None:
            written.append(recording.kind)
            super().record(recording)

    made = office_in_memory(tmp_path, Action.NOISE, store=Counted())
    cycle = ended(made, Action.NOISE)
    assert written.count(KIND) == len(tapes_of(made.store, cycle.id))


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        (lambda payload: {**payload, "stage": "learn"}, TapeForged, "before step 1"),
        (lambda payload: {**payload, "format": 99}, TapeForged, "format 99"),
        (lambda payload: {**payload, "surprise": 1}, TapeForged, "cannot be read"),
    ],
)
def test_a_changed_tape_is_found_and_named(
    tmp_path: Path, change: Callable[[dict[str, object]], dict[str, object]], error: type[Exception], word: str
) -> None:
    made = _worked(tmp_path)
    kept = _step(made, 0)
    made.store.record(kept.model_copy(update={"payload": change(dict(kept.payload))}))
    with pytest.raises(error, match=word):
        _check(made)


def test_the_last_tape_cannot_be_changed_either(tmp_path: Path) -> None:
    made = _worked(tmp_path)
    last = tapes_of(made.store, _only(made).id)[-1]
    kept = _step(made, last.step)
    forged = {**kept.payload, "moved": {**kept.payload["moved"], "outcome": "improved"}}
    made.store.record(kept.model_copy(update={"payload": forged}))
    with pytest.raises(TapeForged, match=f"step {last.step} .* the chain has it"):
        _check(made)


def test_a_missing_tape_is_named(tmp_path: Path) -> None:
    made = _worked(tmp_path)
    kept = _step(made, 1)
    made.store.record(kept.model_copy(update={"kind": "gone"}))
    with pytest.raises(TapeMissing, match="step 1 is missing"):
        _check(made)


def test_a_tape_behind_the_end_is_found(tmp_path: Path) -> None:
    made = _worked(tmp_path)
    tapes = tapes_of(made.store, _only(made).id)
    mark = Mark.model_validate(_only(made).facts[MARK])
    more = {**_step(made, tapes[-1].step).payload, "previous": mark.hash, "step": mark.steps}
    made.store.record(Recording(cycle_id=_only(made).id, place=place_of(mark.steps), kind=KIND, payload=more))
    with pytest.raises(TapeForged, match="behind its end"):
        _check(made)


def test_a_cycle_that_ended_before_steps_were_recorded_says_so(tmp_path: Path) -> None:
    made = office_in_memory(tmp_path, Action.NOISE)
    made.open(alert_of(Action.NOISE, made.clock))
    assert _check(made) == NONE
    with pytest.raises(TapeMissing, match="before steps were recorded"):
        tapes_of(made.store, _only(made).id)


def test_no_secret_lands_on_a_tape(tmp_path: Path) -> None:
    """A dependency that names its credentials in an error is the one way they could come here."""
    made = office_in_memory(tmp_path, Action.NOISE)
    object.__setattr__(made.office, "taping", Taping(secrets=(SECRET,)))
    made = _reworked(made)

    def telling(*_: object) -> object:
        raise DependencyUnavailable("metrics", f"https://user:{SECRET}@metrics refused the connection")

    object.__setattr__(made.ports.metrics, "read", telling)
    cycle = ended(made, Action.NOISE)
    text = canonical_json([recording.payload for recording in made.store.recordings(cycle.id, place_of(0)[:5])])
    assert "hunter2" not in text
    assert "[hidden]" in text
    assert "steps" in _check(made)


def _reworked(rig: Rig) -> Rig:
    rig.engine = Engine(rig.office, rig.workflow)
    return rig


def test_a_secret_is_hidden_however_json_writes_it() -> None:
    assert hidden({"a": f"x{SECRET}y", "b": 1}, (SECRET, "")) == {"a": "x[hidden]y", "b": 1}
    whole = {"a": "nothing"}
    assert hidden(whole, (SECRET,)) is whole


def test_a_flag_that_changes_is_in_the_context_of_the_next_call(tmp_path: Path) -> None:
    made = office_in_memory(tmp_path, Action.NOISE)
    made.store.set_flag(FlagRow(name="auto_promote", enabled=False), by="a person", at=made.clock.now())
    cycle = ended(made, Action.NOISE)
    contexts = [context for tape in tapes_of(made.store, cycle.id) for context in tape.contexts()]
    assert {context["auto_promote"] for context in contexts} == {False}


def test_what_arrives_after_its_question_was_given_up_is_dropped(rig: Rig) -> None:
    tape = Tape(_only(rig), Mark())
    late: list[Callable[[], None]] = []
    with tape.running():
        with tape.asking("diagnosis"):
            reply = TapedReply(chat="c", task="t", asked="h", text="in time")
            tape.replied(reply)
            late.append(lambda: tape.replied(reply.model_copy(update={"text": "late"})))
        late[0]()
        assert current() is tape
    assert current() is None
    sealed = tape.sealed(_only(rig), _result(), "")
    assert [r.text for r in sealed.questions[0].replies] == ["in time"]


def _result() -> StageResult:
    return StageResult(next=Stage.LEARN, reason="over")


def test_the_clock_is_taped_inside_of_a_step_only(rig: Rig) -> None:
    clock, tape = FrozenClock(), Tape(_only(rig), Mark())
    taped = TapedClock(clock)
    taped.now()
    with tape.running():
        first = taped.now()
        clock.advance(timedelta(microseconds=3))
        taped.now()
    assert tape.sealed(_only(rig), _result(), "").moments() == [first, clock.now()]


def test_moments_survive_to_the_microsecond() -> None:
    moments = [datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, tzinfo=UTC)]
    parts = differences(moments)
    assert [moment_of(sum(parts[: n + 1])) for n in range(2)] == moments


def test_only_what_changes_of_a_context_is_kept() -> None:
    new, gone = changes({"a": 1, "b": True, "c": "x"}, {"a": 1, "b": 1, "d": "y"})
    assert (new, gone) == ({"b": 1, "d": "y"}, ("c",))


def test_an_error_comes_back_as_it_was() -> None:
    problem = DependencyUnavailable("somewhere", "it is away", "Wait")
    again = problem_of(told_problem(problem))
    assert (type(again), str(again)) == (DependencyUnavailable, str(problem))
