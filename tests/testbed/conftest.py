"""A tiny world, made once a session: about 900 documents, a released model, and a second one in the registry."""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from testbed.bootstrap import make_world, train_and_register, world_key
from testbed.corpus import load_docstrings
from testbed.documents import DocumentStore
from testbed.feedback_store import FeedbackStore
from testbed.layout import Layout
from testbed.registry import relocate
from testbed.world import World

SEED = 3
DOCUMENTS = 900
# A tenth of a usual month: enough for a model that beats plain search, and made in a few seconds.
HISTORY = 2000


@pytest.fixture(scope="session")
def scratch(request: pytest.FixtureRequest) -> Path:
    """A folder that outlives the session: scanning doc strings and making worlds is done once for many runs."""
    cache = request.config.cache
    assert cache is not None
    folder = cache.mkdir("testbed")
    with _alone(folder):
        load_docstrings(1, folder)
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Held by the worker that makes something while the others wait: made twice at once it would take twice as long."""
    with (folder / "making.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def made(scratch: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, str, str]:
    """The tiny world at rest, and the (version, digest) of a second model in its registry."""
    kept = scratch / f"second-{world_key(SEED, DOCUMENTS, None, HISTORY)}"
    with _alone(scratch):
        layout = make_world(tmp_path_factory.mktemp("worlds") / "made", SEED, DOCUMENTS, None, scratch, history=HISTORY)
        if not kept.exists():
            _add_second(layout, kept)
    second = json.loads((kept / "second.json").read_text(encoding="utf-8"))
    shutil.rmtree(layout.root)
    shutil.copytree(kept / "world", layout.root)
    relocate(layout.root, second["root"], str(layout.root))
    return layout, second["version"], second["digest"]


def _add_second(layout: Layout, kept: Path) -> None:
    """Register a second model and keep the world with it for the next session."""
    store = FeedbackStore(layout.feedback, layout.sealed)
    judged = store.read()
    store.close()
    documents = DocumentStore(layout.corpus).documents()
    version, digest = train_and_register(layout, documents, judged[:900], SEED + 1, ())
    fresh = Path(tempfile.mkdtemp(dir=kept.parent))
    shutil.copytree(layout.root, fresh / "world")
    second = {"version": version, "digest": digest, "root": str(layout.root)}
    (fresh / "second.json").write_text(json.dumps(second), encoding="utf-8")
    fresh.rename(kept)


@pytest.fixture
def new_world(made: tuple[Layout, str, str], tmp_path: Path) -> Iterator[Callable[[], World]]:
    """Makes copies of the tiny world; those that run are stopped at the end."""
    worlds: list[World] = []

    def copy() -> World:
        root = tmp_path / f"world{len(worlds)}"
        shutil.copytree(made[0].root, root)
        relocate(root, str(made[0].root), str(root))
        worlds.append(World(root))
        return worlds[-1]

    yield copy
    for world in worlds:
        world.stop()


@pytest.fixture(scope="session")
def quiet(made: tuple[Layout, str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A served world without users, shared by tests that leave it as it is."""
    root = tmp_path_factory.mktemp("worlds") / "quiet"
    shutil.copytree(made[0].root, root)
    world = World(root)
    world.start(traffic=False)
    with httpx.Client(base_url=world.url, trust_env=False, timeout=60.0) as client:
        yield client
    world.stop()
