"""Every figure of the weekly report, computed a second time from the raw rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
from scipy.stats import beta, t

from domain.outcome import OutcomeKind
from domain.stage import Stage
from service.weekly.report import WeeklyReport
from tests.service.artifacts import artifacts
from tests.weekly.seeded import WEEK, Records, busy_week, records_in


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    with records_in(tmp_path_factory.mktemp("week")) as records:
        busy_week(records)
        yield records


@pytest.fixture(scope="module")
def report(records: Records) -> WeeklyReport:
    return records.report()


@pytest.fixture(scope="module")
def rows(records: Records) -> list[dict[str, Any]]:
    """The cycles of the week, straight from the table."""
    with sqlite3.connect(records.folder / "evercrew.db") as connection:
        connection.row_factory = sqlite3.Row
        found = [dict(row) for row in connection.execute("SELECT * FROM cycles WHERE NOT is_open")]
    begin, end = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (WEEK.start, WEEK.end))
    return [row for row in found if begin <= row["updated_at"] < end]


@pytest.fixture(scope="module")
def chain(records: Records) -> list[dict[str, Any]]:
    """The records of the week, straight from the table of the chain."""
    with sqlite3.connect(records.folder / "audit.db") as connection:
        found = [json.loads(body) for (body,) in connection.execute("SELECT body FROM records ORDER BY sequence")]
    return [row for row in found if WEEK.start.isoformat() <= row["at"] < WEEK.end.isoformat()]


def tries(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["outcome"] not in ("cancelled", "stopped", "no_cycle")]


def hours(row: dict[str, Any]) -> float:
    ended, opened = (datetime.fromisoformat(row[name]) for name in ("updated_at", "opened_at"))
    return (ended - opened).total_seconds() / 3600


def test_the_cycles_of_the_week_are_counted_by_how_they_ended(report: WeeklyReport, rows: list[dict[str, Any]]) -> None:
    good = [r for r in tries(rows) if r["outcome"] in ("improved", "restored", "repaired", "tuned", "left_alone")]
    assert report.figure("cycles").value == len(rows) == 6
    assert report.figure("successful").value == len(good) == 3
    assert report.figure("failed").value == len(tries(rows)) - len(good) == 2
    assert report.figure("called_off").value == 1
    assert {c.label: c.count for c in report.cycles} == {
        word.replace("_", " "): sum(r["outcome"] == word for r in rows) for word in {r["outcome"] for r in rows}
    }


def test_success_has_the_exact_interval_and_misses_its_target(report: WeeklyReport) -> None:
    figure = report.figure("success")
    assert (figure.value, figure.n, figure.met) == (3 / 5, 5, False)
    assert figure.low == pytest.approx(float(beta.ppf(0.025, 3, 3)), abs=1e-9)
    assert figure.high == pytest.approx(float(beta.ppf(0.975, 4, 2)), abs=1e-9)


def test_the_mean_time_of_a_cycle_has_students_interval(report: WeeklyReport, rows: list[dict[str, Any]]) -> None:
    values = [hours(row) for row in rows]
    figure = report.figure("hours")
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    assert figure.value == pytest.approx(mean(values))
    assert figure.low == pytest.approx(mean(values) - half)
    assert figure.high == pytest.approx(mean(values) + half)
    assert figure.met is True


def test_what_was_taken_back_is_a_share_of_what_was_made_live(
    report: WeeklyReport, chain: list[dict[str, Any]]
) -> None:
    done = [r["entry"] for r in chain if r["entry"]["kind"] == "outcome" and r["entry"]["status"] == "done"]
    live = {e["cycle_id"] for e in done if e["tool"] in ("promote", "apply_tuning")}
    back = {e["cycle_id"] for e in done if e["tool"] == "roll_back"}
    figure = report.figure("taken_back")
    assert (figure.value, figure.n) == (len(back & live) / len(live), 3)
    assert figure.met is False


def test_the_gain_is_that_of_the_test_on_live_traffic(report: WeeklyReport, records: Records) -> None:
    improved = next(c.cycles[0] for c in report.cycles if c.label == "improved")
    ab = json.loads((records.folder / "artifacts" / improved / "ab_test_results.json").read_text())
    figure = report.figure("gain")
    assert (figure.value, figure.n) == (ab["looks"][-1]["lift"], 1)
    assert (figure.low, figure.high) == (None, None)
    row = next(c for c in report.improvements if c.where == "A/B test")
    assert (row.lower, row.upper) == (ab["looks"][-1]["lower"], ab["looks"][-1]["upper"])


def test_the_cost_of_a_cycle_and_its_change_are_from_the_outcomes(report: WeeklyReport, records: Records) -> None:
    files = records.folder.glob("artifacts/si_2026_11_1[6-9]*/outcome.json")
    files_too = records.folder.glob("artifacts/si_2026_11_2*/outcome.json")
    costs = [json.loads(file.read_text())["total_cost_usd"] for file in (*files, *files_too)]
    assert report.figure("cost").value == pytest.approx(mean(costs))
    assert report.figure("cost").n == len(costs) == 4
    assert report.figure("cost_change").value == pytest.approx(mean(costs) / 10.0 - 1)
    assert report.figure("cost_change").met is True


def test_what_was_spent_is_what_the_ledger_settled(report: WeeklyReport, records: Records) -> None:
    with sqlite3.connect(records.folder / "evercrew.db") as connection:
        settled = connection.execute(
            "SELECT key, spent_usd_micros FROM ledger_entries WHERE kind = 'settle' AND account LIKE 'cycle/%'"
        ).fetchall()
    usd = {key: micros / 1e6 for key, micros in settled}
    assert report.figure("spent").value == pytest.approx(sum(usd.values()))
    assert {c.kind: c.usd for c in report.costs} == {
        "calls of the stage train": usd["k" * 32],
        "questions to models": usd["ask/a/diagnose/diagnosis"],
    }
    assert next(c.tokens for c in report.costs if c.kind == "questions to models") == 900


def test_what_was_done_is_counted_from_the_chain(report: WeeklyReport, chain: list[dict[str, Any]]) -> None:
    done = [r["entry"]["tool"] for r in chain if r["entry"]["kind"] == "outcome"]
    assert sum(a.count for a in report.actions) == len(done)
    assert {a.label: a.count for a in report.actions}["models promoted"] == done.count("promote")
    data = next(a for a in report.actions if a.label == "training data built")
    assert "examples" in data.detail


def test_what_was_declined_says_why_in_the_words_of_whoever_decided(report: WeeklyReport) -> None:
    said = {d.why: d.detail for d in report.declined}
    assert said["noise"] == "within its noise"
    assert said["policy"] == "the window is closed [forbid-closed-window]"
    assert said["budget"] == "0.10 USD left of 5.00 USD"
    assert said["people"] == "denied by Ann: not on a Friday"
    assert said["evidence"] == "too few queries"
    assert "gate" not in said


def test_approvals_are_counted_with_the_time_to_decision(report: WeeklyReport) -> None:
    found = report.approvals
    assert (found.asked, found.given, found.denied, found.waiting) == (2, 0, 1, 0)
    assert found.expired == 1  # granted and never used: after its time it opens nothing
    assert (found.decide.value, found.decide.n) == (3.0, 2)


def test_a_late_reaction_is_told_with_its_cycle(report: WeeklyReport, records: Records) -> None:
    (row,) = report.late
    assert row.count == 1
    assert row.detail == "the slowest after 5,400 s of 3,600 s"
    assert report.figure("late").value == 0.5


def test_the_week_before_stands_beside(report: WeeklyReport) -> None:
    assert report.figure("cycles").previous == 2
    assert report.figure("hours").previous == 4.0
    assert report.figure("gain").previous is None


def test_every_figure_names_its_source_and_its_sample(report: WeeklyReport) -> None:
    assert all(figure.source and figure.n >= 0 for figure in report.figures)
    assert len({figure.name for figure in report.figures}) == len(report.figures)


def test_next_priorities_follow_their_rules_in_their_order(records: Records, tmp_path: Path) -> None:
    rules = [p.rule for p in records.report().priorities]
    assert rules[0] == "one signal and cause came 2 times or more"
    assert "an indicator is outside of its target, n = 5" in rules
    with records_in(tmp_path) as others:
        cycle = others.cycle(1, 1, OutcomeKind.HANDED_OFF, reason="three failures")
        others.asked(cycle, None, 0)
        report = others.report(now=others.clock.now() + timedelta(hours=1))
        first, second, *_ = report.priorities
        assert (first.rule, second.rule) == ("a request waits for an approval", "a cycle ended as handed off")
        assert first.cycles == second.cycles == (cycle,)
        (remark,) = report.remarks
        assert remark.startswith("The stretch is not over")


def test_a_week_in_which_nothing_happened_has_no_data_and_no_zero_shares(tmp_path: Path) -> None:
    with records_in(tmp_path) as records:
        report = records.report()
    assert report.figure("cycles").value == 0
    for name in ("success", "hours", "taken_back", "gain", "cost", "cost_change", "spent", "late"):
        figure = report.figure(name)
        assert (figure.value, figure.met, figure.n) == (None, None, 0), name
    assert report.priorities == () or all(p.what for p in report.priorities)
    assert report.declined == ()


def test_an_artifact_that_is_damaged_is_in_no_figure_and_is_named(tmp_path: Path) -> None:
    with records_in(tmp_path) as records:
        cycle = records.cycle(1, 1, OutcomeKind.IMPROVED, cost=3.0)
        (tmp_path / "artifacts" / cycle / "outcome.json").write_text('{"total_cost_usd": 0}')
        report = records.report()
    assert report.figure("cost").value is None
    assert report.remarks == (f"outcome.json of {cycle} is missing a field or damaged, and is in no figure.",)


def test_a_cycle_belongs_to_the_week_it_ended_in(tmp_path: Path) -> None:
    with records_in(tmp_path) as records:
        records.cycle(-0.1, 12, OutcomeKind.IMPROVED)
        records.cycle(6.9, 12, OutcomeKind.IMPROVED)
        records.at(3)
        records.cycle(3, 0, OutcomeKind.UNVERIFIED, stage=Stage.WATCH)
        report = records.report()
    assert report.figure("cycles").value == 1
    assert [p.rule for p in report.priorities][-1] == "a cycle of the stretch has not ended"


FIGURES = {"baseline": 0.40, "candidate": 0.44, "lift": 0.10, "lower": 0.04, "upper": 0.16, "n": 900}


def evaluated(records: Records, cycle_id: str, verdict: str = "pass") -> None:
    """Write the evaluation of a cycle with measured metrics."""
    sample = artifacts()["evaluation.json"]

    def measured(ndcg: float, cost: float) -> dict[str, Any]:
        return {"ndcg_at_10": {"value": ndcg, "n": 900}, "cost_per_1k_requests": {"value": cost, "n": 900}}

    content = {
        **sample,
        "cycle_id": cycle_id,
        "baseline": {
            **sample["baseline"],
            "metrics": {**measured(0.40, 0.5), "latency_p95_ms": {"value": None, "n": 0}},
        },
        "candidate": {**sample["candidate"], "metrics": measured(0.44, 0.4)},
        "gates": [{**sample["gates"][0], "name": "ndcg_at_10", "figures": FIGURES}],
        "verdict": verdict,
    }
    records.artifacts.write(cycle_id, "evaluation.json", content)


def test_without_a_test_on_live_traffic_the_held_out_set_says_what_was_gained(tmp_path: Path) -> None:
    with records_in(tmp_path) as records:
        cycle = records.cycle(1, 1, OutcomeKind.IMPROVED)
        evaluated(records, cycle)
        report = records.report()
    rows = {change.metric: change for change in report.improvements}
    assert set(rows) == {"ndcg_at_10", "cost_per_1k_requests"}
    assert rows["cost_per_1k_requests"].lift == pytest.approx(-0.2)
    assert (rows["cost_per_1k_requests"].lower, rows["cost_per_1k_requests"].n) == (None, 900)
    quality = rows["ndcg_at_10"]
    assert (quality.before, quality.after) == (0.40, 0.44)
    assert (quality.lift, quality.lower, quality.upper) == (0.10, 0.04, 0.16)
    assert report.figure("gain").value == 0.10


def test_what_was_taken_back_is_no_improvement_and_a_failed_gate_is_no_lack_of_evidence(tmp_path: Path) -> None:
    with records_in(tmp_path) as records:
        back = records.cycle(1, 1, OutcomeKind.ROLLED_BACK)
        evaluated(records, back)
        lost = records.cycle(2, 1, OutcomeKind.NOT_PROMOTED, reason="below the gate")
        evaluated(records, lost, "fail")
        report = records.report()
    assert report.improvements == ()
    assert [(d.why, d.cycles) for d in report.declined] == [("gate", (lost,))]


def test_the_target_of_thirty_days_is_judged_only_where_the_record_is_that_old(tmp_path: Path) -> None:
    with records_in(tmp_path) as records:
        records.cycle(1, 1, OutcomeKind.IMPROVED)
        young = records.report().figure("month")
        records.cycle(-31, 1, OutcomeKind.IMPROVED)
        old = records.report().figure("month")
    assert (young.value, young.met) == (1, None)
    assert (old.value, old.met) == (1, False)
