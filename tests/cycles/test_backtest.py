"""Another policy set, asked about everything that was decided."""

from __future__ import annotations

from pathlib import Path

import pytest

from cycles.backtest import Backtest, Turn, backtest
from cycles.shelf import tapes_of
from domain.diagnosis import Action
from domain.tape import StepTape
from policies.packaged import packaged_policy_files
from policies.pdp import PolicyDecisionPoint
from tests.support.meddling import flag
from tests.support.story import given

FORBIDS = b"""
@id("forbid-tests")
@reason("nobody is tested on")
forbid (principal, action == Action::"ab_start", resource);

@id("forbid-drift")
@reason("drift is nobody's business")
forbid (principal, action == Action::"drift_report", resource);
"""


def asked(tapes: list[list[StepTape]], more: bytes = b"", **files: bytes) -> Backtest:
    """Backtest the packaged set with some files exchanged."""
    whole = {**packaged_policy_files(), **files, **({"zz.cedar": more} if more else {})}
    return backtest(tapes, PolicyDecisionPoint.from_files(whole))


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> list[StepTape]:
    """The tapes of a promotion."""
    story = given(tmp_path_factory.mktemp("promoted"), Action.RETRAIN).runs()
    return tapes_of(story.rig.store, story.cycle.id)


def test_the_same_set_changes_nothing(promoted: list[StepTape]) -> None:
    found = asked([promoted, promoted])
    assert (found.cycles, found.changed, found.unasked) == (2, (), ())
    assert found.decisions == 2 * sum(len(tape.calls) for tape in promoted)


def test_what_would_have_been_stopped_is_named_with_the_policies_that_decide(promoted: list[StepTape]) -> None:
    found = asked([promoted], FORBIDS)
    [stopped] = found.stopped
    assert (stopped.tool, stopped.turn, stopped.then_by, stopped.now_by) == (
        "ab_start",
        Turn.STOPPED,
        ("permit-ab-start",),
        ("forbid-tests",),
    )
    assert stopped.cycle_id == promoted[0].cycle_id
    assert {c.tool for c in found.others} == {"drift_report"}
    assert "allow (permit-ab-start) -> deny (forbid-tests)" in stopped.said()


def test_what_comes_behind_a_change_is_told_apart(promoted: list[StepTape]) -> None:
    found = asked([promoted], FORBIDS)
    assert [change.first for change in found.changed] == [True] + [False] * (len(found.changed) - 1)
    assert "behind an earlier change" in found.stopped[0].said()


def test_what_would_have_been_let_through_is_named(tmp_path: Path) -> None:
    story = given(tmp_path, Action.TUNE).before(lambda rig: flag(rig, "self_improvement_enabled", False)).runs()
    tapes = tapes_of(story.rig.store, story.cycle.id)
    stopped = [call for tape in tapes for call in tape.calls if call.outcome.came == "refused"]
    assert stopped
    found = asked([tapes], **{"forbids.cedar": b'@id("none") forbid (principal, action, resource) when { false };'})
    assert {change.tool for change in found.let_through} == {call.tool for call in stopped}
    assert all(change.turn is Turn.LET_THROUGH for change in found.let_through)


def test_a_set_that_wants_to_know_what_was_not_known_then_is_not_counted_as_a_no(promoted: list[StepTape]) -> None:
    files = packaged_policy_files()
    [name] = [name for name in files if name.endswith(".cedarschema")]
    wants_more = files[name].decode().replace("  kill_switch: Bool,", "  kill_switch: Bool,\n  moon: Bool,", 1).encode()
    found = asked([promoted], **{name: wants_more})
    assert found.changed == ()
    assert len(found.unasked) == found.decisions
    assert "moon" in found.unasked[0]
