"""The policies as pages show them: the same answers as the door's, in groups, and a broken file said loudly."""

from __future__ import annotations

import shutil
from datetime import timedelta
from importlib import resources
from pathlib import Path

import pytest

from domain.clock import FrozenClock
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.errors import InvalidInput
from domain.stage import Stage
from policies.contract import load_contract
from policies.live import LivePolicies
from policies.packaged import packaged_contract
from service.policyset import PackagedSet, PolicyFolder
from service.web.policy_tools import GROUPS, safe_tools, tool_facts
from service.web.policy_view import contract_rows, explained, matrix_of, state_of
from tests.support.setting import alert_of


def _cycle() -> Cycle:
    clock = FrozenClock()
    return Cycle(
        id="si_2026_01_01_001",
        alert=alert_of(Action.TUNE, clock),
        target="search",
        environment="dev",
        stage=Stage.WATCH,
        opened_at=clock.now(),
        updated_at=clock.now(),
    )


@pytest.fixture(scope="module")
def live() -> LivePolicies:
    return LivePolicies(PackagedSet(), monotonic=FrozenClock().monotonic)


def test_every_tool_is_in_one_group_of_the_matrix_once(live: LivePolicies) -> None:
    groups = matrix_of(live, "production")
    named = [row.tool.name for group in groups.values() for row in (*group.rows, *group.free)]
    assert sorted(named) == sorted(tool_facts())
    assert set(groups) <= set(GROUPS.values())


def test_the_matrix_says_what_is_decided_and_differs_by_environment(live: LivePolicies) -> None:
    def of(environment: str) -> dict[str, str]:
        row = next(r for r in matrix_of(live, environment)["Delivery"].rows if r.tool.name == "promote")
        return dict(next(cell for cell in row.cells if cell.role == "devops_engineer").answers)

    assert of("dev")["engine"] == "allow"
    assert of("staging")["engine"] == "approval"
    assert of("dev")["agent"] == "never"


def test_what_every_role_may_use_is_set_apart_and_only_reads(live: LivePolicies) -> None:
    free = [row for group in matrix_of(live, "dev").values() for row in group.free]
    assert free
    assert all(row.tool.effect.value == "read" for row in free)


def test_filters_of_the_matrix_narrow_by_text_and_by_answer(live: LivePolicies) -> None:
    by_name = matrix_of(live, "dev", tool="PROMOTE")
    assert [row.tool.name for group in by_name.values() for row in group.rows] == ["promote"]
    assert matrix_of(live, "dev", tool="nothing of the kind") == {}
    asked = matrix_of(live, "staging", answer="approval")
    assert all(
        any("approval" in cell.answers.values() for cell in row.cells)
        for group in asked.values()
        for row in (*group.rows, *group.free)
    )


def test_an_explanation_supposes_what_it_is_told_and_refuses_what_is_no_fact(live: LivePolicies) -> None:
    asked = {"role": "devops_engineer", "tool": "promote", "environment": "dev", "via": "engine"}
    plain = explained(live, **asked, changes=[])
    stopped = explained(live, **asked, changes=["kill_switch:true"])
    assert plain is not None
    assert stopped is not None
    assert (plain.answer, stopped.answer) == ("allow", "never")
    assert stopped.context["kill_switch"] is True
    with pytest.raises(InvalidInput, match="is no fact of this decision"):
        explained(live, **asked, changes=["colour:blue"])
    with pytest.raises(InvalidInput, match="is no whole number"):
        explained(live, **asked, changes=["hour:noon"])
    with pytest.raises(InvalidInput, match="is not known"):
        explained(live, **{**asked, "tool": "sing"}, changes=[])


def test_a_broken_file_is_said_and_the_set_before_stays(tmp_path: Path) -> None:
    for file in resources.files("policies").iterdir():
        if file.name.endswith((".cedar", ".cedarschema")):
            shutil.copy(str(file), tmp_path / file.name)
    clock = FrozenClock()
    live = LivePolicies(PolicyFolder(tmp_path, clock), monotonic=clock.monotonic)
    good = state_of(live)
    assert (good.problem, len(good.policies) > 20) == ("", True)
    (tmp_path / "permits.cedar").write_text("permit (nobody knows what", encoding="utf-8")
    state_of(live)
    clock.advance(timedelta(seconds=5))
    broken = state_of(live)
    assert broken.problem
    assert broken.policy_hash == good.policy_hash
    assert broken.policies == good.policies


def test_the_contract_is_told_with_reactions_that_were_in_time_and_late() -> None:
    contract = load_contract(packaged_contract())
    kept = {"signal": "latency_p95_ms", "seconds": 30.0, "in_time": True}
    late = {"signal": "latency_p95_ms", "seconds": 900.0, "in_time": False}
    cycles = [_cycle().with_fact("reaction", fact) for fact in (kept, late, late)]
    rows = {row.name: row for row in contract_rows(contract, contract, cycles)}
    assert len(rows) == len(contract.signals)
    latency = rows["latency_p95_ms"]
    assert (latency.reactions, latency.median_s, latency.late) == (3, 900.0, 2)
    assert latency.limits == ["above 800 ms", "50 % above its baseline"]
    assert rows["ndcg_at_10"].rollback == ["worse than its baseline in the watch"]
    assert (rows["recall_at_20"].reactions, rows["recall_at_20"].median_s) == (0, None)


def test_tools_that_lead_to_a_safe_state_are_known() -> None:
    assert {"roll_back", "ab_stop", "notify"} <= safe_tools()
    assert "promote" not in safe_tools()
