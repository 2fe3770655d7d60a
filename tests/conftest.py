"""What holds for every test: no telemetry, and no setting of the machine that changes an answer."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Many long tests without a fixture that is dear to build twice.
SPREAD = {"tests/durability/test_kill.py"}
# No covered room stands behind these: tracing them would cost a third of their time and find nothing.
UNTRACED = ("tests/layout/", "tests/learning/", "tests/testbed/")
_SCRATCH = Path(tempfile.mkdtemp(prefix="evercrew-tests-"))

# Vendors read these while they are imported, so they are set before any test module is.
_FIXED = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_STORAGE_DIR": str(_SCRATCH / "crewai"),
    "CREWAI_TRACING_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "DVC_GLOBAL_CONFIG_DIR": str(_SCRATCH / "dvc-global"),
    "DVC_NO_ANALYTICS": "1",
    "DVC_SITE_CACHE_DIR": str(_SCRATCH / "dvc-site"),
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LANGSMITH_TRACING": "false",
    "LANGSMITH_USE_DAEMON": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_ABSENT_PREFIXES = (
    "EVERCREW_",
    "OPENAI_",
    "LANGCHAIN_",
    "LANGSMITH_",
    "MLFLOW_TRACKING_",
    "GIT_AUTHOR_",
    "GIT_COMMITTER_",
)
_ABSENT = {
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_WORK_TREE",
}  # set by git around hooks: they would redirect every repository


def _prepare() -> None:
    for name in [n for n in os.environ if n.startswith(_ABSENT_PREFIXES) or n in _ABSENT]:
        del os.environ[name]
    os.environ.update(_FIXED)
    local = "127.0.0.1,localhost"
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), local]))
    if not os.access(Path.home(), os.W_OK):
        home = _SCRATCH / "home"
        home.mkdir()
        os.environ["HOME"] = str(home)


_prepare()

# The same examples on every run: a failure found once is found again, and no deadline flakes on a busy machine.
settings.register_profile("evercrew", derandomize=True, deadline=None, database=None, print_blob=True)
settings.load_profile("evercrew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the coverage tracer out of `UNTRACED`."""
    for item in items:
        if item.nodeid.startswith(UNTRACED):
            item.add_marker(pytest.mark.no_cover)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out tests by file; those of `SPREAD` one by one, after the files, so that no worker waits for another."""
    from xdist.scheduler import LoadFileScheduling

    scheduler = LoadFileScheduling(config, log)
    scheduler._split_scope = _unit
    return scheduler


def _unit(nodeid: str) -> str:
    """What stays on one worker: a file, whose fixtures are built once."""
    file = nodeid.split("::", 1)[0]
    return nodeid if file in SPREAD else file


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove this process's scratch folder (every xdist worker has its own)."""
    shutil.rmtree(_SCRATCH, ignore_errors=True)
