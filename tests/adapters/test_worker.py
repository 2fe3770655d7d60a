"""Worker processes are confined, killed whole, and keep what they were told to keep."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from adapters.training.base import EFFECT_TRAIN
from adapters.training.worker import WorkerTraining
from adapters.worker import Worker, find_bubblewrap
from domain.clock import FrozenClock, SystemClock
from domain.errors import DependencyLied, DependencyTimeout, DependencyUnavailable, InvalidInput
from domain.observation import Seen
from domain.permit import PermitOffice
from tests.contract.permits import permit_for
from tests.contract.training_contract import JOBS, job
from tests.contract.workers import ENVIRONMENT, worker
from tests.support.waiting import gone, until

ROOT = Path(__file__).resolve().parents[2]
SECOND = timedelta(seconds=1)
WAY = "foreign user" if os.geteuid() == 0 else "user namespace"
needs_bubblewrap = pytest.mark.skipif(
    "bubblewrap" not in worker(confined=True).isolation, reason="bubblewrap is not installed or not allowed here"
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


class Over(SystemClock):
    """An hour is over at once when a file is whole."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        whole = self._file.exists() and self._file.read_text().endswith("]")
        return super().monotonic() + (3600 if whole else 0)


def running(words: str) -> list[psutil.Process]:
    """Return the processes whose command has these words in it."""
    return [p for p in psutil.process_iter(["cmdline"]) if words in " ".join(p.info["cmdline"] or [])]


def look_around(given: Worker, tmp_path: Path, out: Path, port: int) -> dict[str, object]:
    folder = tmp_path / "sealed"
    folder.mkdir()
    (folder / "judgements.jsonl").write_text("secret\n")
    spec = {"folder": str(folder), "port": port, "elsewhere": str(tmp_path)}
    done = given.run(f"{JOBS}:look_around", spec, out, timeout=120 * SECOND, memory_mib=512)
    assert isinstance(done.output, dict)
    return done.output


