"""What an analysis is worth: nothing measured, or nothing but errors, is never a success."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.delivery.rollouts_state import AnalysisRun
from domain.verdict import Verdict
from tests.integrations.rollouts.cluster import analysis, metric

pytestmark = pytest.mark.integration("rollouts", "lying")

DRY = {**metric("dry", "Failed"), "dryRun": True}
TABLE = [
    ("measured and good", analysis("Successful", metric(), metric("p95")), Verdict.PASS),
    ("one job without a value", analysis("Successful", metric(values=("",))), Verdict.PASS),
    ("some errors among successes", analysis("Successful", metric(successful=3, error=1)), Verdict.PASS),
    ("a dry run that fails does not count", analysis("Successful", metric(), DRY), Verdict.PASS),
    ("no metric", analysis("Successful"), Verdict.INSUFFICIENT),
    ("nothing but a dry run", analysis("Successful", {**metric(), "dryRun": True}), Verdict.INSUFFICIENT),
    ("zero measurements", analysis("Successful", metric(values=(), successful=0)), Verdict.INSUFFICIENT),
    ("one of two not measured", analysis("Successful", metric(), metric("b", successful=0)), Verdict.INSUFFICIENT),
    ("NaN", analysis("Successful", metric(values=("[NaN]", "NaN"))), Verdict.INSUFFICIENT),
    ("an empty vector", analysis("Successful", metric(values=("[]",))), Verdict.INSUFFICIENT),
    ("only errors, called a success", analysis("Successful", metric(error=4)), Verdict.ERROR),
    ("a failed metric, called a success", analysis("Successful", metric(phase="Failed")), Verdict.FAIL),
    (
        "an inconclusive metric",
        analysis("Successful", metric(phase="Inconclusive", successful=1)),
        Verdict.INSUFFICIENT,
    ),
    ("failed", analysis("Failed", metric(phase="Failed")), Verdict.FAIL),
    ("failed without a metric", analysis("Failed"), Verdict.FAIL),
    ("only errors, called a failure", analysis("Failed", metric(phase="Error")), Verdict.ERROR),
    ("error", analysis("Error", metric(phase="Error")), Verdict.ERROR),
    ("inconclusive", analysis("Inconclusive", metric(phase="Inconclusive")), Verdict.INSUFFICIENT),
    ("running", analysis("Running", metric()), Verdict.INSUFFICIENT),
    ("pending", analysis("Pending"), Verdict.INSUFFICIENT),
    ("not begun", analysis(""), Verdict.INSUFFICIENT),
    ("a phase nobody knows", analysis("Splendid", metric()), Verdict.ERROR),
]


@pytest.mark.parametrize(("run", "verdict"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_an_analysis_is_judged(run: dict[str, Any], verdict: Verdict) -> None:
    judgement = AnalysisRun.model_validate(run).judge()
    assert judgement.verdict is verdict, judgement.reason
    assert judgement.reason
