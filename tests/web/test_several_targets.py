"""Where there are several targets, each has a card of its own, and one that cannot be opened says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cycles.reaction import STATUS
from domain.access import AccessRole
from domain.outcome import OutcomeKind
from policies.packaged import packaged_contract
from service.api.app import create_app
from service.api.serving import Serving
from service.telemetry.stock import Stock
from service.web.background import Background
from service.web.cycle_view import CycleView, cycle_view
from service.web.frame import frame_of
from service.web.health import health_of
from service.web.overview import overview_view
from service.web.pages_cycles import choices
from tests.support.serving import client_as, serving_of
from tests.support.several import with_others
from tests.web.test_views import caller


def test_the_overview_has_a_health_card_for_each_target(served: Serving) -> None:
    several = with_others(served)
    view = overview_view(several, caller(AccessRole.VIEWER), Background(served.clock))
    assert [health.target for health in view.healths] == ["search", "ads", "mail"]
    assert frame_of(several, caller(AccessRole.VIEWER)).target == "search, ads, mail"
    page = client_as(create_app(several), AccessRole.VIEWER).get("/").text
    assert [f"Health of {name}" in page for name in ("search", "ads", "mail")] == [True, True, True]
    assert page.count('id="health"') == 1
    assert "cannot be read" in page


def test_a_target_that_cannot_be_opened_says_why_and_keeps_no_other_card_back(served: Serving) -> None:
    several = with_others(served)
    shut = health_of(several.app, Background(served.clock), target="mail")
    assert "targets.mail.contract" in shut.problem
    assert (shut.cards, shut.known, shut.source) == ((), 0, "of mail")
    well = health_of(several.app, Background(served.clock), target="ads")
    assert well.problem == ""
    assert well.known > 0


def test_the_api_lists_every_target_and_says_which_cannot_be_asked(served: Serving) -> None:
    several = with_others(served)
    routing = replace(several.app.routing, targets=["search", "ads", "mail"])
    client = client_as(create_app(replace(several, app=replace(several.app, routing=routing))), AccessRole.VIEWER)
    listed = client.get("/api/v1/targets").json()["targets"]
    assert [row["name"] for row in listed] == ["search", "ads", "mail"]
    assert client.get("/api/v1/targets/ads/health").json()["target"] == "ads"
    refused = client.get("/api/v1/targets/mail/health")
    assert refused.status_code == 503
    assert "targets.mail.contract" in refused.text


def _view(served: Serving, target: str, uri: str, contract: Path | None = None) -> CycleView:
    """Return the page of a cycle of `target`, whose configuration names a contract and an MLflow of its own."""
    several = with_others(served)
    first = several.app.config
    tracking = first.tracking.model_copy(update={"uri": uri})
    own = first.model_copy(update={"target": "mail", "contract": contract, "tracking": tracking})
    config = first.model_copy(update={"targets": {"mail": {}}})
    config._further = {"mail": own}
    seen = replace(several, app=replace(several.app, config=config))
    found = next(c for c in served.app.ports.store.cycles() if c.outcome is OutcomeKind.IMPROVED)
    cycle = found.model_copy(update={"target": target})
    return cycle_view(seen, caller(AccessRole.VIEWER), cycle, Background(served.clock))


MLFLOW = "https://mail-mlflow.example"


def test_a_cycle_of_a_target_that_cannot_be_opened_is_shown_with_its_own_limits_and_links(
    served: Serving, tmp_path: Path
) -> None:
    own = tmp_path / "mail-contract.yaml"
    own.write_text(packaged_contract().replace("threshold: 0.03}", "threshold: 0.25}", 1), encoding="utf-8")
    view = _view(served, "mail", MLFLOW, own)
    assert view.brief.wrong.more[0] == "A breach is 25\N{NO-BREAK SPACE}% below baseline"
    assert view.elsewhere.model
    assert all(link.href.startswith(MLFLOW) for link in view.elsewhere.model)
    assert _view(served, "search", MLFLOW, own).brief.wrong.more[0].startswith("A breach is 3\N{NO-BREAK SPACE}%")


@pytest.mark.parametrize("target", ["mail", "gone"])
def test_no_limits_are_told_of_a_cycle_whose_contract_cannot_be_read(
    served: Serving, tmp_path: Path, target: str
) -> None:
    view = _view(served, target, MLFLOW, tmp_path / "none.yaml")
    assert not [line for line in view.brief.wrong.more if "breach" in line.lower() or "limit for" in line]
    assert "before the alert" in view.brief.wrong.lead


def _reacted_late(serving: Serving, target: str) -> None:
    store = serving.app.ports.store
    found = next(cycle for cycle in store.cycles() if cycle.target == target)
    kept = {"signal": "etl_backlog_s", "seconds": 4711.0, "in_time": False}
    store.save(found.model_copy(update={"facts": {**found.facts, STATUS: kept}}))


def test_the_contract_page_says_whose_it_is_and_how_fast_the_crew_was_for_that_target(tmp_path: Path) -> None:
    made = serving_of(tmp_path, world=False)
    _reacted_late(made, "ads")
    alone = client_as(made, AccessRole.VIEWER).get("/policies/contract").text
    assert "1 late" in alone
    assert "The contract: what is watched" in alone
    several = client_as(create_app(with_others(made)), AccessRole.VIEWER).get("/policies/contract").text
    assert "1 late" not in several
    assert "The contract of search: what is watched" in several
    made.app.close()


def test_cycles_are_sought_by_the_signals_of_every_contract(served: Serving) -> None:
    several = with_others(served)
    routing = replace(several.app.routing, own={"ads": ["latency_p95_ms", "clicks"]})
    offered = [value for value, _ in choices(replace(several, app=replace(several.app, routing=routing)))["signal"]]
    assert offered == ["", *several.app.routing.signals, "clicks"]


def test_one_target_is_shown_as_ever(served: Serving) -> None:
    view = overview_view(served, caller(AccessRole.VIEWER), Background(served.clock))
    assert [health.target for health in view.healths] == [served.app.config.target]
    assert [account.title for account in view.accounts if "," in account.title] == []


def test_each_target_has_an_account_of_its_own_in_the_metrics(served: Serving) -> None:
    stock = Stock(with_others(served).app)
    environment = served.app.config.environment
    labels = [stock._account(f"period/{name}/{environment}/2026-01") for name in ("search", "ads", "mail")]
    assert labels == ["period", "period/ads", "period/mail"]
    assert stock._account(f"day/{environment}/2026-01-31") == "day"
