"""A handful of cells and a sample of the crash matrix; all of both is `make chaos`."""

from __future__ import annotations

import pytest

from tests.chaos.catalog import BY_NAME, Cell, cells
from tests.chaos.crashes import PATHS, Crash, Crashes
from tests.chaos.runner import Runner, judged
from tests.chaos.writes import sample

# Each test is several processes, one after the other, on a machine that may have other things to do.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CHOSEN = {
    "metrics-nan__stays-watch_of_a_worse_model": "rolled back",
    "git_over_HTTPS-answer_lost__passes-roll_back": "rolled back",
    "audit_store-full__stays-promote": "holds, then goes on",
    "store__SQLite_-read_only__passes-promote": "waits, goes on",
}
PLACES = 3


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    made = Runner(tmp_path_factory.mktemp("chaos"))
    made.prepare()
    return made


@pytest.mark.parametrize("name", CHOSEN)
def test_a_fault_ends_safely(runner: Runner, name: str) -> None:
    result = runner.one(_cell(name))
    assert result.unsafe == []
    assert result.said in (CHOSEN[name], f"holds, then {CHOSEN[name]}")


@pytest.mark.parametrize("path", PATHS)
def test_a_death_between_two_writes_loses_and_repeats_nothing(runner: Runner, path: str) -> None:
    crashes = Crashes(runner)
    counted = crashes.counted(path, {})
    assert counted.unsafe == []
    assert counted.writes > 50
    for at in sample(counted.writes, PLACES)[:-1]:
        found = crashes.one(Crash(path, at))
        assert (found.died, found.unsafe) == (True, [])


def test_a_process_that_hangs_or_a_stage_that_never_came_is_unsafe() -> None:
    cell = _cell(next(iter(CHOSEN)))
    sound = {"unsafe": [], "outcome": "improved", "wanted": "improved"}
    assert "hung" in str(judged(cell, None, 0, {}, sound).unsafe)
    assert "hung" in str(judged(cell, 0, None, {"begun": True, "ended": True}, {}).unsafe)
    assert "never began" in str(judged(cell, 0, 0, {"begun": False, "ended": True}, sound).unsafe)
    assert judged(cell, 0, 0, {"begun": True, "ended": True}, sound).said == "unaffected"


def test_a_sample_has_both_ends_and_no_place_twice() -> None:
    assert list(sample(2, 5)) == [1, 2]
    chosen = list(sample(100, 7))
    assert (chosen[0], chosen[-1], len(chosen)) == (1, 100, 7)


def _cell(name: str) -> Cell:
    found = next(cell for cell in cells() if cell.name == name)
    if BY_NAME[found.dependency].missing():
        pytest.skip(f"needs {BY_NAME[found.dependency].missing()}")
    return found
