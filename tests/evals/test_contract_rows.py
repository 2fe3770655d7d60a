"""When a row of the contract counts as alive, and what is printed of it."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from evals.contract import FAULTS, Row, paged, plan_of, section
from policies.contract import load_contract
from policies.packaged import packaged_contract
from service.demo import FAULTS as KNOWN

CONTRACT = load_contract(packaged_contract())
ALIVE = Row(
    trigger="etl_backlog",
    fault="etl_backlog",
    signal="etl_backlog_s",
    fired_s=7.2,
    action="tune",
    effects=("apply_tuning", "notify"),
    reaction_s=14.6,
    allowed_s=600.0,
    in_time=True,
    recorded=True,
    outcome="tuned",
    verified=True,
)


def test_every_trigger_of_the_contract_has_a_fault_that_can_be_injected() -> None:
    assert set(FAULTS) == {row.trigger for row in CONTRACT.signals.values()}
    assert set(FAULTS.values()) <= set(KNOWN)


def test_a_row_is_paged_by_its_own_rule() -> None:
    assert paged("recall_drop") == ("recall_at_20",)
    assert set(paged("cost_spike")) == {"budget_share", "cost_per_1k_requests"}


def test_a_row_that_fired_acted_and_recorded_is_alive() -> None:
    assert ALIVE.alive


@pytest.mark.parametrize(
    "changes",
    [{"signal": ""}, {"signal": "ndcg_at_10"}, {"effects": ()}, {"effects": ("notify",)}, {"recorded": False}],
)
def test_a_row_that_lacks_one_of_them_is_not(changes: dict[str, object]) -> None:
    assert not replace(ALIVE, **changes).alive  # type: ignore[arg-type]


def test_the_table_tells_reaction_beside_what_is_allowed() -> None:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(section([ALIVE, Row("recall_drop", "recall_drop", problem="no alert fired")]).table())
    output = console.file
    assert isinstance(output, io.StringIO)
    words = output.getvalue().replace("│", " ").split()
    assert {"14.6", "600", "tuned", "yes", "NO"} <= set(words)


def test_a_plan_names_known_rows_only(capsys: pytest.CaptureFixture[str]) -> None:
    plan, as_json = plan_of(["--rows", "etl_backlog,index_errors", "--json"])
    assert as_json
    assert plan.rows == ("etl_backlog", "index_errors")
    assert plan_of([])[0].rows == tuple(FAULTS)
    for words in (["--rows", "flood"], ["--documents", "10"], ["--scale", "0"]):
        with pytest.raises(SystemExit):
            plan_of(words)
        assert words[0] in capsys.readouterr().err
