"""A cycle that a person works by hand is left to the person, until the time of that is over."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from cycles.hands import BY_HAND, in_hand
from domain.diagnosis import Action
from domain.wish import SOURCE
from tests.support.office import office_in_memory
from tests.support.setting import alert_of


def test_what_sweeps_up_cycles_without_a_workflow_leaves_it_alone_while_the_person_may_be_at_it(
    tmp_path: Path,
) -> None:
    rig = office_in_memory(tmp_path, Action.NOISE)
    alert = alert_of(Action.NOISE, rig.clock).model_copy(update={"source": SOURCE, "name": BY_HAND})
    cycle = rig.open(alert)
    rig.engine.launch()
    rig.engine.sweep()
    assert rig.engine.status(cycle.id) == "absent"
    rig.clock.sleep(rig.profile.poll.delivery_timeout + timedelta(minutes=2))
    assert not in_hand(rig.now(cycle.id), rig.profile, rig.clock.now())
    rig.engine.sweep()
    assert rig.engine.status(cycle.id) == "done"


def test_an_alert_that_only_says_so_is_no_persons(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, Action.NOISE)
    cycle = rig.open(alert_of(Action.NOISE, rig.clock).model_copy(update={"name": BY_HAND}))
    assert not in_hand(cycle, rig.profile, rig.clock.now())
