"""Tables and lines, as they look in a pipe."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from evals.decisions import as_plain, plan_of
from evals.expectations import EXPECTED, bar
from evals.sections import Section, quantile, said
from evals.tables import bar_table, confusion_table, line
from tests.evals.runs import a_run, levels, perfect


def shown(table: object) -> str:
    console = Console(file=io.StringIO(), width=160, color_system=None)
    console.print(table)
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_the_confusion_table_marks_what_is_right_and_shows_what_is_not() -> None:
    text = shown(confusion_table([*perfect(2), a_run("latency", "handoff")]))
    rows = {words[1]: words for row in text.splitlines() if len(words := row.replace("│", " | ").split()) > 3}
    assert "[2]" in rows["latency"]
    assert "1" in rows["latency"]
    assert "handoff" in text
    assert "crashed" not in text


def test_the_bar_table_says_what_does_not_hold() -> None:
    text = shown(bar_table(bar([a_run("none", "retrain")])))
    assert text.count("NO") == 2


def test_a_line_tells_fault_seed_levels_and_lift_of_a_run() -> None:
    text = line(
        a_run("corpus_shift", "retrain", seed=4, levels=levels(0.5, 0.55), seconds=38.2, rate=149.6, wanted_rate=200.0)
    )
    assert "corpus_shift" in text
    assert "seed 4" in text
    assert "0.800 -> 0.500 -> 0.550 (+10.0%)" in text
    assert "150 of 200 sessions/s" in text


def test_a_dangerous_run_says_so_in_its_line_even_when_its_action_is_right() -> None:
    assert "DANGEROUS" in line(a_run("noise", "monitor", effects=("promote",)))
    assert "WRONG" in line(a_run("noise", "rollback"))


def test_everything_is_plain_json_with_the_verdict_of_the_bar() -> None:
    plain = json.loads(json.dumps(as_plain(perfect())))
    assert plain["holds"] is True
    assert len(plain["runs"]) == len(perfect())
    assert plain["runs"][0]["lift"] == pytest.approx(0.1)
    assert plain["confusion"]["none"] == {"no_cycle": 5}


def test_the_plan_runs_every_fault_of_a_seed_before_the_next_seed() -> None:
    plan, as_json = plan_of(["--seeds", "2", "--faults", "noise,none", "--json"])
    assert as_json
    assert plan.pairs() == [("noise", 1), ("none", 1), ("noise", 2), ("none", 2)]
    assert plan_of(["--seeds", "1", "--first-seed", "4", "--faults", "none"])[0].pairs() == [("none", 4)]
    assert len(plan_of([])[0].pairs()) == 5 * len(EXPECTED)


@pytest.mark.parametrize("words", [["--faults", "flood"], ["--seeds", "0"], ["--scale", "2"], ["--probes", "1"]])
def test_a_plan_that_cannot_be_is_misuse(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        plan_of(words)
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_quantiles_interpolate_and_need_values() -> None:
    assert quantile([4.0, 1.0, 3.0, 2.0], 0.5) == pytest.approx(2.5)
    assert quantile([1.0], 0.95) == 1.0
    with pytest.raises(ValueError, match="0 values"):
        quantile([], 0.5)


def test_cells_are_said_shortly_and_a_missing_one_is_a_dash() -> None:
    assert [said(cell) for cell in (None, 0.123456, 12345.6, 3, "words")] == ["-", "0.123", "12,346", "3", "words"]


def test_a_section_is_a_table_and_plain_json() -> None:
    section = Section("gate", "overhead", [{"call": "read", "p50 ms": 1.25}], "a note")
    assert section.plain() == {"title": "overhead", "rows": [{"call": "read", "p50 ms": 1.25}], "note": "a note"}
    text = shown(section.table())
    assert "1.25" in text
    assert "a note" in text
