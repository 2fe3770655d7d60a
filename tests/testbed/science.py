"""Search histories, data sets and truths for the tests of the science, all without a process or a socket."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from testbed import jobs, truth
from testbed.clicks import clicks
from testbed.corpus import Collection, Document, split_subjects, write_documents
from testbed.population import Population
from testbed.search import Bundle, LexicalIndex, Searcher

LATER = 10_000_000


def judged(
    population: Population, mix: Mapping[str, float], searcher: Searcher, numbers: range
) -> list[dict[str, Any]]:
    """Judgements of sessions, in the form of `judgements.jsonl`."""
    rows: list[dict[str, Any]] = []
    for number in numbers:
        intent = population.session(number, mix)
        shown = [hit.id for hit in searcher.search(intent.query, 10)]
        outcome = clicks(intent, shown, np.random.default_rng(number))
        grade = intent.relevant.get(outcome.judged, 1)
        rows.append({"query": intent.query, "doc_id": outcome.judged, "grade": grade, "source": "judgement"})
    return rows


def dataset(folder: Path, documents: Sequence[Document], rows: Sequence[Mapping[str, Any]]) -> Path:
    """A data set on disk."""
    folder.mkdir(parents=True)
    write_documents(folder / "documents.jsonl", documents)
    (folder / "judgements.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def trained(
    folder: Path, documents: Sequence[Document], rows: Sequence[Mapping[str, Any]], seed: int = 0
) -> tuple[Bundle, dict[str, Any]]:
    """A bundle trained as a worker would, and what the job returned."""
    where = dataset(folder / "data", documents, rows)
    result = jobs.train({"dataset": str(where), "seed": seed, "params": {}}, folder / "out")
    return Bundle.load(folder / "out" / result["bundle"]), result


class Story:
    """A platform that learns, is surprised by new subjects and learns again."""

    def __init__(
        self, folder: Path, documents: list[Document], history: int, collection: Collection | None = None
    ) -> None:
        self.folder, self.seed = folder, 2
        self.known, self.new = split_subjects(documents, self.seed)
        self.everything = [*self.known, *self.new]
        self.population = Population(documents, self.seed, collection)
        known, new = ({document.subject for document in part} for part in (self.known, self.new))
        self.mix = self.population.mix(known)
        self.shifted_mix = self.population.mix(known, new, 0.55)
        self.index = LexicalIndex(self.known)
        self.full_index = self.index.extended(self.new)
        self.rows = judged(self.population, self.mix, Searcher(self.index, None), range(history))
        self.bundle, self.result = trained(folder / "healthy", self.known, self.rows)
        self.healthy = Searcher(self.index, self.bundle)
        self.degraded = Searcher(self.full_index, self.bundle)

    def retrained(self, name: str, rows: Sequence[Mapping[str, Any]], documents: Sequence[Document]) -> Bundle:
        """A bundle from other data."""
        return trained(self.folder / name, documents, rows)[0]

    def ndcg(self, searcher: Searcher, mix: Mapping[str, float], count: int = 800) -> float:
        """The truth of a searcher, over the same fresh intents for the same mix."""
        found = truth.measure(lambda q, _: [hit.id for hit in searcher.search(q, 20)], self.population, count, 5, mix)
        return float(found["ndcg_at_10"])
