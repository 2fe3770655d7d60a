"""Kill -9 between the purse, the chain and the effect: what happened is paid once, and nothing stays set aside."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from adapters.audit.sqlite import SqliteAudit
from adapters.database import Database
from adapters.ledger.sqlalchemy import SqlLedger
from domain.budget import Amounts
from domain.clock import SystemClock
from domain.receipt import RecordKind
from tests.durability.conftest import Start
from tests.durability.counts import count

# Each test is several processes, one after the other, on a machine that may have other things to do.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EFFECT_KEY = 32
DEATHS = [
    ["set aside in train", "before train_model", "after train_model run"],
    ["unsettled in train", "settled in train"],
    ["set aside in evaluate", "before offline_evaluation", "unsettled in evaluate", "settled in evaluate"],
]


@pytest.mark.parametrize("deaths", DEATHS, ids=[deaths[0] for deaths in DEATHS])
def test_a_cycle_whose_processes_are_killed_pays_every_effect_once(
    folder: Path, start: Start, deaths: list[str]
) -> None:
    for death in deaths:
        assert start(folder, "retrain", death) == -signal.SIGKILL, f"nobody died at {death!r}"
    assert start(folder, "retrain", "") == 0
    told = json.loads((folder / "result.json").read_text())
    assert (told["outcome"], told["unproven"]) == ("improved", [])
    assert (count(folder)["trainings"], count(folder)["evaluations"]) == (1, 1)
    audit = SqliteAudit(folder / "audit.db", SystemClock())
    outcomes = [r.entry for r in audit.records() if r.entry.kind is RecordKind.OUTCOME and "spent" in r.entry.body]
    paid = {e.key: Amounts.model_validate(e.body["spent"]) for e in outcomes}
    audit.close()
    database = Database(f"sqlite:///{folder / 'store.db'}")
    ledger = SqlLedger(database, SystemClock())
    assert ledger.faults() == []
    assert ledger.open_reservations() == []
    assert {e.tool for e in outcomes} >= {"train_model", "offline_evaluation"}
    for key, spent in paid.items():
        known = ledger.reservation(key)
        assert known is not None
        assert (len(key), known.spent) == (EFFECT_KEY, spent)
        assert not spent.nothing
    assert [s.spent.cycles for s in ledger.accounts("day/")] == [1]
    database.close()
