"""Where there are several targets, each has a card of its own, and one that cannot be opened says why."""

from __future__ import annotations

from dataclasses import replace

from domain.access import AccessRole
from service.api.app import create_app
from service.api.serving import Serving
from service.web.background import Background
from service.web.frame import frame_of
from service.web.health import health_of
from service.web.overview import overview_view
from tests.support.serving import client_as
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
    assert shut.known == 0
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


def test_one_target_is_shown_as_ever(served: Serving) -> None:
    view = overview_view(served, caller(AccessRole.VIEWER), Background(served.clock))
    assert [health.target for health in view.healths] == [served.app.config.target]
    assert [account.title for account in view.accounts if "," in account.title] == []
