"""Confinement holds: every check is a hostile job that tries, and must fail."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from adapters.confinement import View, Way, inputs, ways, works
from adapters.sandbox.checks import CHECKS, HOSTILE, Held, examine, summary
from adapters.sandbox.process import ProcessSandbox
from adapters.worker import Worker
from adapters.worker_job import Limits, limit_of
from domain.clock import SystemClock
from domain.errors import DependencyLied, DependencyUnavailable
from tests.contract.workers import ENVIRONMENT, worker
from tests.support.waiting import until

needs_bubblewrap = pytest.mark.skipif(
    not worker(confined=True).confines, reason="bubblewrap (apt: bubblewrap) is missing or not allowed here"
)
PATIENT = timedelta(minutes=2)


@pytest.fixture(scope="module")
def found() -> Mapping[str, Held]:
    return {held.name: held for held in examine(worker(confined=True))}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@needs_bubblewrap
@pytest.mark.parametrize("name", CHECKS)
def test_a_hostile_job_does_not_get_through(found: Mapping[str, Held], name: str) -> None:
    assert found[name].ok, found[name].detail


@needs_bubblewrap
@pytest.mark.parametrize(
    ("name", "limit"),
    [("memory", "memory (256 MiB)"), ("forks", "processes (48"), ("cpu", "CPU (1 s)"), ("disk", "file size (4 MiB)")],
)
def test_the_error_says_which_limit_ended_the_job(found: Mapping[str, Held], name: str, limit: str) -> None:
    assert f"the job reached its limit of {limit}" in found[name].detail


def test_the_checks_can_fail(tmp_path: Path) -> None:
    seen = {held.name: held for held in examine(worker())}
    through = {name for name, held in seen.items() if not held.ok}
    assert {"network", "processes", "tmp", "hidden", "forks"} <= through
    assert "not " in summary(list(seen.values()))


@needs_bubblewrap
def test_memory_is_counted_over_all_processes_of_a_job(out: Path) -> None:
    with pytest.raises(DependencyUnavailable, match=r"limit of memory \(128 MiB\)"):
        worker(confined=True).run(f"{HOSTILE}:share_memory", {"memory_mib": 128}, out, timeout=PATIENT, memory_mib=128)

    def left() -> list[psutil.Process]:
        return [p for p in psutil.process_iter(["cmdline"]) if str(out) in " ".join(p.info["cmdline"] or [])]

    until(lambda: not left())


@pytest.mark.parametrize("confined", [pytest.param(True, marks=needs_bubblewrap), False], ids=["bubblewrap", "plain"])
def test_a_link_that_leads_out_is_not_taken_from_a_job(out: Path, confined: bool) -> None:
    with pytest.raises(DependencyLied, match="'bundle', which is no file of its own"):
        worker(confined=confined).run(f"{HOSTILE}:leave_link", {}, out, timeout=PATIENT, memory_mib=256)


@needs_bubblewrap
def test_what_a_job_is_given_it_can_read_though_nobody_else_may(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "dataset"
    folder.mkdir()
    (folder / "judgements.jsonl").write_text("{}\n")
    (folder / "judgements.jsonl").chmod(0o600)
    folder.chmod(0o700)
    spec = {"folder": str(folder), "port": 1, "elsewhere": str(folder)}
    done = worker(confined=True).run("tests.contract.toy_jobs:look_around", spec, out, timeout=PATIENT, memory_mib=512)
    assert done.output["folder"] == ["judgements.jsonl"]
    assert done.output["writes"] is False
    assert (out / "mark").stat().st_uid == os.geteuid()
    assert (folder / "judgements.jsonl").stat().st_mode & 0o777 == 0o600


@needs_bubblewrap
def test_a_shut_folder_below_the_code_is_shown_where_it_is_given(out: Path) -> None:
    beside = Path(__file__).resolve().parents[3] / "artifacts"
    beside.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=beside) as shut:
        folder = Path(shut) / "sealed"
        folder.mkdir(mode=0o700)
        (folder / "judgements.jsonl").write_text("{}\n")
        spec = {"folder": str(folder), "port": 1, "elsewhere": str(folder)}
        done = worker(confined=True).run(
            "tests.contract.toy_jobs:look_around", spec, out, timeout=PATIENT, memory_mib=512
        )
    assert done.output["folder"] == ["judgements.jsonl"]
    assert done.output["writes"] is False


@needs_bubblewrap
def test_folders_of_the_same_place_that_were_not_given_are_not_seen(tmp_path: Path, out: Path) -> None:
    for name in ("given", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secret").write_text("secret")
    hidden_from_inputs = "|".join(str(tmp_path / "other").split("/"))
    spec = {"folder": str(tmp_path / "given"), "port": 1, "elsewhere": hidden_from_inputs}
    done = worker(confined=True).run("tests.contract.toy_jobs:look_around", spec, out, timeout=PATIENT, memory_mib=512)
    assert done.output["folder"] == ["secret"]
    beside = {**spec, "folder": "", "elsewhere": ""}
    assert inputs(beside) == []


def test_where_confinement_is_required_and_cannot_be_had_no_job_runs(out: Path) -> None:
    given = Worker(
        name="training", environment=ENVIRONMENT, clock=SystemClock(), bubblewrap="/bin/false", required=True
    )
    with pytest.raises(DependencyUnavailable, match=r"have to be shut in.*jobs\.sandbox"):
        given.run("tests.contract.toy_jobs:add", {"a": 1, "b": 1}, out, timeout=PATIENT, memory_mib=512)
    assert given.isolation == "none: jobs are refused"
    assert not (out / "sum.txt").exists()


def test_the_doctor_is_told_which_checks_do_not_hold() -> None:
    said = ProcessSandbox(worker=worker(), memory_mib=256).check()
    assert "of 12 checks hold; not network (127.0.0.1" in said


@needs_bubblewrap
def test_the_doctor_is_told_that_all_hold() -> None:
    assert "12 of 12 checks hold" in ProcessSandbox(worker=worker(confined=True), memory_mib=256).check()


@needs_bubblewrap
def test_as_root_a_job_is_a_user_of_its_own() -> None:
    given = Way("foreign user", "bwrap", "setpriv", 61184)
    users = {given.fresh().user for _ in range(50)}
    assert len(users) > 25
    assert all(user is not None and 61184 <= user < 65536 for user in users)
    assert "--unshare-user" not in given.command([])
    assert "--unshare-user" in Way("user namespace", "bwrap").command([])


def test_root_without_setpriv_has_no_way_that_holds_everything(tmp_path: Path) -> None:
    assert [way.name for way in ways("bwrap", str(tmp_path), root=False)] == ["user namespace"]
    assert all(way.setpriv for way in ways("bwrap", str(tmp_path), root=True))
    assert not works(Way("user namespace", str(tmp_path / "no-such-program")))


def test_a_hidden_folder_is_laid_over_what_is_given(tmp_path: Path) -> None:
    sealed, given, out = tmp_path / "sealed", tmp_path / "given", tmp_path / "out"
    for folder in (sealed, given, out):
        folder.mkdir()
    words = View(writable=[out], given=[given, sealed], hidden=[sealed]).words(None, tmp_path / "copies")
    shown = [words[n + 2] for n, word in enumerate(words) if word in ("--ro-bind", "--bind")]
    assert str(given) in shown
    assert str(sealed) not in shown
    assert words.index(str(given)) < words.index(str(sealed)) < words.index(str(out))


@pytest.mark.parametrize(
    ("error", "limit"),
    [
        (MemoryError(), "memory"),
        (BlockingIOError(11, "again"), "processes"),
        (RuntimeError("can't start new thread"), "processes"),
        (OSError(27, "too large"), "file size"),
        (OSError(24, "too many"), "open files"),
        (OSError(28, "no space"), "disk"),
        (OSError(2, "no file"), ""),
        (ValueError("memory"), ""),
    ],
)
def test_an_exception_tells_the_limit_it_speaks_of(error: BaseException, limit: str) -> None:
    assert limit_of(error) == limit


def test_limits_that_are_left_are_those_of_the_worker(out: Path) -> None:
    given = worker().varied(limits=Limits(memory_mib=0, cpu_s=0, file_mib=1), hidden=[])
    name = f"mark-{secrets.token_hex(4)}"
    with pytest.raises(DependencyUnavailable, match=r"limit of file size \(1 MiB\)"):
        given.run(f"{HOSTILE}:fill", {"file_mib": 1, "name": name}, out, timeout=PATIENT, memory_mib=256)


@needs_bubblewrap
def test_shutting_a_job_in_takes_little(out: Path) -> None:
    def fastest(given: Worker) -> float:
        runs = [
            given.run("tests.contract.toy_jobs:add", {"a": 1, "b": 1}, out, timeout=PATIENT, memory_mib=512)
            for _ in range(4)
        ]
        return min(run.seconds for run in runs)

    assert fastest(worker(confined=True)) - fastest(worker()) < 3  # about 0.02 s on a quiet machine
