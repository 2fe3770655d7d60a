"""The page of notices: what was told on which channel, what waits, what was given up; for every role that may look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.notices.base import NewNotice, Notice, NoticeState
from domain.access import AccessRole
from service.api.app import create_app
from service.api.serving import Serving
from service.notify_sections import CHANNELS, NoticeKind, NotifyConfig
from service.web.notices_view import page_of
from tests.support.serving import client_as, serving_of
from tests.web.made import NASTY, Page

HTML = {"Accept": "text/html"}
SECTION = {
    "slack": {},
    "email": {"host": "mail.example", "sender": "evercrew@example.org", "to": ["ann@example.org", "bob@example.org"]},
    "webhook": {"url": "https://hooks.example/in/T0PS3CRET"},
}
CYCLE = "si_2026_01_01_001"


def _new(serving: Serving, key: str, **fields: Any) -> NewNotice:
    given = {"channel": "slack", "kind": "outcome", "severity": "info", "title": key, "body": "", "cycle_id": CYCLE}
    return NewNotice(key=key, due_at=serving.clock.now(), **{**given, **fields})


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Somebody was told, something waits, something was given up, and one notice is full of markup."""
    served = serving_of(tmp_path_factory.mktemp("notices"), told=False)
    app, now = served.app, served.clock.now()
    outbox = app.notices
    outbox.put(
        [
            _new(served, "approval/ap_1", kind="approval", severity="warning", title="promote waits for an approval"),
            _new(served, "end/folded", channel="email", title="said in a digest"),
            _new(served, "late/1", kind="reaction_late", channel="webhook", title="reacted late"),
            _new(served, "tried/1", title="tried once", severity="critical"),
            _new(served, "nasty", title=NASTY, body=NASTY, channel="email", cycle_id=""),
        ],
        now=now,
    )
    number = {notice.key: notice.number for notice in outbox.listed()}
    outbox.sent([number["approval/ap_1"]], at=now)
    outbox.folded([number["end/folded"]], "digest/1", at=now)
    outbox.dead(number["late/1"], at=now, reason="it answered 410")
    outbox.again(number["tried/1"], due=now + timedelta(minutes=5), reason="it did not answer in time")
    config = app.config.model_copy(update={"notify": NotifyConfig.model_validate(SECTION)})
    yield replace(served, app=replace(app, config=config))
    served.app.close()


def _page(served: Serving, place: str = "/notices", role: str | AccessRole = "viewer") -> Page:
    answer = client_as(served, role).get(place, headers=HTML)
    assert answer.status_code == 200, answer.text[:400]
    return Page(answer.text)


@pytest.mark.parametrize("role", list(AccessRole))
def test_every_role_that_looks_finds_it_in_the_navigation_and_may_change_nothing_there(
    told: Serving, role: AccessRole
) -> None:
    page = _page(told, role=role)
    current = [a["href"] for a in page.named("a") if a.get("aria-current") == "page"]
    assert current[0] == "/notices"
    assert [form for form in page.named("form") if form.get("method") == "post"] == []


def test_nobody_else_is_shown_what_people_were_told(told: Serving) -> None:
    app = create_app(told)
    answer = client_as(app, None).get("/notices", headers=HTML, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fnotices")
    narrow = client_as(app, "admin", scopes=["chat"]).get("/notices", headers=HTML)
    assert narrow.status_code == 403
    assert "waits for an approval" not in narrow.text


def test_it_says_of_every_notice_how_it_stands_and_why(told: Serving) -> None:
    text = _page(told).text
    for said in ("told in a digest", "given up", "it answered 410", "it did not answer in time", "1 attempt"):
        assert said in text, said
    assert "evercrew notify retry 3 tries it again" in text
    assert "due in 5 min" in text


def test_it_says_whom_each_channel_reaches_and_nothing_of_a_secret_address(told: Serving) -> None:
    page = _page(told)
    for said in ("Slack", "an incoming webhook", "ann@example.org, bob@example.org", "hooks.example"):
        assert said in page.text, said
    assert "T0PS3CRET" not in page.text


@pytest.mark.parametrize(
    ("state", "title"),
    [
        ("sent", "Promote waits for an approval"),
        ("folded", "Said in a digest"),
        ("dead", "Reacted late"),
        ("waiting", "Tried once"),
    ],
)
def test_one_state_alone_can_be_looked_at(told: Serving, state: str, title: str) -> None:
    page = _page(told, f"/notices?state={state}")
    assert title in page.text
    assert len([row for row in page.named("tr") if row.get("id", "").startswith("notice-")]) == (
        2 if state == "waiting" else 1
    )


def test_a_state_or_a_page_there_is_none_of_is_refused(told: Serving) -> None:
    client = client_as(told, "viewer")
    for place in ("/notices?state=lost", "/notices?page=0", "/notices?page=x"):
        assert client.get(place, headers=HTML).status_code == 422, place
    assert "No notice stands so" in client.get("/notices?state=sent&page=9", headers=HTML).text


def test_what_notices_say_comes_out_as_text(told: Serving) -> None:
    text = client_as(told, "admin").get("/notices", headers=HTML).text
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert "<script>alert('x')</script>" in Page(text).text


def test_more_than_a_page_of_them_is_turned_over(told: Serving, tmp_path_factory: pytest.TempPathFactory) -> None:
    served = serving_of(tmp_path_factory.mktemp("many"), told=False)
    served.app.notices.put([_new(served, f"k/{n}", title=f"Notice {n}.") for n in range(30)], now=served.clock.now())
    first, second = _page(served), _page(served, "/notices?page=2")
    assert "Notice 29." in first.text
    assert "Notice 4." not in first.text
    assert [a["href"] for a in first.named("a") if a.get("rel") == "next"] == ["/notices?page=2"]
    assert "Notice 4." in second.text
    assert "not configured any more" in first.text
    served.app.close()


def test_where_nobody_is_told_anything_it_says_how_to_change_that(served: Serving) -> None:
    text = _page(served).text
    assert "Nobody is told anything" in text
    assert "Nothing was told yet" in text


def test_the_first_page_says_when_something_could_not_be_told(told: Serving, served: Serving) -> None:
    page = _page(told, "/")
    assert "1 notice could not be delivered." in page.text
    assert "/notices?state=dead" in [a["href"] for a in page.named("a")]
    assert "could not be delivered" not in _page(served, "/").text


def _notice(kind: str, key: str, cycle_id: str = "") -> Notice:
    given: dict[str, Any] = {"channel": CHANNELS[0], "severity": "info", "title": "x", "body": ""}
    at = "2026-01-01T00:00:00Z"
    return Notice.model_validate(
        {**given, "key": key, "kind": kind, "cycle_id": cycle_id, "due_at": at, "put_at": at, "number": 1}
    )


def test_a_notice_leads_to_what_it_tells_of() -> None:
    assert page_of(_notice("approval", "approval/ap_1/reminder", CYCLE)) == "/approvals/ap_1"
    assert page_of(_notice("kill_switch", "record/9")) == "/kill"
    assert page_of(_notice("outcome", f"end/{CYCLE}", CYCLE)) == f"/cycles/{CYCLE}"
    assert page_of(_notice("test", "test/slack/1")) == ""
    assert page_of(_notice("message", "m/1", "javascript:alert(1)")) == ""


def test_every_kind_and_every_state_has_its_words() -> None:
    for kind in NoticeKind:
        assert page_of(_notice(kind.value, "k/1", CYCLE)).startswith("/"), kind
    from service.web.notices_view import STATES

    assert set(STATES) == set(NoticeState)
