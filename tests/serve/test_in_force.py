"""That a policy set or a contract on disk is not the one in force is told by the page also where nothing asks them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from adapters.audit.memory import MemoryAudit
from domain.clock import FrozenClock
from domain.events import nobody
from policies.packaged import packaged_contract, packaged_policy_files
from service.contracts import live_contract
from service.policyset import live_policies
from service.telemetry.stock import FRESH, Stock
from service.wiring import App
from tests.support.serving import serving_of
from tests.support.setting import profile

SIGNS = ("evercrew_policy_set_ok", "evercrew_contract_ok")


@pytest.fixture
def app(tmp_path: Path) -> App:
    """Return an application whose policies and contract are files of their own."""
    served = serving_of(tmp_path / "served", told=False).app
    folder, contract = tmp_path / "policies", tmp_path / "contract.yaml"
    folder.mkdir()
    for name, content in packaged_policy_files().items():
        (folder / name).write_bytes(content)
    contract.write_text(packaged_contract(), encoding="utf-8")
    clock = FrozenClock(served.clock.now())
    audit = MemoryAudit(clock)
    config = served.config.model_copy(update={"contract": contract})
    quiet = profile().model_copy(update={"signals": {}})
    return replace(
        served,
        clock=clock,
        policies=live_policies(folder, clock=clock, audit=audit, observer=nobody),
        rules=live_contract(config, quiet, clock=clock, audit=audit, observer=nobody),
    )


def break_policies(folder: Path) -> None:
    (folder / "policies" / "more.cedar").write_text("permit (principal")


def break_contract(folder: Path) -> None:
    (folder / "contract.yaml").write_text("version: 1\n")


@pytest.mark.parametrize(("broken", "sign"), [(break_policies, SIGNS[0]), (break_contract, SIGNS[1])])
def test_a_file_that_broke_shows_on_the_page_though_no_decision_was_asked_for(
    app: App, tmp_path: Path, broken: Callable[[Path], None], sign: str
) -> None:
    clock, registry = app.clock, CollectorRegistry()
    assert isinstance(clock, FrozenClock)
    Stock(app).register(registry)
    assert [registry.get_sample_value(name) for name in SIGNS] == [1, 1]
    broken(tmp_path)
    for _ in range(2):
        clock.advance(FRESH)
        list(registry.collect())
    assert {name: registry.get_sample_value(name) for name in SIGNS} == {name: float(name != sign) for name in SIGNS}
