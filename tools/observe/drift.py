"""`drift_report`: which documents and queries the released model never saw, and which slices suffer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime

from adapters.platform.base import JudgementRow, PlatformDocument, PlatformPort
from adapters.tracking.base import TrackingPort
from domain.verdict import Verdict
from learning.drift import compare_slices, compare_tokens, count_tokens
from tools.observe.judged import session_ndcg, sides
from tools.observe.reading import SignalReader
from tools.tool import Call, Nothing, Result, Tool, ToolSpec

MIN_SLICE = 20
LISTED = 30
# In characters: one endless query is not to outweigh all others.
LONGEST_QUERY = 200


class SliceView(Result):
    """nDCG@10 of one subject before and after; `worse` and `new` are judged with Holm's correction over all slices."""

    name: str
    new: bool
    worse: bool
    n_before: int
    n_after: int
    before: float | None
    after: float | None


class DriftReport(Result):
    """Corpus and query drift.

    `new_*` is what arrived after the released model was trained. Shares and coverage are in [0, 1]. `coverage` is the
    share of the current query words that the documents known to the model contain, `coverage_before` the same before
    the alert.
    """

    trained_at: datetime | None
    documents: int
    new_documents: int
    new_document_share: float
    new_subjects: tuple[str, ...]
    new_subject_session_share: float
    sessions_before: int
    sessions_after: int
    psi: float
    coverage: float | None
    coverage_before: float | None
    drifted: bool | None
    reason: str
    new_tokens: tuple[str, ...]
    low_coverage_tokens: tuple[str, ...]
    affected_categories: tuple[str, ...]
    slices: tuple[SliceView, ...]
    ndcg_new_subjects: float | None
    ndcg_known_subjects: float | None


class DriftCheck(Tool[Nothing, DriftReport]):
    """Compares documents and queries before and after, per subject too."""

    spec = ToolSpec(
        "drift_report", "Report corpus and query drift: new documents, unknown words, coverage, per-subject nDCG@10."
    )
    input = Nothing
    output = DriftReport

    def __init__(self, platform: PlatformPort, tracking: TrackingPort, reader: SignalReader, *, model: str) -> None:
        self._platform = platform
        self._tracking = tracking
        self._reader = reader
        self._model = model

    def run(self, args: Nothing, call: Call) -> DriftReport:
        documents = self._platform.documents()
        trained_at = self._trained_at()
        new = [d for d in documents if trained_at is not None and d.arrived_at > trained_at]
        known = [d for d in documents if trained_at is None or d.arrived_at <= trained_at]
        seen = sides(self._platform, self._reader, call.scope.alert_at)
        return _report(trained_at, known, new, seen.before, seen.after)

    def _trained_at(self) -> datetime | None:
        champion = self._tracking.by_alias(self._model, "champion")
        stamp = champion.tags.get("trained_at", "") if champion else ""
        return datetime.fromisoformat(stamp) if stamp else None


def _report(
    trained_at: datetime | None,
    known: Sequence[PlatformDocument],
    new: Sequence[PlatformDocument],
    before: Sequence[JudgementRow],
    after: Sequence[JudgementRow],
) -> DriftReport:
    known_subjects = {d.subject for d in known}
    new_subjects = {d.subject for d in new} - known_subjects
    new_ids = {d.id for d in new}
    words = count_tokens(f"{d.title} {d.text}" for d in known)
    old_queries, queries = (count_tokens(r.query[:LONGEST_QUERY] for r in rows) for rows in (before, after))
    drift = compare_tokens(old_queries, queries)
    slices = _slices(before, after, new_subjects)
    fresh = [r for r in after if r.doc_id in new_ids or r.subject in new_subjects]
    stale = [r for r in after if not (r.doc_id in new_ids or r.subject in new_subjects)]
    unknown = [t for t, _ in queries.most_common() if t not in words]
    return DriftReport(
        trained_at=trained_at,
        documents=len(known) + len(new),
        new_documents=len(new),
        new_document_share=_share(len(new), len(known) + len(new)) or 0.0,
        new_subjects=tuple(sorted(new_subjects)),
        new_subject_session_share=_share(len(fresh), len(after)) or 0.0,
        sessions_before=len(before),
        sessions_after=len(after),
        psi=drift.psi,
        coverage=_coverage(queries, words),
        coverage_before=_coverage(old_queries, words),
        drifted={Verdict.FAIL: True, Verdict.PASS: False}.get(drift.judgement.verdict),
        reason=drift.judgement.reason,
        new_tokens=tuple(t for t, _ in drift.new_tokens[:LISTED]),
        low_coverage_tokens=tuple(unknown[:LISTED]),
        affected_categories=tuple(s.name for s in slices if s.new or s.worse),
        slices=slices,
        ndcg_new_subjects=_mean(fresh),
        ndcg_known_subjects=_mean(stale),
    )


def _slices(
    before: Sequence[JudgementRow], after: Sequence[JudgementRow], new_subjects: set[str]
) -> tuple[SliceView, ...]:
    scores: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for side, rows in enumerate((before, after)):
        for row in rows:
            scores[row.subject][side].append(session_ndcg(row))
    changes = compare_slices(
        {name: (a, b) for name, (a, b) in scores.items() if min(len(a), len(b)) >= MIN_SLICE}, min_queries=MIN_SLICE
    )
    worse = {c.name for c in changes if c.judgement.verdict is Verdict.FAIL}
    views = [
        SliceView(
            name=name,
            new=name in new_subjects,
            worse=name in worse,
            n_before=len(a),
            n_after=len(b),
            before=sum(a) / len(a) if a else None,
            after=sum(b) / len(b) if b else None,
        )
        for name, (a, b) in scores.items()
    ]
    return tuple(sorted(views, key=lambda v: (-v.n_after, v.name)))


def _coverage(queries: Counter[str], words: Counter[str]) -> float | None:
    total = sum(queries.values())
    return _share(sum(n for token, n in queries.items() if token in words), total)


def _mean(rows: Sequence[JudgementRow]) -> float | None:
    return sum(session_ndcg(r) for r in rows) / len(rows) if rows else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
