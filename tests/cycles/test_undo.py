"""What came with a release goes back with it as one unit: in order, whatever fails, and never half unseen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.store.base import FlagRow
from domain.dataset import DatasetRef
from domain.diagnosis import Action
from domain.errors import DependencyUnavailable
from domain.events import Event
from domain.outcome import OutcomeKind
from tests.support.meddling import notes
from tests.support.office import Rig
from tests.support.story import Story, given
from tools.deliver.together import LIVE

AWAY = DependencyUnavailable("somewhere", "it is away")
WORSE = 0.3


def flags(rig: Rig) -> dict[str, bool]:
    """Return the flags that have a row."""
    return {row.name: row.enabled for row in rig.store.flags()}


def switch(rig: Rig, name: str, enabled: bool, **details: Any) -> None:
    rig.store.set_flag(FlagRow(name=name, enabled=enabled, details=details), by="ann", at=rig.clock.now())


def released(story: Story) -> None:
    """Switch flags while the promotion goes live: one that comes with it, and one of a person's own."""
    cycle = story.rig.store.cycles()[0]
    switch(story.rig, "new_ranking_page", True, release=cycle.id)
    switch(story.rig, "cost_optimization", False)


def worse(folder: Path) -> Story:
    """Return the story of a release that makes it worse, with a flag of its own, and a pointer that moved with it."""
    story = given(folder, Action.RETRAIN).when(after_promotion=WORSE)
    switch(story.rig, "new_ranking_page", False, why="it waits for the new model")
    also(story.rig, "promote", lambda: released(story), what="end")
    return story


def undone(story: Story) -> dict[str, tuple[str, str]]:
    """Return state and detail of the parts, in the order they went back."""
    written = story.rig.office.artifacts.read(story.cycle.id, "undo.json")
    assert written is not None
    return {part["name"]: (part["state"], part["detail"]) for part in written["parts"]}


def test_all_parts_go_back_in_order_and_the_unit_is_proven(tmp_path: Path) -> None:
    story = worse(tmp_path)
    before = story.rig.ports.delivery.live()
    story.runs().expect_end(OutcomeKind.ROLLED_BACK).is_proven()
    live = story.rig.ports.delivery.live()
    champion = story.rig.ports.tracking.by_alias("reranker", "champion")
    assert (live.digest, live.index_generation) == (before.digest, before.index_generation)
    assert champion is not None
    assert champion.digest == before.digest
    assert story.rig.ports.datasets.pointed(LIVE) is None
    assert flags(story.rig) == {"new_ranking_page": False, "cost_optimization": False}
    assert list(undone(story)) == ["values", "model", "data", "flags"]
    assert {state for state, _ in undone(story).values()} == {"back"}
    at = story.effects.index("roll_back")
    assert story.effects[at : at + 3] == ["roll_back", "point_dataset", "restore_flags"]
    assert next(row for row in story.rig.store.flags() if row.name == "new_ranking_page").details["why"]


def test_the_pointer_goes_back_to_the_data_of_the_release_before(tmp_path: Path) -> None:
    story = worse(tmp_path)
    rig = story.rig
    earlier: list[DatasetRef] = []

    def point() -> None:
        made = rig.store.cycles()[0].facts["dataset"]["ref"]
        ref = DatasetRef.model_validate(made)
        permit = rig.permits.mint(
            tool="set-up", effects=("datasets.point",), args_hash="", actor="release", cycle_id="x", key="earlier"
        )
        rig.ports.datasets.point(pointer=LIVE, ref=ref, key="earlier", permit=permit)
        earlier.append(ref)

    also(rig, "augment", point, what="end")
    story.runs().expect_end(OutcomeKind.ROLLED_BACK)
    assert rig.ports.datasets.pointed(LIVE) == earlier[0]


def test_a_flag_that_people_switched_stays_theirs(tmp_path: Path) -> None:
    story = worse(tmp_path).runs()
    assert flags(story.rig)["cost_optimization"] is False
    assert "cost_optimization" not in undone(story)["flags"][1]


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("port", "method", "part"),
    [("datasets", "point", "data"), ("store", "set_flag", "flags")],
)
def test_a_part_that_fails_for_a_while_goes_back_when_it_can_and_the_others_do_not_wait(
    tmp_path: Path, port: str, method: str, part: str, times: int
) -> None:
    story = worse(tmp_path)
    fail_from_roll_back(story, port, method, times)
    story.runs().expect_end(OutcomeKind.ROLLED_BACK).is_proven()
    assert {state for state, _ in undone(story).values()} == {"back"}
    assert f"{part}: " in notes(story)
    assert story.effects.count("roll_back") == 1


@pytest.mark.parametrize(
    ("port", "method", "part", "others"),
    [
        ("datasets", "point", "data", ("values", "model", "flags")),
        ("store", "set_flag", "flags", ("values", "model", "data")),
    ],
)
def test_a_part_that_never_goes_back_is_named_to_a_person_and_is_no_success(
    tmp_path: Path, port: str, method: str, part: str, others: tuple[str, ...]
) -> None:
    story = worse(tmp_path)
    fail_from_roll_back(story, port, method, None)
    story.runs().expect_end(OutcomeKind.HANDED_OFF)
    assert story.cycle.outcome is not None
    assert not story.cycle.outcome.verified
    states = {name: state for name, (state, _) in undone(story).items()}
    assert states == {**dict.fromkeys(others, "back"), part: "missing"}
    story.said("not wholly taken back", f"{part}: ")
    assert story.rig.ports.delivery.live().digest != story.cycle.facts["candidate"]["model"]["digest"]


def test_the_alias_that_a_bad_release_moved_is_part_of_the_unit(tmp_path: Path) -> None:
    story = given(tmp_path, Action.ROLLBACK)
    fail_from_roll_back(story, "tracking", "set_alias", None)
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said("model: ")
    assert undone(story)["values"][0] == "back"


def test_values_that_come_back_as_something_else_are_no_rollback(tmp_path: Path) -> None:
    story = worse(tmp_path)
    delivery: Any = story.rig.ports.delivery
    live = delivery.live

    def lie() -> None:
        delivery.live = lambda: live().model_copy(update={"index_generation": 99})

    also(story.rig, "watch", lie, what="end")
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said("values: the index version is 99")


def also(rig: Rig, stage: str, act: Callable[[], object], what: str = "begin") -> None:
    """Do something once, as soon as a stage begins or ends, besides what is done there already."""
    before = rig.office.observer
    done: list[bool] = []

    def note(event: Event) -> None:
        before(event)
        if (event.kind, event.stage, event.what) == ("stage", stage, what) and not done:
            done.append(True)
            act()

    object.__setattr__(rig.office, "observer", note)


def fail_from_roll_back(story: Story, port: str, method: str, times: int | None) -> None:
    """Let a method fail from the moment the roll-back begins: so many times, or for ever (None)."""
    rig = story.rig
    owner: Any = rig.store if port == "store" else getattr(rig.ports, port)
    found = getattr(owner, method)
    left = [times]
    begun = [False]

    def begin() -> None:
        begun[0] = True

    def called(*args: Any, **kwargs: Any) -> Any:
        if begun[0] and left[0] != 0:
            left[0] = None if left[0] is None else left[0] - 1
            raise AWAY
        return found(*args, **kwargs)

    setattr(owner, method, called)
    also(rig, "roll_back", begin, what="begin")
