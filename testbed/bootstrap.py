"""Making a world: a corpus, a month of feedback, a model trained on it, a registry, a GitOps repository."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from testbed import clock, jobs
from testbed.clicks import clicks
from testbed.corpus import Document, load_collection, load_docstrings, split_subjects, write_documents
from testbed.docstrings import environment_key
from testbed.documents import STORE, DocumentStore
from testbed.feedback_store import SEALED_FILE, FeedbackStore
from testbed.gitops import create_repository
from testbed.judged import Judgement
from testbed.layout import Layout
from testbed.population import Population
from testbed.registry import MODEL_NAME, Release, register, relocate
from testbed.search import LexicalIndex, Searcher
from testbed.traffic import JUDGED_SHARE, PAGE
from testbed.universe import Control, Universe, subjects_of

MONTH_SECONDS = 30 * 86_400.0
# Enough that the first model has little left to learn from more of the same.
BASE_SESSIONS = 7_000
SESSIONS_PER_DOCUMENT = 0.7
PREDECESSOR = "lexical"
_STAMP = "made.json"


def history_sessions(documents: int) -> int:
    """How many sessions the month before the start had."""
    return BASE_SESSIONS + int(SESSIONS_PER_DOCUMENT * documents)


def make_world(
    root: Path,
    seed: int,
    documents: int | None = None,
    collection: Path | None = None,
    cache: Path | None = None,
    *,
    history: int | None = None,
) -> Layout:
    """Fill the absent or empty directory `root` with a world; with `cache`, made once and copied after that.

    Args:
        documents: how many doc strings to use (None: the default of the corpus); ignored with a collection.
        collection: a folder with `docs.jsonl[.gz]`, `queries.jsonl`, `qrels.tsv`.
        history: how many sessions the month before the start had (None: what `history_sessions` says).

    Raises:
        FileExistsError: `root` holds something.
        DataError, RegistryError, GitError: what goes wrong on the way.
    """
    if root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} is not empty: name a new directory for the world")
    if cache is None:
        with tempfile.TemporaryDirectory() as scratch:
            return _make(Layout(root), seed, documents, collection, Path(scratch), history)
    made = cache / f"world-{world_key(seed, documents, collection, history)}"
    if not made.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            fresh = Path(scratch) / "world"
            _make(Layout(fresh), seed, documents, collection, cache, history)
            _settle(fresh, made)
    return _copy(made, Layout(root))


def _make(
    layout: Layout, seed: int, limit: int | None, folder: Path | None, cache: Path, history: int | None
) -> Layout:
    collection = load_collection(folder, seed=seed) if folder is not None else None
    documents = collection.documents if collection is not None else load_docstrings(limit, cache)
    known, new = split_subjects(documents, seed)
    queries, qrels = (collection.queries, collection.qrels) if collection is not None else ({}, {})
    universe = Universe(seed, list(documents), subjects_of(known), subjects_of(new), queries, qrels)
    layout.state.mkdir(parents=True)
    layout.incoming.mkdir(parents=True)
    universe.save(layout)
    Control().write(layout.traffic)
    now = clock.timestamp()
    DocumentStore(layout.corpus).add(known, now - MONTH_SECONDS)
    total = history_sessions(len(known)) if history is None else history
    judged = _month(universe.population(), universe, known, now, total)
    store = FeedbackStore(layout.feedback, layout.sealed)
    store.append((row, None) for row in judged)
    readable = store.read()
    store.close()
    _release(layout, known, readable, seed)
    (layout.state / _STAMP).write_text(json.dumps({"at": now, "root": str(layout.root.resolve())}), encoding="utf-8")
    return layout


def _month(
    population: Population, universe: Universe, known: Sequence[Document], now: float, total: int
) -> list[Judgement]:
    """Judgements of a month in which plain BM25 answered: users clicked what stood high, as they do."""
    searcher = Searcher(LexicalIndex(known), None)
    mix = population.mix(universe.known)
    subjects = {document.id: document.subject for document in known}
    rows: list[Judgement] = []
    for number in range(total):
        rng = np.random.default_rng([universe.seed, number, 0])
        intent = population.session(number, mix)
        shown = tuple(hit.id for hit in searcher.search(intent.query, PAGE))
        outcome = clicks(intent, shown, rng)
        if rng.random() >= JUDGED_SHARE:
            continue
        rows.append(
            Judgement(
                request_id=hashlib.sha256(f"{universe.seed}:{number}".encode()).hexdigest()[:32],
                ts=now - MONTH_SECONDS * (1 - number / total),
                user_id=intent.user_id,
                query=intent.query,
                doc_id=outcome.judged,
                grade=intent.relevant.get(outcome.judged, 1),
                clicked=tuple(outcome.clicked),
                shown=shown,
                digest=PREDECESSOR,
                variant="champion",
                mode="balanced",
                subject=subjects[outcome.judged],
            )
        )
    return rows


def write_dataset(folder: Path, documents: Sequence[Document], judgements: Sequence[Judgement]) -> str:
    """Write a training set and return its revision (a hash of its bytes)."""
    folder.mkdir(parents=True, exist_ok=True)
    write_documents(folder / "documents.jsonl", documents)
    lines = (
        json.dumps({"query": row.query, "doc_id": row.doc_id, "grade": row.grade, "source": "judgement"})
        for row in judgements
    )
    (folder / "judgements.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    total = hashlib.sha256()
    for name in ("documents.jsonl", "judgements.jsonl"):
        total.update((folder / name).read_bytes())
    return total.hexdigest()


def train_and_register(
    layout: Layout,
    documents: Sequence[Document],
    judgements: Sequence[Judgement],
    seed: int,
    aliases: tuple[str, ...],
) -> tuple[str, str]:
    """Train a bundle, register it and keep it in the local cache; returns (version, digest)."""
    with tempfile.TemporaryDirectory() as scratch:
        dataset, out = Path(scratch) / "dataset", Path(scratch) / "out"
        revision = write_dataset(dataset, documents, judgements)
        done = jobs.train({"dataset": str(dataset), "seed": seed, "params": {}}, out)
        bundle = out / done["bundle"]
        release = Release(
            bundle=str(bundle),
            digest=done["digest"],
            dataset_rev=revision,
            trained_at=clock.now().isoformat(timespec="seconds"),
            aliases=aliases,
            params={"seed": str(seed)},
            metrics=done["metrics"],
        )
        version = register(layout.root, release)
        cached = layout.models / done["digest"].removeprefix("sha256:")
        if not cached.exists():
            shutil.copytree(bundle, cached)
    return version, done["digest"]


def _release(layout: Layout, known: Sequence[Document], judged: Sequence[Judgement], seed: int) -> None:
    version, digest = train_and_register(layout, known, judged, seed, ("champion", "gold"))
    create_repository(layout.gitops, MODEL_NAME, version, digest)


def _settle(fresh: Path, made: Path) -> None:
    """Move a made world to its place in the cache; another process may have been faster."""
    try:
        fresh.rename(made)
    except OSError:
        if not made.exists():
            raise


def _copy(made: Path, layout: Layout) -> Layout:
    """A copy of a made world, as if it had been made here and now."""
    shutil.copytree(made, layout.root, dirs_exist_ok=True)
    stamp = json.loads((layout.state / _STAMP).read_text(encoding="utf-8"))
    relocate(layout.root, stamp["root"], str(layout.root.resolve()))
    _shift_times(layout, clock.timestamp() - stamp["at"])
    return layout


def _shift_times(layout: Layout, seconds: float) -> None:
    database = sqlite3.connect(layout.feedback)
    with database:
        database.execute("UPDATE judgements SET ts = ts + ?", (seconds,))
    database.close()
    for path, field in ((layout.sealed / SEALED_FILE, "ts"), (layout.corpus / STORE, "arrived_at")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        lines = (json.dumps({**row, field: row[field] + seconds}, ensure_ascii=False) for row in rows)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def world_key(seed: int, documents: int | None, collection: Path | None, history: int | None = None) -> str:
    """Hash of everything a made world depends on."""
    total = hashlib.sha256(f"{seed}:{documents}:{history}:{environment_key()}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        total.update(path.read_bytes())
    # A folder without a file is no collection, and not the world that is made without one.
    total.update(b"" if collection is None else b":collection")
    for name in sorted(collection.glob("*")) if collection is not None else ():
        total.update(name.read_bytes() if name.is_file() else b"")
    return total.hexdigest()[:24]


__all__ = ["history_sessions", "make_world", "train_and_register", "world_key", "write_dataset"]
