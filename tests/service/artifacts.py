"""The artifacts of the sample cycle that retrained, and the facts they share."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.canonical import sha256_text
from domain.stage import Stage

OPENED = datetime(2026, 3, 14, 9, 30, 12, tzinfo=UTC)
FINGERPRINT = "9f3c1a77e2d04b58"
REASON = "nDCG@10 0.361 before, 0.409 after, on live traffic"
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


def at(seconds: float) -> datetime:
    """Return the moment so many seconds after the cycle was opened."""
    return OPENED + timedelta(seconds=seconds)


def timings() -> dict[str, float]:
    """Return the seconds of each stage."""
    begins = (0.0, *(end for _, end in ENDS))
    return {stage.value: end - begin for (stage, end), begin in zip(ENDS, begins, strict=False)}


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
        "reason": "nDCG@10 0.409 against 0.361: no degradation; a loss of 4.1% would have been seen",
    }


def _outcome() -> dict[str, Any]:
    return {
        "cycle_id": CYCLE_ID,
        "timestamp": at(89.5).isoformat(),
        "environment": "dev",
        "target": "search",
        "trigger": {"type": "ndcg_at_10", "value": 0.361, "baseline": 0.421, "fingerprint": FINGERPRINT},
        "action": "retrain",
        "outcome": "improved",
        "verified": True,
        "reason": REASON,
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
        "seconds": timings(),
        "reaction": None,
        "live": {"digest": AFTER, "revision": REVISION},
        "unsupported_claims": 1,
        "post_mortem": {
            "summary": "New subjects arrived that the re-ranker had never seen; retrained, it is better with users.",
            "what_happened": "A fifth of the documents and a quarter of the sessions were about three new subjects.",
            "what_was_done": "2,326 examples were made for the new subjects; the re-ranker was trained on 6,210.",
            "evidence": ["Held-out nDCG@10 +11.2 %", "Live lift +11.8 % over 570 users"],
            "follow_ups": ["Add the new subjects to the weekly sample that people judge"],
        },
    }
