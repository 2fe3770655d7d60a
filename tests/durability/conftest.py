"""A process to fork the others from, and a template of what takes long to make."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from adapters.locks import exclusive
from domain.clock import SystemClock
from tests.durability import child

# Nothing here takes so long; it is the machine that may have other things to do.
PATIENCE_S = 240
Start = Callable[[Path, str, str], int]
"""(folder, path, point) -> exit code of a process that runs the folder's cycle and dies at the point."""


@pytest.fixture(scope="session")
def forks() -> ForkServerContext:
    """A server with the heavy imports done: a process from it starts in a tenth of a second."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(child.PRELOADED)
    return context


@pytest.fixture(scope="session")
def template(forks: ForkServerContext, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template, made once for all workers of a run."""
    own = tmp_path_factory.getbasetemp()
    base = own.parent if own.name.startswith("popen-") else own
    folder = base / "durability-template"
    wait = timedelta(seconds=PATIENCE_S)
    with exclusive(base / "durability.lock", holder="the template", clock=SystemClock(), timeout=wait):
        if not (folder / "ready").exists():
            folder.mkdir(exist_ok=True)
            assert _finished(forks.Process(target=child.template, args=(str(folder),))) == 0
            (folder / "ready").touch()
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """A copy of the template for one test."""
    return Path(shutil.copytree(template, tmp_path / "office"))


@pytest.fixture
def start(forks: ForkServerContext) -> Start:
    """Run a process to its end."""

    def started(folder: Path, path: str, point: str) -> int:
        return _finished(forks.Process(target=child.run, args=(str(folder), path, point)))

    return started


def _finished(process: multiprocessing.context.ForkServerProcess) -> int:
    process.start()
    process.join(PATIENCE_S)
    if process.exitcode is None:
        process.kill()
        process.join()
        pytest.fail(f"the process was still running after {PATIENCE_S} s")
    return process.exitcode
