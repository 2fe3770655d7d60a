"""Making, copying, serving and measuring a world."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from testbed import __main__ as command
from testbed.bootstrap import BASE_SESSIONS, history_sessions, make_world
from testbed.bundle import Bundle
from testbed.documents import DocumentStore
from testbed.errors import DataError
from testbed.feedback_store import FeedbackStore, read_sealed
from testbed.layout import Layout
from testbed.models import ModelCache
from testbed.process import ProcessError
from testbed.reconciler import GitOps
from testbed.registry import RegistryError, Release, register
from testbed.traffic import JUDGED_SHARE
from testbed.world import World
from tests.support.waiting import gone, until
from tests.testbed.conftest import DOCUMENTS, HISTORY, SEED
from tests.testbed.helpers import OTHER, report, version


def test_a_world_holds_documents_feedback_a_model_and_its_release(made: tuple[Layout, str, str]) -> None:
    layout = made[0]
    git = GitOps(layout.gitops)
    values = git.values(git.head())
    assert 0.5 * DOCUMENTS < len(DocumentStore(layout.corpus)) < 0.8 * DOCUMENTS
    assert Bundle.load(layout.models / values.model.digest[7:]).digest == values.model.digest
    store = FeedbackStore(layout.feedback, layout.sealed)
    readable, sealed = store.read(), read_sealed(layout.sealed)
    store.close()
    assert len(sealed) / (len(readable) + len(sealed)) == pytest.approx(0.25, abs=0.05)
    assert layout.sealed.stat().st_mode & 0o777 == 0o700
    shown_high = sum(row.doc_id in row.shown[:3] for row in readable)
    assert shown_high > sum(row.doc_id in row.shown[3:] for row in readable)


def test_the_same_seed_makes_the_same_model(made: tuple[Layout, str, str], scratch: Path, tmp_path: Path) -> None:
    again = make_world(tmp_path / "again", SEED, DOCUMENTS, None, scratch, history=HISTORY)
    heads = [GitOps(layout.gitops).values(GitOps(layout.gitops).head()) for layout in (made[0], again)]
    assert heads[0].model == heads[1].model
    with pytest.raises(FileExistsError, match="not empty"):
        make_world(again.root, SEED, DOCUMENTS, None, scratch, history=HISTORY)


def test_a_world_needs_a_collection_that_is_one(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        make_world(tmp_path / "w", 1, None, tmp_path / "absent", None)


def test_a_month_is_long_enough_for_a_small_corpus_and_grows_with_a_large_one(made: tuple[Layout, str, str]) -> None:
    assert history_sessions(0) == BASE_SESSIONS
    assert [history_sessions(size) - BASE_SESSIONS for size in (1000, 10_000, 20_000)] == [700, 7000, 14_000]
    store = FeedbackStore(made[0].feedback, made[0].sealed)
    judged = len(store.read()) + len(read_sealed(made[0].sealed))
    store.close()
    assert judged / HISTORY == pytest.approx(JUDGED_SHARE, abs=0.04)


def test_a_model_whose_content_is_not_its_digest_is_refused(
    made: tuple[Layout, str, str], new_world: Callable[[], World], tmp_path: Path
) -> None:
    layout = new_world().layout
    bundle = layout.models / made[2][7:]
    register(layout.root, Release(str(bundle), OTHER, "rev", "now"))
    with pytest.raises(RegistryError, match="has the digest"):
        ModelCache(layout.root, tmp_path / "cache").load(OTHER)
    assert not (tmp_path / "cache" / OTHER[7:]).exists()


def test_a_world_is_served_and_leaves_no_process_behind(new_world: Callable[[], World]) -> None:
    world = new_world()
    others = set(psutil.Process().children(recursive=True))
    with world:
        children = set(psutil.Process().children(recursive=True)) - others
        assert len(children) >= 2
        assert version(world.url)["model_version"] == "1"
        with pytest.raises(ProcessError, match="running"):
            world.start()
        until(lambda: report(world.layout)["sessions"] > 5)
        assert command.main(["truth", str(world.root), "-n", "20"]) == 0
    until(lambda: all(gone(child.pid) for child in children))
    assert command.main(["truth", str(world.root), "-n", "20"]) == 3


def test_a_service_that_cannot_start_says_why(new_world: Callable[[], World]) -> None:
    world = new_world()
    world.layout.gitops.rename(world.root / "elsewhere.git")
    with pytest.raises(ProcessError, match="GitError"):
        world.start()


def test_the_processes_end_when_the_one_that_started_them_dies(new_world: Callable[[], World]) -> None:
    world = new_world()
    script = (
        "import sys; from pathlib import Path; from testbed.world import World; "
        f"world = World(Path({str(world.root)!r})); print(world.start(), flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    assert parent.stdout.readline().startswith(b"http://")
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) >= 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    parent.stdin.close()
    until(lambda: all(gone(child.pid) for child in children))


def test_the_command_line_makes_a_world_and_hurts_it(
    scratch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(tmp_path / "w")
    sizes = ["--seed", str(SEED), "--documents", str(DOCUMENTS), "--history", str(HISTORY)]
    made = ["bootstrap", root, *sizes, "--cache", str(scratch)]
    assert command.main(made) == 0
    assert json.loads(capsys.readouterr().out) == {"world": root}
    assert command.main(made) == 2
    assert command.main(["fault", root, "cost_spike"]) == 0
    assert command.main(["fault", root, "gremlins"]) == 3
    assert "corpus_shift" in capsys.readouterr().err