def test_the_environment_is_the_one_handed_in(tmp_path: Path, out: Path, port: int) -> None:
    seen = look_around(worker(), tmp_path, out, port)
    added = {"TMPDIR", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
    assert set(seen["environment"] if isinstance(seen["environment"], list) else []) == set(ENVIRONMENT) | added
    assert seen["folder"] == ["judgements.jsonl"]


@needs_bubblewrap
def test_bubblewrap_hides_folders_and_cuts_the_network(tmp_path: Path, out: Path, port: int) -> None:
    confined = worker(confined=True, hidden=[tmp_path / "sealed"])
    seen = look_around(confined, tmp_path, out, port)
    assert seen["folder"] == []
    assert (seen["network"], seen["writes"], seen["writes_out"]) == (False, False, True)
    assert confined.isolation == f"bubblewrap ({WAY}): no network, read-only, 1 folders hidden"


def test_without_bubblewrap_it_says_so() -> None:
    given = Worker(
        name="training", environment=ENVIRONMENT, clock=SystemClock(), hidden=[ROOT], bubblewrap="/bin/false"
    )
    assert given.isolation == "process with limits"
    assert find_bubblewrap("/nowhere") is None


@pytest.mark.parametrize("confined", [False, True], ids=["plain", "bubblewrap"])
def test_a_job_over_its_time_is_killed_with_all_it_started(tmp_path: Path, out: Path, confined: bool) -> None:
    pids = out / "pids"
    given = worker(confined=confined, clock=Over(pids))
    with pytest.raises(DependencyTimeout, match="longer than 600 s"):
        given.run(f"{JOBS}:hang", {"pids": str(pids)}, out, timeout=600 * SECOND, memory_mib=512)
    started = json.loads(pids.read_text())
    assert len(started) == 3
    if (
        not confined
    ):  # inside bubblewrap the numbers are of another table, and the kernel ends all with its first process
        until(lambda: all(gone(pid) for pid in started))
    until(lambda: not running(str(pids)))


def test_a_job_over_its_memory_dies(out: Path) -> None:
    with pytest.raises(DependencyUnavailable, match="MemoryError"):
        worker().run(f"{JOBS}:eat_memory", {}, out, timeout=120 * SECOND, memory_mib=256)


def test_the_end_of_the_error_output_is_told_unless_the_worker_is_quiet(out: Path) -> None:
    with pytest.raises(DependencyUnavailable, match="secret-word"):
        worker().run(f"{JOBS}:fail", {}, out, timeout=120 * SECOND, memory_mib=512)
    with pytest.raises(DependencyUnavailable, match="exit status 1: RuntimeError") as caught:
        worker(quiet=True).run(f"{JOBS}:fail", {}, out, timeout=120 * SECOND, memory_mib=512)
    assert "secret-word" not in str(caught.value)


def test_a_worker_that_cannot_be_started_is_unavailable(out: Path) -> None:
    given = Worker(name="training", environment={}, clock=SystemClock(), python="/nowhere/python")
    with pytest.raises(DependencyUnavailable, match="cannot be started"):
        given.run(f"{JOBS}:add", {"a": 1, "b": 1}, out, timeout=SECOND, memory_mib=512)


def test_a_process_that_ends_without_a_result_lied(out: Path) -> None:
    given = Worker(name="training", environment={}, clock=SystemClock(), python=shutil.which("true") or "/bin/true")
    with pytest.raises(DependencyLied, match="without a result"):
        given.run(f"{JOBS}:add", {}, out, timeout=SECOND, memory_mib=512)


def open_training(folder: Path, office: PermitOffice) -> WorkerTraining:
    return WorkerTraining(folder=folder, worker=worker(), permits=office, clock=SystemClock())


def test_when_the_waiting_process_dies_the_job_does_too(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"""
        from pathlib import Path
        from domain.clock import FrozenClock
        from domain.permit import PermitOffice
        from adapters.training.base import EFFECT_TRAIN
        from tests.adapters.test_worker import open_training
        from tests.contract.permits import permit_for
        from tests.contract.training_contract import job
        office = PermitOffice(FrozenClock())
        training = open_training(Path({str(tmp_path / "results")!r}), office)
        work = job("hang", pids={str(pids)!r})
        training.run(work, key="k1", permit=permit_for(office, EFFECT_TRAIN, "k1"))
    """
    waiting = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT)
    until(lambda: pids.exists() and pids.read_text().endswith("]"))
    started = json.loads(pids.read_text())
    os.kill(waiting.pid, signal.SIGKILL)
    waiting.wait()
    until(lambda: gone(started[0]))
    for child in started[1:]:  # a child of a killed job is nobody's: only bubblewrap ends it with the job
        if psutil.pid_exists(child):
            os.kill(child, signal.SIGKILL)
    office = PermitOffice(FrozenClock())
    training = open_training(tmp_path / "results", office)
    assert training.observe("k1").seen is Seen.ABSENT
    result = training.run(job("add", a=1, b=2), key="k1", permit=permit_for(office, EFFECT_TRAIN, "k1"))
    assert result.output == {"sum": 3}


def test_one_key_asked_for_twice_at_once_runs_once(tmp_path: Path) -> None:
    office = PermitOffice(FrozenClock())
    trace = tmp_path / "trace"
    work = job("add", a=1, b=2, trace=str(trace))

    def run() -> None:
        open_training(tmp_path / "results", office).run(work, key="k1", permit=permit_for(office, EFFECT_TRAIN, "k1"))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trace.read_text() == "ran\n"


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    office = PermitOffice(FrozenClock())
    training = open_training(tmp_path / "results", office)
    training.run(job("add", a=1, b=2), key="k1", permit=permit_for(office, EFFECT_TRAIN, "k1"))
    (tmp_path / "results" / "k1" / "result.json").write_text("{")
    with pytest.raises(DependencyLied, match="k1"):
        training.observe("k1")


@pytest.mark.parametrize("key", ["../up", "", ".hidden", "a/b", "a" * 300])
def test_a_key_that_cannot_name_a_folder_is_refused(tmp_path: Path, key: str) -> None:
    office = PermitOffice(FrozenClock())
    with pytest.raises(InvalidInput, match="key"):
        open_training(tmp_path, office).run(job("add", a=1, b=2), key=key, permit=permit_for(office, EFFECT_TRAIN, key))


def test_starting_a_worker_takes_little(out: Path) -> None:
    given = worker(confined=True)
    given.run(f"{JOBS}:add", {"a": 1, "b": 1}, out, timeout=120 * SECOND, memory_mib=512)
    done = given.run(f"{JOBS}:add", {"a": 1, "b": 1}, out, timeout=120 * SECOND, memory_mib=512)
    assert done.seconds < 30  # about 0.1 s on a quiet machine
