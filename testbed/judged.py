"""The rows of the feedback pipeline: what was shown to whom, and what the user ended up with."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from testbed.text import normalise_query, tokens

HELD_OUT_PERCENT = 25
RETRIEVED = 20
Rule = Literal["click_disagreement", "implausible"]
RULES: tuple[Rule, ...] = get_args(Rule)
# A judged document that was not even shown is believed when it holds at least this share of the query's words.
PLAUSIBLE_OVERLAP = 0.34


def held_out(query: str) -> bool:
    """Whether judgements of this query belong to the sealed set.

    The first 8 hex digits of the SHA-256 of the normalised query (lower case, single spaces), modulo 100, are under 25.
    """
    return int(hashlib.sha256(normalise_query(query).encode()).hexdigest()[:8], 16) % 100 < HELD_OUT_PERCENT


@dataclass(slots=True)
class SearchRecord:
    """One answered search. `shown` went to the user, `retrieved` is the longer list recall is measured on."""

    request_id: str
    ts: float
    user_id: str
    query: str
    variant: str
    digest: str
    mode: str
    shown: tuple[str, ...]
    retrieved: tuple[str, ...]
    clicked: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One judgement joined to its search: the document the user ended up with, and its grade.

    `overlap` is the share of the query's words that the document holds.
    """

    request_id: str
    ts: float
    user_id: str
    query: str
    doc_id: str
    grade: int
    clicked: tuple[str, ...]
    shown: tuple[str, ...]
    digest: str
    variant: str
    mode: str
    subject: str
    overlap: float = 1.0

    @property
    def ndcg(self) -> float:
        """nDCG@10 with the judged document as the only relevant one: 1/log2(rank + 1), 0 beyond rank 10."""
        if self.doc_id not in self.shown[:10]:
            return 0.0
        return 1.0 / math.log2(self.shown.index(self.doc_id) + 2)

    @property
    def agrees(self) -> bool:
        """Whether the judged document was among those clicked in that search."""
        return self.doc_id in self.clicked

    def public(self) -> dict[str, Any]:
        """The row of the data API."""
        return {name: getattr(self, name) for name in self.__slots__}


def overlap_of(query: str, words: frozenset[str]) -> float:
    """The share of the query's words that stand in a document's; 0 for a query without words."""
    asked = tokens(query)
    return sum(word in words for word in asked) / len(asked) if asked else 0.0


def join(
    record: SearchRecord, doc_id: str, grade: int, ts: float, subject: str, words: frozenset[str] | None = None
) -> Judgement:
    """Join what a user judged to the search it belongs to."""
    return Judgement(
        request_id=record.request_id,
        ts=ts,
        user_id=record.user_id,
        query=record.query,
        doc_id=doc_id,
        grade=grade,
        clicked=tuple(record.clicked),
        shown=record.shown,
        digest=record.digest,
        variant=record.variant,
        mode=record.mode,
        subject=subject,
        overlap=1.0 if words is None else round(overlap_of(record.query, words), 4),
    )


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Judgements in `[since, until)` (UNIX seconds; open-ended without `until`) that a rule takes out of use."""

    key: str
    since: float
    until: float | None
    rule: Rule

    def drops(self, row: Judgement) -> bool:
        """Whether the row is taken out: its document was neither clicked nor shown in that search.

        Under `implausible` only when it does not fit the query's words either: users do end up with documents that the
        search failed to show, and leaving those out would flatter it.
        """
        inside = row.ts >= self.since and (self.until is None or row.ts < self.until)
        unseen = row.doc_id not in row.clicked and row.doc_id not in row.shown
        return inside and unseen and (self.rule == "click_disagreement" or row.overlap < PLAUSIBLE_OVERLAP)
