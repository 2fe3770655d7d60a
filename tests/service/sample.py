"""Cycles as they come out of a demo run: one that retrained and was verified, one that was noise."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from domain.alert import Alert, AlertStatus
from domain.canonical import sha256_text
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.events import Event
from domain.outcome import OutcomeKind
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from domain.stage import Stage
from service.report import FeatureShare, ReportMaterial, SliceScore, VerificationCheck
from service.summary import AbFacts, DemoSummary, EffectFact, GateFact, LiveFacts, NdcgLevels, Seconds
from tests.service.artifacts import (
    AFTER,
    CYCLE_ID,
    EFFECTS,
    ENDS,
    FINGERPRINT,
    OPENED,
    PREVIOUS,
    REASON,
    REVISION,
    artifacts,
    at,
    timings,
)

LOST = (
    ("asyncio", None, 0.228, 61),
    ("importlib", None, 0.249, 44),
    ("collections", 0.461, 0.455, 70),
    ("json", 0.45, 0.452, 38),
    ("numpy", 0.43, 0.401, 155),
    ("pathlib", 0.436, 0.429, 66),
    ("sklearn", 0.402, 0.391, 131),
)
READS = (
    ("signal_snapshot", "metrics_analyst", Stage.OBSERVE, 0.4),
    ("drift_report", "metrics_analyst/agent", Stage.DIAGNOSE, 16.2),
    ("deployment_history", "metrics_analyst/agent", Stage.DIAGNOSE, 16.9),
    ("data_quality_report", "metrics_analyst/agent", Stage.DIAGNOSE, 17.7),
    ("attribution", "metrics_analyst/agent", Stage.DIAGNOSE, 20.3),
    ("offline_evaluation", "ml_engineer", Stage.EVALUATE, 44.8),
)


def alert(text: str = "Quality of search fell below 97 % of its baseline") -> Alert:
    """Return the alert; `text` is its annotation."""
    return Alert(
        fingerprint=FINGERPRINT,
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
        reason=REASON,
        facts={"changed_at": at(73.9).timestamp()},
        timings=timings(),
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
        slices=[SliceScore(name=n, before=b, after=a, n=k) for n, b, a, k in LOST],
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
    made = artifacts()
    report = {
        **made["diagnostic_report.json"],
        "action": "noise",
        "claims": [],
        "unsupported_claims": 0,
        "summary": "The dip healed by itself.",
        "root_cause_analysis": {
            "type": "noise",
            "affected_categories": [],
            "distribution_change": {"new_tokens": [], "coverage": None},
        },
    }
    ended = {
        **made["outcome.json"],
        "action": "noise",
        "outcome": "left_alone",
        "reason": "The dip healed by itself.",
        "actions": [],
        "post_mortem": None,
    }
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
    made = artifacts()
    return DemoSummary(
        cycle_id=CYCLE_ID,
        fault="corpus_shift",
        seed=7,
        action="retrain",
        outcome="improved",
        verified=True,
        reason=REASON,
        ndcg=NdcgLevels(healthy=0.421, degraded=0.361, final=0.409),
        gates=tuple(
            GateFact(name=f"{where}: {g['name']}", verdict=g["verdict"], reason=g["reason"])
            for where in ("evaluation", "ab_test_results")
            for g in made[f"{where}.json"]["gates"]
        ),
        ab=AbFacts(
            improvement=0.118, lower=0.0141, upper=0.2323, users_baseline=456, users_candidate=114, verdict="pass"
        ),
        effects=tuple(
            EffectFact(name=row["type"], receipt=row["receipt"], permit=row["permit"])
            for row in made["outcome.json"]["actions"]
        ),
        live=LiveFacts(digest=AFTER, revision=REVISION),
        seconds=Seconds(total=89.6, stages=timings()),
        model="playbook",
        unsupported_claims=1,
        artifacts=f"artifacts/{CYCLE_ID}",
    )


def events() -> list[tuple[float, Event]]:
    """Return what the observer is told, with the seconds at which it is."""
    told: list[tuple[float, Event]] = []
    begin = 0.0
    for stage, end in ENDS:
        told.append((begin, _told("stage", stage, what="begin")))
        told.append((end, _told("stage", stage, what="end", details={"reason": _REASONS[stage], "seconds": 0.1})))
        begin = end
    for tool, actor, stage, when in (*READS, *EFFECTS):
        details = {
            "call": f"{stage.value}/{tool}",
            "policies": ["reads" if (tool, actor, stage, when) in READS else "writes"],
        }
        told.append(
            (when, _told("call", stage, who=actor.partition("/")[0], what=tool, answer="done", details=details))
        )
    why = {"reason": "no policy lets the Metrics Analyst promote"}
    told.append(
        (
            18.4,
            _told(
                "call", Stage.DIAGNOSE, who="metrics_analyst", what="promote", answer="refused (denied)", details=why
            ),
        )
    )
    for k in range(1, 12):
        reason = {
            "reason": f"{38 * k} and {9 * k} users, 120 are needed in each arm"
            if k < 4
            else f"lift +{10 + k / 6:.1f}%: not shown yet"
        }
        told.append((46 + 2.0 * k, _told("stage", Stage.AB, what="wait", details=reason)))
        told.append((48 + 2.0 * k - 0.1, _told("stage", Stage.AB, what="begin")))
    told.append(
        (24.0, _told("note", Stage.AUGMENT, what="the playbook stepped in: the endpoint did not answer in 30 s"))
    )
    return sorted(told, key=lambda row: row[0])


_REASONS = {
    Stage.OBSERVE: "breached: ndcg_at_10, user_satisfaction",
    Stage.DIAGNOSE: "retrain: three subjects arrived that the released model never saw; the loss of quality is theirs",
    Stage.PLAN: "queries for the new subjects, and hard negatives from the index",
    Stage.AUGMENT: "3,884 judged and 2,326 synthetic examples",
    Stage.TRAIN: "trained on 6210 examples in 8.7 s",
    Stage.EVALUATE: "lift +11.24% [+7.90%, +14.61%] over 1169 queries: at least +3.00% and above zero",
    Stage.AB: "lift +11.80% [+1.41%, +23.23%]: at least +3.00% and above zero",
    Stage.PROMOTE: "live as 6f1c2d90ab3e; rehearsed: its revert restores sha256:d14a7310bdf5",
    Stage.WATCH: "nDCG@10 0.361 before, 0.409 after, on live traffic",
    Stage.LEARN: "nDCG@10 0.361 before, 0.409 after, on live traffic",
}


def _told(kind: str, stage: Stage, **fields: Any) -> Event:
    return Event(kind=kind, cycle_id=CYCLE_ID, stage=stage.value, **fields)
