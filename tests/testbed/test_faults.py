"""What can happen to a world, and that nothing it leaves behind names it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed import faults
from testbed.documents import DocumentStore
from testbed.faults import FAULTS, FaultError, inject
from testbed.intake import Intake
from testbed.jsonlog import JsonLog
from testbed.metrics import Metrics
from testbed.reconciler import GitOps
from testbed.shards import ShardError, ShardStore, Stored
from testbed.universe import Control, Universe
from testbed.values import EtlValues
from testbed.world import World
from tests.support.waiting import until
from tests.testbed.helpers import metric, report, version

QUICK = [name for name in FAULTS if name not in ("bad_deploy", "index_errors", "recall_drop")]


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_an_unknown_fault_is_refused_with_the_known_ones(new_world: Callable[[], World]) -> None:
    with pytest.raises(FaultError, match="corpus_shift"):
        inject(new_world().root, "gremlins")


@pytest.mark.parametrize("name", QUICK)
def test_what_a_fault_leaves_behind_does_not_name_it(new_world: Callable[[], World], name: str) -> None:
    world = new_world()
    before = files(world.root)
    inject(world.root, name, 1)
    fresh = files(world.root) - before
    settings = [path for path in (world.layout.pipeline, world.layout.runtime, world.layout.traffic) if path.exists()]
    text = " ".join([*fresh, *(path.read_text(encoding="utf-8") for path in settings)]).lower()
    assert not [word for word in (name, *name.split("_")[1:], "fault", "inject") if word in text and name != "none"]


def test_new_subjects_arrive_as_documents_and_as_questions(new_world: Callable[[], World]) -> None:
    world = new_world()
    done = inject(world.root, "corpus_shift")
    universe = Universe.load(world.layout)
    store = DocumentStore(world.layout.corpus)
    intake = Intake(world.layout.incoming, store, Metrics(), JsonLog(world.layout.log))
    assert intake.turn(EtlValues(), 5.0) == done["documents"] == len(universe.arrivals())
    assert {row.document.subject for row in store.since(len(store) - 1)} <= set(universe.new)
    assert Control.read(world.layout.traffic).new_share == faults.NEW_SHARE


def test_a_bad_release_is_a_real_model_released_in_the_ordinary_way(new_world: Callable[[], World]) -> None:
    world = new_world()
    git = GitOps(world.layout.gitops)
    before = git.values(git.head())
    done = inject(world.root, "bad_deploy", 1)
    after = git.values(git.head())
    assert after.model.digest == done["digest"] != before.model.digest
    assert int(after.model.version) > int(before.model.version)
    assert (world.layout.models / done["digest"][7:]).is_dir()
    log = subprocess.run(
        ["git", f"--git-dir={world.layout.gitops}", "log", "-1", "--format=%an %s"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert log.stdout.strip() == f"release-bot Release reranker version {done['version']}"


def test_damaged_shards_give_errors_until_the_index_is_rebuilt(tmp_path: Path) -> None:
    documents = [Stored(f"d{number}", f"Title {number}", "s") for number in range(200)]
    store = ShardStore.rebuild(tmp_path, 1, documents)
    assert store.read("d7") == documents[7]
    for shard in range(2):
        path = tmp_path / "gen-0001" / f"shard-{shard:02d}.dat"
        path.write_bytes(b"\0" * path.stat().st_size)
    bad = [document.id for document in documents if not _readable(store, document.id)]
    assert 0.1 < len(bad) / len(documents) < 0.45
    with pytest.raises(ShardError, match=r"index\.generation"):
        store.read("unknown")
    again = ShardStore(tmp_path, 1)
    assert [document.id for document in documents if not _readable(again, document.id)] == bad
    rebuilt = ShardStore.rebuild(tmp_path, 2, documents)
    assert all(_readable(rebuilt, document.id) for document in documents)


def test_documents_appended_to_the_shards_are_readable_after_a_restart(tmp_path: Path) -> None:
    store = ShardStore.rebuild(tmp_path, 1, [Stored("a", "A", "s")])
    store.append([Stored("b", "Bé", "s"), Stored("a", "again", "s")])
    again = ShardStore(tmp_path, 1)
    assert [again.read(key).title for key in ("a", "b")] == ["A", "Bé"]
    assert "b" in again


def test_a_running_world_shows_each_fault_where_it_hurts(new_world: Callable[[], World]) -> None:
    world = new_world()
    url = world.start(rate=80)
    until(lambda: report(world.layout)["judged"] >= 120)
    assert metric(url, "search_index_errors_total") == 0

    inject(world.root, "index_errors", 2)
    until(lambda: metric(url, "search_index_errors_total") > 20)
    assert metric(url, "search_errors_total") > 0
    inject(world.root, "cost_spike")
    until(lambda: version(url)["tier"] == "premium")
    inject(world.root, "latency")
    until(lambda: version(url)["mode"] == "balanced" or version(url)["mode"] == "exhaustive")
    before = version(url)["index"]["documents"]
    inject(world.root, "corpus_shift")
    until(lambda: version(url)["index"]["documents"] > before)
    assert version(url)["known_documents"] == before
    assert metric(url, "search_index_lag_documents") == 0
    assert metric(url, "feedback_click_agreement") > 0.4
    inject(world.root, "recall_drop")
    until(lambda: metric(url, "search_index_documents") < before)
    assert metric(url, "search_index_lag_documents") > 0
    inject(world.root, "etl_backlog")
    until(lambda: metric(url, "search_etl_backlog_seconds") > 2)
    until(lambda: metric(url, "search_etl_pending_documents") > 20)
    inject(world.root, "satisfaction_drop")
    until(lambda: metric(url, "search_satisfaction", 5.0) < 4.0)
    inject(world.root, "label_corruption")
    until(lambda: metric(url, "feedback_click_agreement") < 0.4)
    assert report(world.layout)["failed"] == 0
    events = [json.loads(line) for line in world.layout.log.read_text(encoding="utf-8").splitlines()]
    named = [event for event in events for name in FAULTS if name != "none" and name in json.dumps(event)]
    assert named == []


def test_the_command_line_prints_what_was_done(
    new_world: Callable[[], World], capsys: pytest.CaptureFixture[str]
) -> None:
    world = new_world()
    assert faults.main([str(world.root), "noise", "--seed", "4"]) == 0
    assert json.loads(capsys.readouterr().out) == {"fault": "noise", "sessions": faults.BURST_SESSIONS}


def _readable(store: ShardStore, doc_id: str) -> bool:
    try:
        store.read(doc_id)
    except ShardError:
        return False
    return True
