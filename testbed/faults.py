"""What can happen to a platform, switched from outside: `python -m testbed.faults WORLD NAME`.

Every fault works through something a real platform has (documents, a release, settings, files, users); none touches
a figure, and nothing it leaves behind names it. The names here are for who injects, not for who looks for the cause.

    FaultError   the fault cannot be injected into this world
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from testbed.bootstrap import train_and_register
from testbed.corpus import write_documents
from testbed.documents import DocumentStore
from testbed.errors import TestbedError
from testbed.feedback import JoinSettings, PipelineSettings
from testbed.feedback_store import FeedbackStore
from testbed.gitops import change_values
from testbed.judged import Judgement
from testbed.layout import Layout
from testbed.reconciler import GitOps, OverridesFile
from testbed.registry import MODEL_NAME
from testbed.shards import SHARDS, directory_path, shard_path
from testbed.universe import Control, Universe
from testbed.values import RuntimeOverrides

NEW_SHARE = 0.55
SLIP_ROWS, SLIP_SHARE = 3, 0.6
BURST_SESSIONS = 160


class FaultError(TestbedError):
    """The fault cannot be injected into this world."""


def inject(world: Path, name: str, seed: int = 0) -> dict[str, Any]:
    """Let one fault happen to a (running) world; returns what was done, for the record of who injected it.

    Raises:
        FaultError: there is no such fault, or the world has nothing to hurt that way.
    """
    if name not in FAULTS:
        raise FaultError(f"name={name!r}: known faults are {', '.join(FAULTS)}")
    return {"fault": name, **FAULTS[name](Layout(world.resolve()), seed)}


def _corpus_shift(layout: Layout, seed: int) -> dict[str, Any]:
    """Documents of new subjects arrive, and more than half of the users ask for them."""
    universe = Universe.load(layout)
    arrivals = universe.arrivals()
    if not arrivals:
        raise FaultError("the world holds no documents that have not arrived: make it with more subjects")
    write_documents(layout.incoming / f"batch-{seed:04d}.jsonl", arrivals)
    _control(layout, new_share=NEW_SHARE)
    return {"documents": len(arrivals), "new_share": NEW_SHARE}


def _bad_deploy(layout: Layout, seed: int) -> dict[str, Any]:
    """A model is released that was trained on judgements joined to the wrong queries."""
    store = FeedbackStore(layout.feedback, layout.sealed)
    judged = store.read()
    store.close()
    documents = DocumentStore(layout.corpus).documents()
    version, digest = train_and_register(layout, documents, _crossed(judged, seed), seed + 1, ("champion",))

    def edit(values: Any) -> None:
        values["model"]["version"] = version
        values["model"]["digest"] = digest
        for variant in values["variants"]:
            if variant["name"] == "champion":
                variant["digest"] = digest

    commit = change_values(layout.gitops, edit, f"Release {MODEL_NAME} version {version}")
    return {"version": version, "digest": digest, "revision": commit}


def _crossed(judged: Sequence[Judgement], seed: int) -> list[Judgement]:
    order = np.random.default_rng(seed).permutation(len(judged))
    return [replace(row, doc_id=judged[int(place)].doc_id) for row, place in zip(judged, order, strict=True)]


def _label_corruption(layout: Layout, seed: int) -> dict[str, Any]:
    """The join of judgements to searches slips for most rows."""
    settings = PipelineSettings(join=JoinSettings(offset=SLIP_ROWS + seed % 3, share=SLIP_SHARE))
    _replace(layout.pipeline, settings.model_dump_json())
    return {"join": settings.join.model_dump()}


def _latency(layout: Layout, seed: int) -> dict[str, Any]:
    """An operator leaves the expensive mode switched on."""
    OverridesFile(layout.runtime).write(RuntimeOverrides(mode="exhaustive"))
    return {"mode": "exhaustive"}


def _cost_spike(layout: Layout, seed: int) -> dict[str, Any]:
    """An operator leaves the premium tier switched on."""
    OverridesFile(layout.runtime).write(RuntimeOverrides(tier="premium"))
    return {"tier": "premium"}


def _index_errors(layout: Layout, seed: int) -> dict[str, Any]:
    """A stretch of a disk goes bad: two shard files of the index hold other bytes."""
    git = GitOps(layout.gitops)
    generation = git.values(git.head()).index.generation
    rng = np.random.default_rng(seed)
    shards = sorted(int(number) for number in rng.choice(SHARDS, DAMAGED_SHARDS, replace=False))
    for shard in shards:
        path = shard_path(layout.index, generation, shard)
        if not path.exists():
            raise FaultError(f"{path.name} is absent: start the world before its index is damaged")
        with path.open("r+b") as file:
            file.write(rng.bytes(path.stat().st_size))
    return {"shards": shards, "generation": generation}


def _recall_drop(layout: Layout, seed: int) -> dict[str, Any]:
    """An operator puts an older copy of the index' directory back: what came after it is no part of the index."""
    git = GitOps(layout.gitops)
    generation = git.values(git.head()).index.generation
    path = directory_path(layout.index, generation)
    if not path.exists():
        raise FaultError(f"{path.name} is absent: start the world before its index is put back")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = lines[: round(len(lines) * (RESTORED_SHARE - 0.02 * (seed % 3)))]
    _replace(path, "".join(kept))
    return {"generation": generation, "documents": len(kept), "before": len(lines)}


