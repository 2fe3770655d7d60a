"""The sealed set: reading it, and drawing the queries of one evaluation from it.

A row is one judged session: ``request_id, ts, query, doc_id, grade, clicked, shown, subject`` and ``relevant``
(document -> grade).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from domain.canonical import canonical_hash, sha256_text


class SealedRow(BaseModel):
    """One held-out session, as far as it is used."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    request_id: str
    ts: float
    query: str
    relevant: Mapping[str, int]
    clicked: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    subject: str = ""

    @property
    def seen(self) -> bool:
        """Whether a document it calls relevant was clicked or shown in that session."""
        return any(document in self.clicked or document in self.shown for document in self.relevant)


class HeldOutQuery(BaseModel):
    """A query with all that the drawn sessions say of it."""

    model_config = ConfigDict(frozen=True)

    query: str
    relevant: Mapping[str, int]
    subject: str


class HeldOutSet(BaseModel):
    """What one evaluation is made on. `identity` is the SHA-256 of the drawn sessions' ids."""

    model_config = ConfigDict(frozen=True)

    queries: tuple[HeldOutQuery, ...]
    identity: str


def normalised(query: str) -> str:
    """Return the query as it is compared: lower case, single spaces."""
    return " ".join(query.split()).lower()


def read_rows(path: Path) -> list[SealedRow]:
    """Return the rows of the file; none when it is not there. A last line without its end is just being written.

    Raises:
        ValueError: a line is damaged; the message has its number and nothing of its content.
    """
    if not path.exists():
        return []
    *lines, _ = path.read_text(encoding="utf-8").split("\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(SealedRow.model_validate_json(line))
        except ValidationError as error:
            field = ".".join(map(str, error.errors(include_input=False)[0]["loc"])) or "(all)"
            raise ValueError(f"line {number}, field {field}") from None
    return rows


def draw(rows: Iterable[SealedRow], most: int, *, drop_unseen: bool) -> HeldOutSet:
    """Return the newest `most` usable sessions, those of one query together, in an order that tells nothing.

    Of documents judged several times the best grade counts; a query's subject is the most frequent one.
    """
    usable = [row for row in rows if row.query.strip() and _positive(row.relevant) and (row.seen or not drop_unseen)]
    newest = sorted(usable, key=lambda row: (row.ts, row.request_id))[-most:] if most > 0 else []
    groups: dict[str, list[SealedRow]] = {}
    for row in newest:
        groups.setdefault(normalised(row.query), []).append(row)
    queries = [_together(groups[name]) for name in sorted(groups, key=sha256_text)]
    return HeldOutSet(queries=tuple(queries), identity=canonical_hash(sorted(row.request_id for row in newest)))


def _positive(relevant: Mapping[str, int]) -> dict[str, int]:
    return {document: grade for document, grade in relevant.items() if grade > 0}


def _together(rows: Sequence[SealedRow]) -> HeldOutQuery:
    relevant: dict[str, int] = {}
    for row in rows:
        for document, grade in _positive(row.relevant).items():
            relevant[document] = max(grade, relevant.get(document, 0))
    counts = Counter(row.subject for row in rows)
    subject = min(counts, key=lambda name: (-counts[name], name))
    return HeldOutQuery(query=rows[-1].query, relevant=relevant, subject=subject)


def write_queries(held_out: HeldOutSet, path: Path) -> None:
    """Write the queries for a scorer: ``{query, relevant, subject}`` a line."""
    body = "".join(json.dumps(query.model_dump(), ensure_ascii=False) + "\n" for query in held_out.queries)
    path.write_text(body, encoding="utf-8")


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write objects one a line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows), encoding="utf-8")
