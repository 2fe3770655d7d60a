"""Cycles as they come out of a demo run: one that retrained and was verified, one that was noise."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.alert import Alert, AlertStatus
from domain.canonical import sha256_text
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from domain.stage import Stage
from service.report import FeatureShare, ReportMaterial, VerificationCheck
from service.summary import AbFacts, DemoSummary, EffectFact, GateFact, LiveFacts, NdcgLevels, Seconds

OPENED = datetime(2026, 3, 14, 9, 30, 12, tzinfo=UTC)
CYCLE_ID = "si_2026_03_14_001"
BEFORE = f"sha256:{sha256_text('champion').removeprefix('sha256:')}"
AFTER = f"sha256:{sha256_text('candidate').removeprefix('sha256:')}"
REVISION = "6f1c2d90ab3e47f58c1d2b3a4e5f60718293a4b5"
PREVIOUS = "0b9a8c7d6e5f40312233445566778899aabbccdd"

# Seconds after the opening at which each stage ended.
ENDS = (
    (Stage.OBSERVE, 15.1),
    (Stage.DIAGNOSE, 21.9),
    (Stage.PLAN, 22.6),
    (Stage.AUGMENT, 27.4),
    (Stage.TRAIN, 38.9),
    (Stage.EVALUATE, 45.2),
    (Stage.AB, 71.8),
    (Stage.PROMOTE, 74.0),
    (Stage.WATCH, 88.3),
    (Stage.LEARN, 89.6),
)
EFFECTS = (
    ("dataset_version", "data_engineer", Stage.AUGMENT, 26.9),
    ("train_model", "ml_engineer", Stage.TRAIN, 36.0),
    ("register_candidate", "ml_engineer", Stage.TRAIN, 37.4),
    ("ab_start", "devops_engineer", Stage.AB, 45.9),
    ("promote", "devops_engineer", Stage.PROMOTE, 72.8),
    ("set_alias", "ml_engineer", Stage.WATCH, 88.1),
    ("notify", "supervisor", Stage.LEARN, 89.3),
)
READS = (
    ("signal_snapshot", "metrics_analyst", Stage.OBSERVE, 0.4),
    ("drift_report", "metrics_analyst/agent", Stage.DIAGNOSE, 16.2),
    ("deployment_history", "metrics_analyst/agent", Stage.DIAGNOSE, 16.9),
    ("data_quality_report", "metrics_analyst/agent", Stage.DIAGNOSE, 17.7),
    ("attribution", "metrics_analyst/agent", Stage.DIAGNOSE, 20.3),
    ("offline_evaluation", "ml_engineer", Stage.EVALUATE, 44.8),
)


def at(seconds: float) -> datetime:
    """Return the moment so many seconds after the cycle was opened."""
    return OPENED + timedelta(seconds=seconds)


def alert(text: str = "Quality of search fell below 97 % of its baseline") -> Alert:
    """Return the alert; `text` is its annotation."""
    return Alert(
        fingerprint="9f3c1a77e2d04b58",
        name="SearchQualityLow",
        status=AlertStatus.FIRING,
        signal="ndcg_at_10",
        target="search",
        environment="dev",
        starts_at=at(-6),
        labels={"severity": "warning"},
        annotations={"summary": text, "runbook": "docs/runbooks/ndcg.md"},
    )


def cycle(text: str = "Quality of search fell below 97 % of its baseline") -> Cycle:
    """Return the cycle that retrained."""
    previous, timings = 0.0, {}
    for stage, end in ENDS:
        timings[stage.value] = end - previous
        previous = end
    return Cycle(
        id=CYCLE_ID,
        alert=alert(text),
        target="search",
        environment="dev",
        stage=Stage.DONE,
        opened_at=OPENED,
        updated_at=at(89.6),
        action=Action.RETRAIN,
        outcome=OutcomeKind.IMPROVED,
        reason="nDCG@10 0.361 before, 0.409 after, on live traffic",
        facts={"changed_at": at(73.9).timestamp()},
        timings=timings,
    )


def series() -> dict[str, list[tuple[datetime, float | None]]]:
    """Return four signals from a minute before the alert to the end; one scrape is missing."""
    dice = random.Random(7)
    samples: dict[str, list[tuple[datetime, float | None]]] = {}
    levels = {"ndcg_at_10": 0.421, "latency_p95_ms": 21.0, "cost_per_1k_requests": 0.212, "user_satisfaction": 4.31}
    for name, level in levels.items():
        rows: list[tuple[datetime, float | None]] = []
        for second in range(-60, 92):
            lost = 1 / (1 + math.exp(-(second + 12) / 3)) - 0.82 / (1 + math.exp(-(second - 79) / 2.5))
            drop = {"ndcg_at_10": 0.062, "user_satisfaction": 0.28}.get(name, 0.0) * lost
            rows.append((at(second), level - drop + level * 0.008 * dice.gauss(0, 1)))
        rows[40] = (rows[40][0], None)
        samples[name] = rows
    return samples


def audit() -> list[AuditRecord]:
    """Return an intact chain: reads, intents, outcomes, one refusal, the transitions, the artifacts."""
    records: list[AuditRecord] = []
    previous = ""
    for when, entry in sorted(_entries(), key=lambda row: row[0]):
        record = AuditRecord.seal(len(records) + 1, at(when), previous, entry)
        records.append(record)
        previous = record.hash
    return records


def _entries() -> Iterator[tuple[float, AuditEntry]]:
    for tool, actor, stage, when in READS:
        yield when, _entry(RecordKind.READ, stage, tool, actor, "allow", "done", ("reads",))
    for tool, actor, stage, when in EFFECTS:
        policies = ("writes", f"{actor}-holds")
        yield when - 0.4, _entry(RecordKind.INTENT, stage, tool, actor, "allow", "", policies)
        yield when, _entry(RecordKind.OUTCOME, stage, tool, actor, "allow", "done", policies)
    refused = _entry(
        RecordKind.REFUSAL,
        Stage.DIAGNOSE,
        "promote",
        "metrics_analyst/agent",
        "deny",
        "denied",
        ("analyst-reads-only",),
    )
    yield 18.4, refused
    following = [*(stage for stage, _ in ENDS[1:]), Stage.DONE]
    for (stage, end), after in zip(ENDS, following, strict=True):
        yield (
            end,
            AuditEntry(
                kind=RecordKind.TRANSITION, cycle_id=CYCLE_ID, stage=stage.value, actor="engine", status=after.value
            ),
        )


def _entry(
    kind: RecordKind, stage: Stage, tool: str, actor: str, decision: str, status: str, policies: tuple[str, ...]
) -> AuditEntry:
    return AuditEntry(
        kind=kind,
        cycle_id=CYCLE_ID,
        stage=stage.value,
        tool=tool,
        actor=actor if "/" in actor else f"{actor}/stage",
        decision=decision,
        status=status,
        policies=policies,
        policy_hash="sha256:77aa",
        args_hash=sha256_text(tool),
    )


def artifacts() -> dict[str, dict[str, Any]]:
    """Return every artifact of the cycle that retrained."""
    return {
        "diagnostic_report.json": _diagnosis(),
        "dataset_manifest.yaml": _dataset(),
        "evaluation.json": _evaluation(),
        "ab_test_results.json": _ab(),
        "helm_values_patch.yaml": _patch(),
        "watch.json": _watch(),
        "outcome.json": _outcome(),
    }


def _diagnosis() -> dict[str, Any]:
    claim = {"call": "diagnose/drift_report/1f0c22ab90", "comparison": "ge", "supported": True, "reason": ""}
    return {
        "cycle_id": CYCLE_ID,
        "timestamp": at(21.8).isoformat(),
        "trigger": "ndcg_drop",
        "current_value": 0.361,
        "baseline": 0.421,
        "delta": -0.06,
        "root_cause_analysis": {
            "type": "corpus_shift",
            "affected_categories": ["asyncio", "importlib", "zoneinfo"],
            "distribution_change": {
                "new_tokens": ["eventloop", "coro", "tzdata", "shard", "lazyloader"],
                "coverage": 0.71,
            },
        },
        "xai_insights": {
            "low_coverage_tokens": ["coro", "tzdata"],
            "importance_scores": {"lsa_similarity": 0.21, "bm25_title": 0.24},
            "suggested_action": "retrain",
        },
        "recommended_actions": [{"type": "data_augmentation", "target_tokens": ["coro"]}, {"type": "model_retraining"}],
        "action": "retrain",
        "summary": "Three subjects arrived that the released model never saw; the loss of quality is theirs.",
        "claims": [
            {
                **claim,
                "statement": "A fifth of the documents are new",
                "path": "new_document_share",
                "value": 0.15,
                "found": 0.204,
            },
            {
                **claim,
                "statement": "Sessions on new subjects score far lower",
                "path": "ndcg_new_subjects",
                "comparison": "lt",
                "value": 0.3,
                "found": 0.243,
            },
            {
                **claim,
                "statement": "A release preceded the drop",
                "call": "diagnose/deployment_history/77b1a0c3de",
                "path": "releases_near_alert",
                "value": 1,
                "found": 0,
                "supported": False,
                "reason": "0 is not at least 1",
            },
        ],
        "unsupported_claims": 1,
        "models": ["playbook"],
        "downgraded": None,
    }


def _dataset() -> dict[str, Any]:
    return {
        "dataset_id": "aug_2026_03_14_001",
        "cycle_id": CYCLE_ID,
        "created_at": at(26.9).isoformat(),
        "source": {"type": "auto_augmentation", "trigger": "ndcg_drop", "base_documents": 10_412},
        "method": "query_generation+hard_negatives",
        "target_tokens": ["coro", "tzdata"],
        "statistics": {
            "total_examples": 6_210,
            "judged_examples": 3_884,
            "synthetic_examples": 2_326,
            "dropped_held_out": 412,
            "dropped_damaged": 0,
            "avg_length": 38.2,
            "diversity_score": 0.642,
        },
        "dvc": {
            "path": "datasets/aug_2026_03_14_001.jsonl",
            "hash": "5d41402abc4b2a76b9719d911017c592",
            "revision": PREVIOUS,
        },
        "mlflow": None,
        "methods": {"query_generation": 1_480, "hard_negatives": 846},
    }


def _evaluation() -> dict[str, Any]:
    rows = (
        ("asyncio", 0.231, 0.402, 118),
        ("importlib", 0.252, 0.371, 96),
        ("zoneinfo", None, 0.388, 41),
        ("collections", 0.462, 0.471, 143),
        ("json", 0.448, 0.452, 77),
        ("pathlib", 0.431, 0.424, 129),
        ("numpy", 0.409, 0.431, 301),
        ("sklearn", 0.395, 0.408, 264),
    )
    gate = {"verdict": "pass", "figures": {}}
    return {
        "cycle_id": CYCLE_ID,
        "timestamp": at(45).isoformat(),
        "queries": 1_169,
        "looks": 1,
        "set_hash": "sha256:ab12",
        "baseline": {"digest": BEFORE, "metrics": {}},
        "candidate": {"digest": AFTER, "metrics": {}},
        "slices": [{"name": n, "baseline": b, "candidate": c, "n": k} for n, b, c, k in rows],
        "gates": [
            {
                **gate,
                "name": "ndcg_at_10",
                "reason": "lift +11.24% [+7.90%, +14.61%] over 1169 queries: at least +3.00% and above zero",
            },
            {**gate, "name": "latency_p95_ms", "reason": "p95 20.4 ms, +2.1 % of the baseline: at most +15 %"},
            {**gate, "name": "cost_per_1k_requests", "reason": "0.214 is at most 0.50"},
        ],
        "verdict": "pass",
        "reason": "lift +11.24%",
    }


def _ab() -> dict[str, Any]:
    looks = []
    for k in range(12):
        users = 38 * (k + 1)
        ready = k > 2
        half = 0.36 / math.sqrt(k + 1)
        lift = 0.118 + 0.05 * math.cos(k) / (k + 1)
        looks.append(
            {
                "at": at(48 + 2 * k).isoformat(),
                "users_baseline": users,
                "users_candidate": users // 4,
                "baseline_ndcg": 0.362 if ready else None,
                "candidate_ndcg": round(0.362 * (1 + lift), 4) if ready else None,
                "lift": round(lift, 4) if ready else None,
                "lower": round(lift - half, 4) if ready else None,
                "upper": round(lift + half * 1.1, 4) if ready else None,
                "verdict": "pass" if k == 11 else "insufficient",
            }
        )
    return {
        "cycle_id": CYCLE_ID,
        "revision": "41d0c2b1a09f8e7d6c5b4a392817060504030201",
        "started_at": at(46).isoformat(),
        "ended_at": at(71.7).isoformat(),
        "split_ratio": 0.2,
        "baseline_digest": BEFORE,
        "candidate_digest": AFTER,
        "looks": looks,
        "baseline_ndcg": 0.362,
        "candidate_ndcg": 0.4047,
        "improvement": looks[-1]["lift"],
        "gates": [
            {
                "name": "ndcg_at_10",
                "verdict": "pass",
                "reason": "lift +11.80% [+1.41%, +23.23%]: at least +3.00% and above zero",
                "figures": {"margin": 0.03, "alpha": 0.05},
            },
            {
                "name": "sample_ratio",
                "verdict": "pass",
                "reason": "456 and 114 users fit 80/20 (p = 1.00)",
                "figures": {},
            },
            {"name": "user_satisfaction", "verdict": "pass", "reason": "4.29 is at least 4.0", "figures": {}},
        ],
        "verdict": "pass",
        "passed_gate": True,
        "recommendation": "promote",
        "reason": "lift +11.80% [+1.41%, +23.23%]: at least +3.00% and above zero",
    }


def _patch() -> dict[str, Any]:
    lines = (
        "--- a/values.yaml",
        "+++ b/values.yaml",
        "@@ -4,6 +4,6 @@ search:",
        "   # The re-ranker that is served; changed by a commit, never by hand.",
        "   model:",
        "     name: reranker",
        "-    version: 1",
        f"-    digest: {BEFORE}",
        "+    version: 2",
        f"+    digest: {AFTER}",
    )
    return {
        "cycle_id": CYCLE_ID,
        "action": "retrain",
        "revision": REVISION,
        "previous_revision": PREVIOUS,
        "digest": AFTER,
        "patch": "\n".join(lines) + "\n",
        "rollback": f"git revert {REVISION}",
    }


def _watch() -> dict[str, Any]:
    values = (0.398, 0.412, 0.405, 0.417, 0.409, 0.413)
    return {
        "cycle_id": CYCLE_ID,
        "kind": "promotion",
        "started_at": at(73.9).isoformat(),
        "ended_at": at(88).isoformat(),
        "alpha": 0.05,
        "baseline": [0.364, 0.358, None, 0.366, 0.359, 0.361],
        "looks": [
            {
                "at": at(76 + 2 * k).isoformat(),
                "value": value,
                "n": 84 + k,
                "verdict": "pass" if k == 5 else "insufficient",
                "reason": "no degradation so far" if k < 5 else "no degradation",
            }
            for k, value in enumerate(values)
        ],
        "verdict": "pass",
        "reason": "nDCG@10 0.409 against 0.361: no degradation; a loss of 4.1% would have been seen in four of five watches",
    }


def _outcome() -> dict[str, Any]:
    kept = cycle()
    return {
        "cycle_id": CYCLE_ID,
        "timestamp": at(89.5).isoformat(),
        "environment": "dev",
        "target": "search",
        "trigger": {"type": "ndcg_at_10", "value": 0.361, "baseline": 0.421, "fingerprint": kept.alert.fingerprint},
        "action": "retrain",
        "outcome": "improved",
        "verified": True,
        "reason": kept.reason,
        "actions": [
            {
                "sequence": n,
                "type": tool,
                "call": f"{stage.value}/{tool}/1f0c22ab9{n}",
                "permit": f"a1b2c3d{n}",
                "receipt": 4 + 3 * n,
            }
            for n, (tool, _, stage, _) in enumerate(EFFECTS, 1)
        ],
        "approver": "system",
        "total_cost_usd": 0.0,
        "tokens": 0,
        "models": ["playbook"],
        "rollback_available": True,
        "seconds": dict(kept.timings),
        "live": {"digest": AFTER, "revision": REVISION},
        "unsupported_claims": 1,
        "post_mortem": {
            "summary": "New subjects arrived that the re-ranker had never seen; it was retrained and is better on live traffic.",
            "what_happened": "A fifth of the documents and a quarter of the sessions were about asyncio, importlib and zoneinfo.",
            "what_was_done": "2,326 examples were made for the new subjects and the re-ranker was trained on 6,210 examples.",
            "evidence": ["Held-out nDCG@10 +11.2 %", "Live lift +11.8 % over 570 users"],
            "follow_ups": ["Add the new subjects to the weekly sample that people judge"],
        },
    }


def retrained(text: str = "Quality of search fell below 97 % of its baseline") -> ReportMaterial:
    """Return the material of the cycle that retrained; `text` is the alert's annotation."""
    shares = (
        ("bm25_title", 0.31, 0.24),
        ("lsa_similarity", 0.27, 0.18),
        ("idf_overlap", 0.14, 0.26),
        ("popularity", 0.12, 0.09),
        ("subject_prior", 0.10, 0.17),
        ("translation", 0.06, 0.06),
    )
    return ReportMaterial(
        cycle=cycle(text),
        artifacts=artifacts(),
        audit=audit(),
        series=series(),
        events=[(at(-6), "alert"), (at(45.9), "A/B test starts"), (at(72.8), "promoted"), (at(88.3), "verified")],
        attribution=[FeatureShare(feature=f, before=b, after=a) for f, b, a in shares],
        summary=summary(),
        checks=[
            VerificationCheck(name="the audit chain is whole", ok=True, detail="37 records"),
            VerificationCheck(name="live digest = git values", ok=True, detail=AFTER[:26]),
            VerificationCheck(name="git values = registered model", ok=True, detail="reranker version 2"),
            VerificationCheck(name="registered model = evaluated artifact", ok=True, detail=AFTER[:26]),
            VerificationCheck(name="trained on that DVC revision", ok=True, detail=PREVIOUS[:12]),
            VerificationCheck(name="caused by that alert", ok=True, detail="fingerprint 9f3c1a77e2d04b58"),
        ],
    )


