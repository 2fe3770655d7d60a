"""Reading the folder of a dataset version, splitting it, and measuring rankings."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.errors import InvalidInput

_HELD = 5


@dataclass(frozen=True)
class Judged:
    """Documents by id, and the relevant ones (id -> grade) by query; both in the order of the files."""

    documents: Mapping[str, str]
    queries: Mapping[str, Mapping[str, float]]

    def split(self) -> tuple[list[str], list[str]]:
        """Return the queries to learn from and those held out."""
        return [q for q in self.queries if not held_out(q)], [q for q in self.queries if held_out(q)]


def held_out(text: str) -> bool:
    """Whether a row is kept from training: one in five, by a hash of its text, the same in every process."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % _HELD == 0


def read_rows(path: Path, fields: Sequence[str]) -> list[dict[str, Any]]:
    """Return the objects of a JSON-lines file, each with non-empty text in `fields`.

    Raises:
        InvalidInput: names the file, the line and the field.
    """
    rows: list[dict[str, Any]] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(path.name, f"cannot be read: {error}", "The dataset needs this file") from error
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InvalidInput(f"{path.name} line {number}", f"is not JSON: {error}", "Mend the line") from error
        for field in fields:
            if not isinstance(row, dict) or not isinstance(row.get(field), str) or not row[field].strip():
                raise InvalidInput(f"{path.name} line {number} {field}", "is not a text", "Every line needs it")
        rows.append(row)
    if not rows:
        raise InvalidInput(path.name, "holds no rows", "Give the dataset some")
    return rows


def read_documents(dataset: Path) -> dict[str, str]:
    """Return id -> title and text of ``documents.jsonl``."""
    rows = read_rows(dataset / "documents.jsonl", ("id", "text"))
    return {row["id"]: f"{row.get('title') or ''} {row['text']}".strip() for row in rows}


def read_judged(dataset: Path, least: int = 4) -> Judged:
    """Return documents and judgements of a dataset folder; rows about unknown documents and of grade 0 are left out.

    Raises:
        InvalidInput: a file is missing or damaged, or fewer than `least` queries have a relevant document.
    """
    documents = read_documents(dataset)
    queries: dict[str, dict[str, float]] = {}
    for number, row in enumerate(read_rows(dataset / "judgements.jsonl", ("query", "doc_id")), start=1):
        grade = row.get("grade", 1)
        if isinstance(grade, bool) or not isinstance(grade, int | float) or not math.isfinite(grade):
            raise InvalidInput(f"judgements.jsonl line {number} grade", f"is {grade!r}", "Give a number of 0 or more")
        if grade > 0 and row["doc_id"] in documents:
            known = queries.setdefault(row["query"], {})
            known[row["doc_id"]] = max(float(grade), known.get(row["doc_id"], 0.0))
    if len(queries) < least:
        problem = f"{len(queries)} queries have a relevant document that is in documents.jsonl"
        raise InvalidInput("judgements.jsonl", problem, f"At least {least} are needed")
    return Judged(documents, queries)


def ndcg_at_10(ranking: Sequence[str], relevant: Mapping[str, float]) -> float:
    """Return nDCG@10 with linear gains (Jarvelin and Kekalainen 2002); 0 without relevant documents."""
    gains = [relevant.get(document, 0.0) for document in ranking[:10]]
    best = sorted(relevant.values(), reverse=True)[:10]
    ideal = _dcg(best)
    return _dcg(gains) / ideal if ideal > 0 else 0.0


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(place + 2) for place, gain in enumerate(gains))


def mean(values: Sequence[float]) -> float:
    """Return the mean, 0 of nothing, to six digits: figures are compared across machines."""
    return round(sum(values) / len(values), 6) if values else 0.0
