"""A process that dies in a step leaves spans open: its successor closes them, and goes on with the tree."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from adapters.database import Database
from adapters.store.sqlalchemy import SqlStore
from adapters.traces.hanging import INTERRUPTED
from domain.alert import Alert, AlertStatus
from domain.cycle import Cycle
from domain.trace import SpanData, root_place, trace_id_of
from service.tracers import StoreJournal
from tests.stubs.langsmith_server import LangSmithStub

AT = datetime(2026, 1, 31, 10, tzinfo=UTC)
ALERT = Alert(
    fingerprint="f1",
    name="NdcgDrop",
    status=AlertStatus.FIRING,
    signal="ndcg_at_10",
    target="search",
    environment="dev",
    starts_at=AT,
)


@pytest.fixture
def stub() -> Iterator[LangSmithStub]:
    made = LangSmithStub()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "evercrew.db"


def opened(database: Path) -> Cycle:
    held = Database(f"sqlite:///{database}")
    cycle, _ = SqlStore(held).open_cycle(ALERT, AT)
    held.close()
    return cycle


def run(database: Path, stub: LangSmithStub, cycle: Cycle, point: str = "") -> int:
    """Run a process to its end, and return its exit code."""
    command = [sys.executable, "-m", "tests.traces.dying", str(database), stub.url, cycle.id, point]
    return subprocess.run(command, check=False, timeout=120, capture_output=True).returncode


def tree(stub: LangSmithStub) -> Counter[tuple[str, str, str]]:
    """Return name, name of the span above, and how it ended (open, ok, interrupted), of every run."""
    return Counter((run["name"], _above(stub, run), _end(run)) for run in stub.runs.values())


def _above(stub: LangSmithStub, run: dict[str, Any]) -> str:
    return str(stub.runs[run["parent_run_id"]]["name"]) if run.get("parent_run_id") else ""


def _end(run: dict[str, Any]) -> str:
    if not run.get("end_time"):
        return "open"
    return "interrupted" if run.get("error") == INTERRUPTED else str(run.get("error") or "ok")


ROOT, STEP, CREW = "self_improvement_cycle", "monitor_metrics", "crew diagnosis"
WHOLE = {(STEP, ROOT, "ok"), (CREW, STEP, "ok"), ("diagnosis_propose", CREW, "ok"), ("query_metric", CREW, "ok")}


@pytest.mark.parametrize(
    ("point", "hanging"),
    [
        pytest.param(
            "in the model",
            {(STEP, ROOT), (CREW, STEP), ("diagnosis_propose", CREW)},
            marks=pytest.mark.slow,
        ),
        ("in the tool", {(STEP, ROOT), (CREW, STEP), ("query_metric", CREW)}),
    ],
)
def test_after_a_kill_the_next_process_closes_what_hangs_and_the_tree_is_whole(
    database: Path, stub: LangSmithStub, point: str, hanging: set[tuple[str, str]]
) -> None:
    cycle = opened(database)
    assert run(database, stub, cycle, point) == -signal.SIGKILL
    left = tree(stub)
    assert {(name, above) for name, above, end in left if end == "open"} == hanging | {(ROOT, "")}
    assert run(database, stub, cycle) == 0
    whole = tree(stub)
    assert {(name, above) for name, above, end in whole if end == "interrupted"} == hanging
    assert set(whole) >= WHOLE
    assert [key for key in whole if key[2] == "open"] == []
    assert whole[(ROOT, "", "ok")] == 1
    assert stub.wrong == []
    assert stub.posted[trace_id_of(cycle.id, cycle.opened_at)] == 1
    assert {UUID(run["trace_id"]).hex for run in stub.runs.values()} == {trace_id_of(cycle.id, cycle.opened_at)}


@pytest.mark.slow
def test_a_process_that_dies_twice_in_a_row_leaves_nothing_open_either(database: Path, stub: LangSmithStub) -> None:
    cycle = opened(database)
    for _ in range(2):
        assert run(database, stub, cycle, "in the tool") == -signal.SIGKILL
    assert run(database, stub, cycle) == 0
    whole = tree(stub)
    assert [key for key in whole if key[2] == "open"] == []
    assert whole[(STEP, ROOT, "interrupted")] == 2


@pytest.mark.slow
def test_a_process_that_ends_well_leaves_nothing_to_close(database: Path, stub: LangSmithStub) -> None:
    cycle = opened(database)
    assert run(database, stub, cycle) == 0
    held = Database(f"sqlite:///{database}")
    assert StoreJournal(SqlStore(held)).left("langsmith", cycle.id) == []
    held.close()
    assert run(database, stub, cycle) == 0
    assert [key for key in tree(stub) if key[2] == "interrupted"] == []


def test_the_journal_gives_back_what_was_open_with_its_place(database: Path) -> None:
    held = Database(f"sqlite:///{database}")
    journal = StoreJournal(SqlStore(held))
    place = root_place("si_2026_01_31_001", AT).below(AT)
    span = SpanData("training", "chain", "si_2026_01_31_001", place, inputs={"never": "kept"})
    journal.keep("otel", span.cycle_id, [span])
    [left] = journal.left("otel", span.cycle_id)
    assert (left.name, left.kind, left.place) == ("training", "chain", place)
    assert left.inputs == {}
    assert journal.left("langsmith", span.cycle_id) == []
    held.close()
