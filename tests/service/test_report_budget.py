"""The report of a cycle tells what it spent, what was refused, and the circle it would have gone in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from domain.budget import Amounts
from service.report.write import write_report
from tests.service import sample

ACCOUNT = {
    "name": "cycle/si_2026_03_14_001",
    "limit": {"tokens": 4000, "usd_micros": 5_000_000, "gpu_seconds": None, "cycles": None},
    "reserved": Amounts().model_dump(),
    "spent": Amounts(tokens=1200, usd_micros=430_000).model_dump(),
    "left": {"tokens": 2800, "usd_micros": 4_570_000, "gpu_seconds": None, "cycles": None},
}
FOUND = {
    "kind": "ineffective",
    "reason": "retrain did not show 3 times in a row <b>",
    "decision": "handed off",
    "evidence": {"cycles": ["si_2026_03_11_001"], "cause": "corpus_shift"},
}


def texts(folder: Path, **added: Any) -> tuple[str, str]:
    """Return the report of a cycle whose outcome says so, as a page and as text."""
    material = sample.noise()
    told = {**material.artifacts["outcome.json"], **added}
    page, text = write_report(
        folder, material.model_copy(update={"artifacts": {**material.artifacts, "outcome.json": told}})
    )
    return page.read_text(encoding="utf-8"), text.read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "artifacts" / "si_2026_03_14_001"
    made.mkdir(parents=True)
    return made


def test_what_was_spent_and_refused_is_told(folder: Path) -> None:
    budget = {"accounts": [ACCOUNT], "refused": "3.00 USD needed, 1.00 USD left"}
    for text in texts(folder, budget=budget):
        assert "Budget" in text
        assert "0.4300" in text
        assert "5.00" in text
        assert "1200" in text
        assert "3.00 USD needed" in text
        assert "Not drawn" not in text


def test_a_circle_is_told_with_its_evidence(folder: Path) -> None:
    page, text = texts(folder, pathology=FOUND)
    for told in (page, text):
        assert "Going in circles" in told
        assert "did not show 3 times in a row" in told
        assert "corpus_shift" in told.replace("\\", "")
    assert "row <b>" not in page


def test_a_cycle_that_has_neither_says_neither(folder: Path) -> None:
    for text in texts(folder):
        assert "Budget" not in text
        assert "Going in circles" not in text
