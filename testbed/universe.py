"""What only the traffic and the measurement of the truth know of a world: its users, and what they may ask for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from testbed.corpus import Collection, Document, read_documents, write_documents
from testbed.layout import Layout
from testbed.population import Population


@dataclass(frozen=True)
class Universe:
    """All documents, the subjects that were there from the start, those that may arrive, and real queries if any."""

    seed: int
    documents: list[Document]
    known: tuple[str, ...]
    new: tuple[str, ...]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]

    def population(self) -> Population:
        """The users of this world."""
        collection = Collection(self.documents, self.queries, self.qrels) if self.queries else None
        return Population(self.documents, self.seed, collection)

    def arrivals(self) -> list[Document]:
        """Documents of the subjects that may arrive."""
        return [document for document in self.documents if document.subject in self.new]

    def save(self, layout: Layout) -> None:
        """Write it into the world."""
        layout.truth.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_documents(layout.universe, self.documents)
        rest = {"seed": self.seed, "known": self.known, "new": self.new, "queries": self.queries, "qrels": self.qrels}
        layout.world_file.write_text(json.dumps(rest), encoding="utf-8")

    @classmethod
    def load(cls, layout: Layout) -> Universe:
        """Read it from the world."""
        raw = json.loads(layout.world_file.read_text(encoding="utf-8"))
        return cls(
            seed=raw["seed"],
            documents=read_documents(layout.universe),
            known=tuple(raw["known"]),
            new=tuple(raw["new"]),
            queries=raw["queries"],
            qrels=raw["qrels"],
        )


@dataclass(frozen=True)
class Control:
    """How the traffic behaves: sessions per second, share of sessions about new subjects, and at most one burst.

    For every new `burst` number, `burst_sessions` unusually hard sessions are sent once, every second session being
    one. Authors re-send `publish` documents a second, changed or not, as connectors do.
    """

    rate: float = 60.0
    new_share: float = 0.0
    publish: float = 20.0
    burst: int = 0
    burst_sessions: int = 0

    def write(self, path: Path) -> None:
        """Set it (by replacing the file)."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)), encoding="utf-8")
        fresh.replace(path)

    @classmethod
    def read(cls, path: Path) -> Control:
        """The present setting."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def subjects_of(documents: Iterable[Document]) -> tuple[str, ...]:
    """The subjects of these documents, sorted."""
    return tuple(sorted({document.subject for document in documents}))
