"""Authors and connectors: they send documents to the platform all day, most of them once more as they were."""

from __future__ import annotations

import numpy as np

from testbed.corpus import write_documents
from testbed.layout import Layout
from testbed.universe import Universe


class Authors:
    """Drops files of documents that were there from the start; what they send is new to nobody."""

    def __init__(self, layout: Layout, universe: Universe, first: int) -> None:
        self._layout = layout
        self._documents = [document for document in universe.documents if document.subject in universe.known]
        self._rng = np.random.default_rng([universe.seed, first, 2])
        self._run, self._files = first, 0
        self._sent_at: float | None = None
        self._owed = 0.0

    def send(self, rate: float, now: float) -> int:
        """Drop what is due at `rate` documents a second since the last call; returns how many documents that were."""
        self._owed += rate * (now - (now if self._sent_at is None else self._sent_at))
        self._sent_at = now
        count = int(self._owed)
        if count < 1:
            return 0
        self._owed -= count
        self._files += 1
        chosen = [self._documents[int(place)] for place in self._rng.integers(len(self._documents), size=count)]
        write_documents(self._layout.incoming / f"sync-{self._run}-{self._files:06d}.jsonl", chosen)
        return count
