"""The diagnosis crew on the playbook: every branch of the runbook, on real CrewAI, through the real gate."""

from __future__ import annotations

from typing import Any

import pytest

from agents.roster import default_roster
from domain.actor import Role
from domain.diagnosis import Action, RootCause
from domain.errors import DependencyTimeout, DependencyUnavailable
from domain.receipt import RecordKind
from tests.crews.bench import NOW, Answer, Bench, brief
from tests.crews.findings import (
    BAD,
    FALLEN,
    anomaly,
    changed,
    drift,
    etl,
    fallen,
    history,
    quality,
    recall,
    runtime,
    satisfaction,
    situation,
    snapshot,
)
from tools.evidence import check, sufficient

SLOW = (1200.0, 40.0, True)
DEAR = (0.9, 0.1, True)
BROKEN = (12.0, 0.0, True)
LOST = (0.70, 0.80, True)
WAITING = (70.0, 0.3, True)
UNHAPPY = (3.2, 4.3, True)
SPENT = (1.4, 0.3, True)
SLOWED = changed({"etl_workers": 4, "etl_batch": 250}, {"etl_workers": 1, "etl_batch": 1})
CUT = changed({"title_chars": 200}, {"title_chars": 5})

SITUATIONS: dict[str, tuple[dict[str, Answer], Action, RootCause]] = {
    "nothing is off": (situation(), Action.NOISE, RootCause.NOISE),
    "nothing is breached and the noise is unknown": (
        situation(anomaly_check=anomaly("ndcg_at_10", None, None, breached=False)),
        Action.MONITOR,
        RootCause.UNKNOWN,
    ),
    "nothing is breached and the anomaly check fails": (
        situation(anomaly_check=DependencyUnavailable("metrics", "no answer")),
        Action.MONITOR,
        RootCause.UNKNOWN,
    ),
    "a dip within its noise": (
        fallen(anomaly_check=anomaly("ndcg_at_10", -1.1, False)),
        Action.NOISE,
        RootCause.NOISE,
    ),
    "the index is damaged": (
        situation(signal_snapshot=snapshot(vector_index_errors=BROKEN)),
        Action.TUNE,
        RootCause.INDEX_DAMAGE,
    ),
    "the index is damaged, and quality fell with it": (
        fallen(signal_snapshot=snapshot(vector_index_errors=BROKEN, ndcg_at_10=FALLEN)),
        Action.TUNE,
        RootCause.INDEX_DAMAGE,
    ),
    "the judgements are damaged": (
        fallen(data_quality_report=quality(True, after=0.31)),
        Action.DATA_FIX,
        RootCause.DATA_QUALITY,
    ),
    "the judgements are damaged, and it looks like drift": (
        fallen(data_quality_report=quality(True, after=0.31), drift_report=drift(new=True)),
        Action.DATA_FIX,
        RootCause.DATA_QUALITY,
    ),
    "a release is worse": (
        fallen(deployment_history=history(-0.15, -5.2)),
        Action.ROLLBACK,
        RootCause.BAD_RELEASE,
    ),
    "a release is worse, by chance": (
        fallen(deployment_history=history(-0.05, -1.0)),
        Action.MONITOR,
        RootCause.UNKNOWN,
    ),
    "a release is near whose quality is not known": (
        fallen(deployment_history=history(-0.15, None)),
        Action.MONITOR,
        RootCause.UNKNOWN,
    ),
    "new subjects": (fallen(drift_report=drift(new=True)), Action.RETRAIN, RootCause.CORPUS_SHIFT),
    "new subjects, and a release that is as good as the one before": (
        fallen(drift_report=drift(new=True), deployment_history=history(0.01, 0.3)),
        Action.RETRAIN,
        RootCause.CORPUS_SHIFT,
    ),
    "only recall fell, with new subjects": (
        fallen(signal_snapshot=snapshot(recall_at_20=LOST), drift_report=drift(new=True)),
        Action.RETRAIN,
        RootCause.CORPUS_SHIFT,
    ),
    "new subjects nobody asks for": (
        fallen(drift_report=drift(new=True, new_subject_session_share=0.01, coverage=0.96)),
        Action.MONITOR,
        RootCause.UNKNOWN,
    ),
    "quality fell and nothing explains it": (fallen(), Action.MONITOR, RootCause.UNKNOWN),
    "an expensive mode": (
        situation(signal_snapshot=snapshot(latency_p95_ms=SLOW), runtime_state=runtime("exhaustive")),
        Action.TUNE,
        RootCause.EXPENSIVE_MODE,
    ),
    "an expensive mode that git declares": (
        situation(
            signal_snapshot=snapshot(latency_p95_ms=SLOW), runtime_state=runtime("exhaustive", declared="exhaustive")
        ),
        Action.TUNE,
        RootCause.EXPENSIVE_MODE,
    ),
    "an expensive tier": (
        situation(signal_snapshot=snapshot(cost_per_1k_requests=DEAR), runtime_state=runtime(tier="premium")),
        Action.TUNE,
        RootCause.COST_TIER,
    ),
    "the budget goes on an expensive tier": (
        situation(signal_snapshot=snapshot(budget_share=SPENT), runtime_state=runtime(tier="premium")),
        Action.TUNE,
        RootCause.COST_TIER,
    ),
    "documents are missing from the index": (
        fallen(recall_report=recall(900, ("asyncio",)), signal_snapshot=snapshot(recall_at_20=LOST)),
        Action.TUNE,
        RootCause.INDEX_INCOMPLETE,
    ),
    "documents are missing from the index, and it looks like drift": (
        fallen(recall_report=recall(900), drift_report=drift(new=True)),
        Action.TUNE,
        RootCause.INDEX_INCOMPLETE,
    ),
    "new subjects, a few of whose documents are on their way into the index": (
        fallen(recall_report=recall(60), drift_report=drift(new=True)),
        Action.RETRAIN,
        RootCause.CORPUS_SHIFT,
    ),
    "what can be found is not known": (
        fallen(recall_report=DependencyUnavailable("platform", "no answer"), drift_report=drift(new=True)),
        Action.RETRAIN,
        RootCause.CORPUS_SHIFT,
    ),
    "the intake was slowed down": (
        situation(signal_snapshot=snapshot(etl_backlog_s=WAITING), etl_report=etl(300, 1), deployment_history=SLOWED),
        Action.TUNE,
        RootCause.ETL_CAPACITY,
    ),
    "the intake does not keep up, and nothing was changed": (
        situation(signal_snapshot=snapshot(etl_backlog_s=WAITING), etl_report=etl(300)),
        Action.TUNE,
        RootCause.ETL_CAPACITY,
    ),
    "the intake does not keep up, and git says nothing of it": (
        situation(
            signal_snapshot=snapshot(etl_backlog_s=WAITING),
            etl_report=etl(300, None),
            anomaly_check=anomaly("etl_backlog_s", 9.0, True),
        ),
        Action.MONITOR,
        RootCause.UNKNOWN,
    ),
    "the intake cannot be read": (
        situation(
            signal_snapshot=snapshot(etl_backlog_s=WAITING), etl_report=DependencyUnavailable("metrics", "no answer")
        ),
        Action.HANDOFF,
        RootCause.UNKNOWN,
    ),
    "the page hides what is found": (
        situation(
            signal_snapshot=snapshot(user_satisfaction=UNHAPPY),
            satisfaction_report=satisfaction(passed_over=True),
            deployment_history=CUT,
        ),
        Action.TUNE,
        RootCause.PRESENTATION,
    ),
    "users are unhappy, and nobody changed the page": (
        situation(
            signal_snapshot=snapshot(user_satisfaction=UNHAPPY),
            satisfaction_report=satisfaction(passed_over=True),
            anomaly_check=anomaly("user_satisfaction", -9.0, True),
        ),
        Action.MONITOR,
        RootCause.UNKNOWN,
    ),
    "users are unhappy with what is found, and the page was changed": (
        situation(
            signal_snapshot=snapshot(user_satisfaction=UNHAPPY),
            satisfaction_report=satisfaction(passed_over=True, same_finds=False),
            deployment_history=CUT,
            anomaly_check=anomaly("user_satisfaction", -9.0, True),
        ),
        Action.MONITOR,
        RootCause.UNKNOWN,
    ),
    "slow, and everything runs as declared": (
        situation(signal_snapshot=snapshot(latency_p95_ms=SLOW), anomaly_check=anomaly("latency_p95_ms", 9.0, True)),
        Action.MONITOR,
        RootCause.UNKNOWN,
    ),
    "slow and worse, with new subjects": (
        fallen(
            signal_snapshot=snapshot(latency_p95_ms=SLOW, ndcg_at_10=FALLEN),
            runtime_state=runtime("exhaustive"),
            drift_report=drift(new=True),
        ),
        Action.RETRAIN,
        RootCause.CORPUS_SHIFT,
    ),
    "slow and worse, and only the mode explains anything": (
        fallen(signal_snapshot=snapshot(latency_p95_ms=SLOW, ndcg_at_10=FALLEN), runtime_state=runtime("exhaustive")),
        Action.TUNE,
        RootCause.EXPENSIVE_MODE,
    ),
    "the platform cannot be measured": (
        situation(signal_snapshot=DependencyTimeout("metrics", "no answer")),
        Action.HANDOFF,
        RootCause.UNKNOWN,
    ),
    "the judgements cannot be read": (
        fallen(data_quality_report=DependencyUnavailable("platform", "no answer"), drift_report=drift(new=True)),
        Action.HANDOFF,
        RootCause.UNKNOWN,
    ),
    "the runtime cannot be read": (
        situation(
            signal_snapshot=snapshot(latency_p95_ms=SLOW), runtime_state=DependencyUnavailable("delivery", "no answer")
        ),
        Action.HANDOFF,
        RootCause.UNKNOWN,
    ),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_situation_leads_to_its_action(name: str) -> None:
    answers, action, cause = SITUATIONS[name]
    bench = Bench(answers)
    answered = bench.judges.diagnose(brief())
    checked = check(answered.value, bench.results())
    assert (answered.value.action, answered.value.root_cause) == (action, cause)
    assert checked.unsupported_claims == 0
    assert sufficient(checked, bench.results())
    assert (answered.stopped, answered.revisions, answered.repeated_calls) == ("", 0, 0)
    assert answered.models == ("playbook",)
    assert len(answered.calls) <= 8


def test_a_rollback_names_the_suspect_and_the_revision_before_it() -> None:
    diagnosis = Bench(fallen(deployment_history=history(-0.15, -5.2))).judges.diagnose(brief()).value
    assert (diagnosis.suspect_digest, diagnosis.restore_revision) == (BAD, "1" * 40)


def test_a_data_fix_says_since_when() -> None:
    diagnosis = Bench(fallen(data_quality_report=quality(True, after=0.31))).judges.diagnose(brief()).value
    assert diagnosis.since is not None
    assert diagnosis.since < NOW.isoformat()


def test_a_retrain_names_subjects_and_words() -> None:
    diagnosis = Bench(fallen(drift_report=drift(new=True))).judges.diagnose(brief()).value
    assert diagnosis.affected_categories == ("quantum",)
    assert diagnosis.new_tokens == ("qubit", "entangle")
    assert diagnosis.low_coverage_tokens == ("qubit", "bloch")
    assert diagnosis.coverage == pytest.approx(0.71)


@pytest.mark.parametrize(
    ("figures", "tuning"),
    [
        ({"vector_index_errors": BROKEN}, {"index_generation": 5}),
        ({"latency_p95_ms": SLOW}, {"mode": "balanced", "tier": "standard"}),
        ({"cost_per_1k_requests": DEAR}, {"mode": "balanced", "tier": "standard"}),
    ],
)
def test_a_tuning_sets_what_git_declares(figures: dict[str, Any], tuning: dict[str, Any]) -> None:
    answers = situation(signal_snapshot=snapshot(**figures), runtime_state=runtime("exhaustive", "premium"))
    assert Bench(answers).judges.diagnose(brief()).value.tuning == tuning


@pytest.mark.parametrize(
    ("answers", "tuning"),
    [
        ({"etl_report": etl(300, 1), "deployment_history": SLOWED}, {"etl_workers": 4, "etl_batch": 250}),
        ({"etl_report": etl(300, 3)}, {"etl_workers": 6}),
    ],
)
def test_an_intake_gets_what_it_had_or_twice_what_it_has(answers: dict[str, Any], tuning: dict[str, Any]) -> None:
    found = situation(signal_snapshot=snapshot(etl_backlog_s=WAITING), **answers)
    assert Bench(found).judges.diagnose(brief("etl_backlog_s")).value.tuning == tuning


def test_the_anomaly_of_the_fallen_signal_is_looked_at_whatever_the_alert_was_about() -> None:
    seen: list[str] = []

    def noted(args: Any) -> Any:
        seen.append(args.signal)
        return anomaly(args.signal, -6.0, True)

    Bench(fallen(anomaly_check=noted, drift_report=drift(new=True))).judges.diagnose(brief("user_satisfaction"))
    assert seen == ["ndcg_at_10"]


def test_the_same_findings_give_the_same_answer() -> None:
    first, second = (Bench(fallen(drift_report=drift(new=True))).judges.diagnose(brief()) for _ in range(2))
    assert first == second


def test_every_call_went_through_the_door_in_the_role_that_asked() -> None:
    bench = Bench(fallen(drift_report=drift(new=True)))
    answered = bench.judges.diagnose(brief())
    reads = [r.entry for r in bench.audit.records() if r.entry.kind is RecordKind.READ]
    assert [entry.tool for entry in reads] == bench.asked
    assert {entry.actor for entry in reads} == {"metrics_analyst/agent"}
    assert all(call in bench.results() for call in answered.calls)


def test_who_works_on_what_can_be_followed() -> None:
    bench = Bench(situation())
    bench.judges.diagnose(brief())
    assert bench.said("agent") == [
        ("metrics_analyst", "diagnosis_propose", "works"),
        ("supervisor", "diagnosis_review", "works"),
        ("supervisor", "diagnosis_review", "accept"),
    ]
    assert bench.said("model") == [
        ("metrics_analyst", "playbook", "answers"),
        ("supervisor", "playbook", "answers"),
    ]


def test_the_trace_shows_the_crew_its_models_and_its_tools() -> None:
    bench = Bench(situation())
    bench.judges.diagnose(brief())
    seen = {(span.name, span.kind, span.parent) for span in bench.traces.spans}
    assert {
        ("crew diagnosis", "chain", ""),
        ("task diagnosis_propose", "chain", "crew diagnosis"),
        ("diagnosis_propose", "llm", "task diagnosis_propose"),
        ("signal_snapshot", "tool", "task diagnosis_propose"),
        ("door", "decision", "signal_snapshot"),
        ("task diagnosis_review", "chain", "crew diagnosis"),
        ("diagnosis_review", "llm", "task diagnosis_review"),
    } <= seen
    assert all(span.closed and not span.error for span in bench.traces.spans)


def test_the_answer_names_its_prompts_by_fingerprint() -> None:
    prompts = Bench(situation()).judges.diagnose(brief()).prompts
    known = default_roster().prompts()
    assert {"diagnosis_propose/task.md", "diagnosis_review/system.md", "roles/supervisor.md"} <= set(prompts)
    assert prompts == {name: known[name] for name in prompts}


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    answered = Bench(situation()).judges.diagnose(brief())
    assert answered.value.action is Action.NOISE
    assert capfd.readouterr() == ("", "")


def test_the_analyst_cannot_reach_a_tool_that_writes() -> None:
    bench = Bench(situation())
    held = {name for names in default_roster().seat(Role.METRICS_ANALYST).tools.values() for name in names}
    assert {bench.gate.registry.get(name).spec.effect.value for name in held} == {"read"}
