"""The live document store: an append-only JSON-lines file of documents in the order of their arrival."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from testbed.corpus import Document
from testbed.text import tokens

STORE = "documents.jsonl"


@dataclass(frozen=True, slots=True)
class Arrived:
    """A document with its place in the order of arrival (from 1) and the time of it (UNIX seconds)."""

    document: Document
    seq: int
    arrived_at: float

    def public(self) -> dict[str, Any]:
        """The row of the data API and of the store."""
        return asdict(self.document) | {"seq": self.seq, "arrived_at": self.arrived_at}


class DocumentStore:
    """All documents in order of arrival. One process writes."""

    def __init__(self, corpus: Path) -> None:
        self._path = corpus / STORE
        corpus.mkdir(parents=True, exist_ok=True)
        self._rows: list[Arrived] = []
        self._subjects: dict[str, str] = {}
        self._places: dict[str, int] = {}
        self._words: dict[str, frozenset[str]] = {}
        if self._path.exists():
            with self._path.open(encoding="utf-8") as lines:
                self._extend(_arrived(json.loads(line)) for line in lines)

    def __len__(self) -> int:
        return len(self._rows)

    def documents(self, count: int | None = None) -> list[Document]:
        """The first `count` documents (all without it) in order of arrival."""
        return [row.document for row in self._rows[:count]]

    def since(self, seq: int) -> list[Arrived]:
        """Rows that arrived after the one numbered `seq`."""
        return self._rows[max(seq, 0) :]

    def oldest_after(self, seq: int) -> Arrived | None:
        """The first row after the one numbered `seq`."""
        return self._rows[seq] if seq < len(self._rows) else None

    def subject(self, doc_id: str) -> str:
        """Subject of a document; empty when it is unknown."""
        return self._subjects.get(doc_id, "")

    def words(self, doc_id: str) -> frozenset[str]:
        """Content words of a document's title and text; none when it is unknown."""
        known = self._words.get(doc_id)
        if known is None:
            place = self._places.get(doc_id)
            text = "" if place is None else f"{self._rows[place].document.title} {self._rows[place].document.text}"
            known = self._words[doc_id] = frozenset(tokens(text))
        return known

    def add(self, documents: Iterable[Document], at: float) -> int:
        """Append documents that are not there yet and return how many."""
        fresh = list({document.id: document for document in documents if document.id not in self._subjects}.values())
        rows = [Arrived(document, len(self._rows) + place, at) for place, document in enumerate(fresh, 1)]
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row.public(), ensure_ascii=False) + "\n" for row in rows)
        self._extend(rows)
        return len(rows)

    def _extend(self, rows: Iterable[Arrived]) -> None:
        for row in rows:
            self._places[row.document.id] = len(self._rows)
            self._rows.append(row)
            self._subjects[row.document.id] = row.document.subject


def _arrived(raw: dict[str, Any]) -> Arrived:
    document = Document(id=raw["id"], title=raw["title"], text=raw["text"], subject=raw["subject"])
    return Arrived(document, int(raw["seq"]), float(raw["arrived_at"]))
