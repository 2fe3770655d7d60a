"""What the tools find in each situation: a healthy platform, and what each fault does to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from domain.untrusted import Untrusted
from tests.crews.bench import NOW, Answer
from tools.model.registry import Attribution, FeatureShare
from tools.observe.anomaly import AnomalyResult
from tools.observe.deployments import DigestQuality, History, Release, RuntimeView, SettingsChange
from tools.observe.drift import DriftReport, SliceView
from tools.observe.etl import EtlReport
from tools.observe.quality import QualityReport
from tools.observe.recall import RecallReport
from tools.observe.satisfaction import SatisfactionReport
from tools.observe.signals import ReadingView, Snapshot
from tools.observe.similar import SimilarResult

GOOD = f"sha256:{'a' * 64}"
BAD = f"sha256:{'b' * 64}"

# Current value, baseline, and whether it is breached.
Figures = tuple[float, float, bool]
HEALTHY: Mapping[str, Figures] = {
    "ndcg_at_10": (0.601, 0.600, False),
    "recall_at_20": (0.80, 0.80, False),
    "latency_p95_ms": (41.0, 40.0, False),
    "cost_per_1k_requests": (0.10, 0.10, False),
    "vector_index_errors": (0.0, 0.0, False),
    "user_satisfaction": (4.3, 4.3, False),
    "etl_backlog_s": (0.3, 0.3, False),
    "budget_share": (0.3, 0.3, False),
}


def snapshot(**changed: Figures) -> Snapshot:
    """Return a snapshot of a healthy platform with some signals changed."""
    readings = {name: _reading(*figures) for name, figures in {**HEALTHY, **changed}.items()}
    breached = tuple(sorted(name for name, view in readings.items() if view.breached))
    return Snapshot(at=NOW, readings=readings, breached=breached, unknown=())


def _reading(current: float, baseline: float, breached: bool) -> ReadingView:
    return ReadingView(
        current=current,
        baseline=baseline,
        relative_delta=current / baseline - 1 if baseline else None,
        n_current=400,
        n_baseline=400,
        unit="",
        breached=breached,
        reason="",
    )


def anomaly(signal: str, z: float | None, anomalous: bool | None, breached: bool = True) -> AnomalyResult:
    """Return what the anomaly check says of a signal."""
    return AnomalyResult(
        signal=signal,
        anomalous=anomalous,
        breached=breached,
        current=0.5,
        baseline=0.6,
        relative_delta=-0.16,
        z=z,
        onset=NOW - timedelta(minutes=3),
        reason="",
    )


def quality(damaged: bool | None, after: float = 0.80) -> QualityReport:
    """Return what is known of the judgements."""
    return QualityReport(
        rows_before=400,
        rows_after=300,
        click_agreement_before=0.81,
        click_agreement_after=after,
        word_fit_before=0.93,
        word_fit_after=0.55 if damaged else 0.92,
        shown_before=0.95,
        shown_after=0.9,
        duplicate_rate=0.0,
        invalid_grades=0,
        z=-0.3,
        damaged=damaged,
        damaged_share=0.6 if damaged else None,
        since=NOW - timedelta(minutes=3) if damaged else None,
        reason="",
    )


def _release(revision: str, digest: str, previous: str, minutes: float) -> Release:
    return Release(
        revision=revision * 40,
        author="ops",
        at=NOW - timedelta(minutes=minutes),
        message=Untrusted(text="Promote the re-ranker", source="commit"),
        digest=digest,
        previous_digest=previous,
        model_changed=bool(previous) and digest != previous,
        seconds_before_alert=60 * (minutes - 2),
        by_evercrew=False,
    )


def history(drop: float | None = None, drop_z: float | None = None) -> History:
    """Return the releases; with `drop`, a suspect one that differs by so much."""
    first = _release("1", GOOD, "", 600)
    if drop is None:
        return History(releases=(first,))
    suspect = _release("2", BAD, GOOD, 3)
    return History(
        releases=(suspect, first),
        suspect=suspect,
        before=DigestQuality(digest=GOOD, ndcg_at_10=0.6, n=400),
        after=DigestQuality(digest=BAD, ndcg_at_10=0.5, n=300),
        drop=drop,
        drop_z=drop_z,
    )


def changed(before: Mapping[str, str | int], after: Mapping[str, str | int]) -> History:
    """Return the releases, of which the newest changed settings shortly before the alert."""
    release = _release("2", GOOD, GOOD, 3)
    settings = SettingsChange(
        revision=release.revision, at=release.at, author="ops", names=tuple(before), before=before, after=after
    )
    return History(releases=(release, _release("1", GOOD, "", 600)), settings=settings)


def etl(pending: int = 0, workers: int | None = 4) -> EtlReport:
    """Return how the intake stands."""
    return EtlReport(
        pending=pending,
        oldest_s=70.0 if pending else 0.0,
        taken_per_s=3.0 if pending else 20.0,
        taken_per_s_before=20.0,
        behind=bool(pending),
        declared_workers=workers,
        declared_batch=250,
    )


def recall(missing: int = 0, lost: tuple[str, ...] = ()) -> RecallReport:
    """Return what can be found of three thousand documents."""
    return RecallReport(
        documents=3000,
        missing=missing,
        missing_share=missing / 3000,
        shown_before=0.9,
        shown_after=0.9 - missing / 3000,
        lost_subjects=lost,
    )


def satisfaction(passed_over: bool | None = False, same_finds: bool | None = True) -> SatisfactionReport:
    """Return what users did with what they were shown."""
    return SatisfactionReport(
        sessions_before=400,
        sessions_after=300,
        shown_before=0.9,
        shown_after=0.9 if same_finds else 0.6,
        clicked_before=0.9,
        clicked_after=0.55 if passed_over else 0.9,
        shown_z=0.1 if same_finds else -8.0,
        clicked_z=-9.0 if passed_over else 0.2,
        same_finds=same_finds,
        passed_over=passed_over,
    )


def drift(new: bool = False, **changed: Any) -> DriftReport:
    """Return corpus and query drift; with `new`, of subjects the model never saw."""
    views = [SliceView(name="asyncio", new=False, worse=False, n_before=90, n_after=60, before=0.6, after=0.6)]
    if new:
        views.append(SliceView(name="quantum", new=True, worse=False, n_before=0, n_after=90, before=None, after=0.3))
    report = DriftReport(
        trained_at=NOW - timedelta(days=1),
        documents=3000,
        new_documents=900 if new else 0,
        new_document_share=0.3 if new else 0.0,
        new_subjects=("quantum",) if new else (),
        new_subject_session_share=0.52 if new else 0.0,
        sessions_before=400,
        sessions_after=300,
        psi=0.6 if new else 0.02,
        coverage=0.71 if new else 0.97,
        coverage_before=0.97,
        drifted=new,
        reason="",
        new_tokens=("qubit", "entangle") if new else (),
        low_coverage_tokens=("qubit", "bloch") if new else (),
        affected_categories=("quantum",) if new else (),
        slices=tuple(views),
        ndcg_new_subjects=0.3 if new else None,
        ndcg_known_subjects=0.6,
    )
    return report.model_copy(update=changed)


def runtime(
    mode: str = "balanced", tier: str = "standard", declared: str = "balanced", generation: int = 4
) -> RuntimeView:
    """Return what runs beside what git declares."""
    overridden = [name for name, differs in (("mode", mode != declared), ("tier", tier != "standard")) if differs]
    return RuntimeView(
        model="reranker version 6",
        digest=GOOD,
        revision="1" * 40,
        declared_revision="1" * 40,
        mode=mode,
        declared_mode=declared,
        tier=tier,
        declared_tier="standard",
        mode_source="runtime" if overridden else "values",
        index_generation=generation,
        declared_generation=generation,
        overridden=tuple(overridden),
    )


def _shares() -> Attribution:
    return Attribution(
        digest=GOOD,
        features=(FeatureShare(feature="bm25", before=0.3, after=0.5),),
        queries_before=40,
        queries_after=40,
        isolation="process",
    )


def situation(**changed: Answer) -> dict[str, Answer]:
    """Return the answers of all tools on a healthy platform, with some changed."""
    return {
        "signal_snapshot": snapshot(),
        "anomaly_check": lambda args: anomaly(args.signal, -0.4, False, breached=False),
        "data_quality_report": quality(False),
        "deployment_history": history(),
        "drift_report": drift(),
        "runtime_state": runtime(),
        "etl_report": etl(),
        "recall_report": recall(),
        "satisfaction_report": satisfaction(),
        "similar_cycles": SimilarResult(passages=()),
        "attribution": _shares(),
        **changed,
    }


FALLEN: Figures = (0.51, 0.60, True)


def fallen(**changed: Answer) -> dict[str, Answer]:
    """Return a situation in which nDCG@10 fell beyond doubt."""
    fell: dict[str, Answer] = {
        "signal_snapshot": snapshot(ndcg_at_10=FALLEN),
        "anomaly_check": lambda args: anomaly(args.signal, -6.0, True),
    }
    return situation(**{**fell, **changed})