def _etl_backlog(layout: Layout, seed: int) -> dict[str, Any]:
    """Somebody lets documents through one by one, while as many as before go on arriving."""

    def edit(values: Any) -> None:
        values["etl"]["workers"] = 1
        values["etl"]["batch"] = SLOW_BATCH

    commit = change_values(layout.gitops, edit, "Take documents in one at a time on the small node", "platform-team")
    return {"revision": commit, "workers": 1, "batch": SLOW_BATCH}


def _satisfaction_drop(layout: Layout, seed: int) -> dict[str, Any]:
    """The page is made narrower, and titles are cut until nobody can tell what a result is."""
    chars = SHORT_TITLE + seed % 3

    def edit(values: Any) -> None:
        values["search"]["title_chars"] = chars

    commit = change_values(layout.gitops, edit, "Narrow result list for small screens", "web-team")
    return {"revision": commit, "title_chars": chars}


def _noise(layout: Layout, seed: int) -> dict[str, Any]:
    """For a few hundred sessions every second user comes with an unusually hard question."""
    burst = Control.read(layout.traffic).burst + 1
    _control(layout, burst=burst, burst_sessions=BURST_SESSIONS)
    return {"sessions": BURST_SESSIONS}


def _none(layout: Layout, seed: int) -> dict[str, Any]:
    """Nothing happens."""
    return {}


DAMAGED_SHARDS = 2
RESTORED_SHARE = 0.74
SLOW_BATCH = 1
SHORT_TITLE = 5
FAULTS: dict[str, Callable[[Layout, int], dict[str, Any]]] = {
    "corpus_shift": _corpus_shift,
    "bad_deploy": _bad_deploy,
    "label_corruption": _label_corruption,
    "latency": _latency,
    "cost_spike": _cost_spike,
    "index_errors": _index_errors,
    "recall_drop": _recall_drop,
    "etl_backlog": _etl_backlog,
    "satisfaction_drop": _satisfaction_drop,
    "noise": _noise,
    "none": _none,
}


def _control(layout: Layout, **changes: Any) -> None:
    replace(Control.read(layout.traffic), **changes).write(layout.traffic)


def _replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Inject one fault and print what was done."""
    parser = argparse.ArgumentParser(prog="python -m testbed.faults", description="Let something happen to a world.")
    parser.add_argument("world", type=Path, help="the world's directory")
    parser.add_argument("name", choices=sorted(FAULTS), help="what happens")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    sys.stdout.write(json.dumps(inject(given.world, given.name, given.seed)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