def noise() -> ReportMaterial:
    """Return the material of a cycle that ended at the diagnosis, without a summary, pictures or an audit."""
    report = {
        **_diagnosis(),
        "action": "noise",
        "claims": [],
        "unsupported_claims": 0,
        "summary": "The dip healed by itself.",
    }
    ended = {**_outcome(), "action": "noise", "outcome": "left_alone", "actions": [], "post_mortem": None}
    kept = cycle().model_copy(
        update={
            "action": Action.NOISE,
            "outcome": OutcomeKind.LEFT_ALONE,
            "reason": "The dip healed by itself.",
            "facts": {},
            "timings": {"observe": 15.1, "diagnose": 6.2, "learn": 0.8},
        }
    )
    return ReportMaterial(cycle=kept, artifacts={"diagnostic_report.json": report, "outcome.json": ended})


def summary() -> DemoSummary:
    """Return what the demo of the cycle that retrained came to."""
    return DemoSummary(
        cycle_id=CYCLE_ID,
        fault="corpus_shift",
        seed=7,
        action="retrain",
        outcome="improved",
        verified=True,
        reason="nDCG@10 0.361 before, 0.409 after, on live traffic",
        ndcg=NdcgLevels(healthy=0.421, degraded=0.361, final=0.409),
        gates=tuple(
            GateFact(name=g["name"], verdict=g["verdict"], reason=g["reason"])
            for g in [*_evaluation()["gates"], *_ab()["gates"]]
        ),
        ab=AbFacts(
            improvement=0.118, lower=0.0141, upper=0.2323, users_baseline=456, users_candidate=114, verdict="pass"
        ),
        effects=tuple(
            EffectFact(name=row["type"], receipt=row["receipt"], permit=row["permit"]) for row in _outcome()["actions"]
        ),
        live=LiveFacts(digest=AFTER, revision=REVISION),
        seconds=Seconds(total=89.6, stages=cycle().timings),
        model="playbook",
        unsupported_claims=1,
        artifacts=f"artifacts/{CYCLE_ID}",
    )
