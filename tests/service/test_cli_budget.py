"""`evercrew budget` on an office in memory: what is printed, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import service.cli
from adapters.ledger.memory import MemoryLedger
from cycles.desk import Desk
from domain.budget import Amounts
from domain.diagnosis import Action
from domain.errors import DependencyLied, InvalidInput
from service.cli_budget import budget
from service.doctor import _ledger
from tests.support.office import Rig
from tests.support.setting import alert_of
from tests.support.story import given


class Shop:
    """An office after one cycle that has ended, with one that is open and has something set aside."""

    def __init__(self, folder: Path) -> None:
        story = given(folder, Action.NOISE).runs()
        self.rig: Rig = story.rig
        self.ended = story.cycle
        assert self.rig.office.purse is not None
        self.purse = self.rig.office.purse
        self.open = self.rig.open(alert_of(Action.NOISE, self.rig.clock))
        self.reserve(f"ask/{self.open.id}/diagnose/diagnosis", Desk(self.rig.office, self.open).scope)

    def reserve(self, key: str, scope: Any) -> None:
        """Set something aside."""
        self.purse.reserve(key, scope, Amounts(tokens=500, usd_micros=250_000))

    def run(self, *words: str) -> Any:
        """Run the command."""
        return CliRunner().invoke(budget, list(words))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(tmp_path)
    built = SimpleNamespace(
        ports=made.rig.ports,
        office=made.rig.office,
        audit=made.rig.audit,
        clock=made.rig.clock,
        config=SimpleNamespace(target="search", environment="dev"),
        current_accounts=lambda: made.rig.office.purse.current("search", "dev") if made.rig.office.purse else set(),
        close=lambda: None,
    )
    monkeypatch.setattr(service.cli, "wired", lambda config, workflow=True: built)
    return made


def test_show_prints_the_accounts_of_now_with_what_is_left(shop: Shop) -> None:
    shown = shop.run("show")
    assert shown.exit_code == 0
    assert f"cycle/{shop.open.id}" in shown.stdout
    assert f"cycle/{shop.ended.id}" not in shown.stdout
    assert "  0.00 USD spent, 0.25 USD set aside, of 5.00 USD" in shown.stdout
    assert "  1 cycles spent, 0 cycles set aside, of 500 cycles" in shown.stdout


def test_show_of_one_cycle_as_json(shop: Shop) -> None:
    shown = shop.run("show", "--cycle", shop.open.id, "--json")
    (row,) = json.loads(shown.stdout)
    assert (row["name"], row["reserved"]["tokens"], row["left"]["usd_micros"]) == (
        f"cycle/{shop.open.id}",
        500,
        4_750_000,
    )


def test_show_all_has_past_accounts_too(shop: Shop) -> None:
    shop.reserve("ask/x", Desk(shop.rig.office, shop.ended).scope)
    assert f"cycle/{shop.ended.id}" not in shop.run("show").stdout
    assert f"cycle/{shop.ended.id}" in shop.run("show", "--all").stdout


def test_show_of_a_cycle_that_is_none_is_misuse(shop: Shop) -> None:
    assert isinstance(shop.run("show", "--cycle", "si_2020_01_01_001").exception, InvalidInput)


def test_an_alarm_is_shown(shop: Shop) -> None:
    scope = Desk(shop.rig.office, shop.open).scope
    for number in range(90):
        shop.purse.reserve(f"ask/{number}", scope, Amounts())
        shop.purse.settle(f"ask/{number}", Amounts(usd_micros=5_000_000))
    assert "ALARM since" in shop.run("show").stdout


def test_check_says_that_everything_adds_up(shop: Shop) -> None:
    checked = shop.run("check")
    assert checked.exit_code == 0
    assert "every account adds up, and nothing is left set aside" in checked.stdout


def test_check_finds_what_ended_cycles_left_and_mends_it_when_told(shop: Shop) -> None:
    shop.reserve(f"ask/{shop.ended.id}/learn/x", Desk(shop.rig.office, shop.ended).scope)
    first = shop.run("check", "--json")
    assert (first.exit_code, json.loads(first.stdout)["whole"]) == (1, False)
    assert "charged in full" in json.loads(first.stdout)["left_over"][0]
    mended = shop.run("check", "--mend")
    assert mended.exit_code == 0
    assert "settled" in mended.stdout
    assert json.loads(shop.run("check", "--json").stdout)["left_over"] == []


def test_check_names_accounts_that_do_not_add_up_and_writes_nothing_more(shop: Shop) -> None:
    assert isinstance(shop.purse.ledger, MemoryLedger)
    shop.reserve(f"ask/{shop.ended.id}/learn/x", Desk(shop.rig.office, shop.ended).scope)
    shop.purse.ledger._entries.pop()
    checked = shop.run("check", "--mend")
    assert checked.exit_code == 1
    assert "BROKEN" in checked.stdout
    assert "left" in checked.stdout
    assert "settled" not in checked.stdout


def test_an_overdrawn_account_is_named(shop: Shop) -> None:
    shop.purse.settle(f"ask/{shop.open.id}/diagnose/diagnosis", Amounts(usd_micros=6_000_000))
    checked = shop.run("check")
    assert f"over    cycle/{shop.open.id} is overdrawn: 6.00 USD of 5.00 USD are spent" in checked.stdout


def test_history_tells_what_happened_to_an_account(shop: Shop) -> None:
    shop.purse.settle(f"ask/{shop.open.id}/diagnose/diagnosis", Amounts(tokens=20))
    told = shop.run("history", "--account", f"cycle/{shop.open.id}")
    lines = told.stdout.splitlines()
    assert len(lines) == 2
    assert "reserve" in lines[0]
    assert "reserved tokens +500, reserved usd_micros +250000" in lines[0]
    assert "spent tokens +20" in lines[1]


def test_history_of_a_key_as_json_and_of_nothing(shop: Shop) -> None:
    rows = json.loads(shop.run("history", "--key", f"ask/{shop.open.id}/diagnose/diagnosis", "--json").stdout)
    assert {row["kind"] for row in rows} == {"reserve"}
    assert shop.run("history", "--key", "unknown").stdout == "no entries\n"


def test_the_doctor_says_whether_the_ledger_adds_up(shop: Shop) -> None:
    app: Any = SimpleNamespace(office=shop.rig.office)
    assert "add up" in _ledger(app)
    assert isinstance(shop.purse.ledger, MemoryLedger)
    shop.purse.ledger._entries.pop()
    with pytest.raises(DependencyLied, match="do not add up"):
        _ledger(app)
    app.office = SimpleNamespace(purse=None)
    assert "nothing is counted" in _ledger(app)
