"""The console's pages: every kind of cycle, for every role, within what a browser is allowed."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from jinja2 import UndefinedError

from adapters.store.base import Recording
from domain.access import AccessRole
from domain.cycle import Cycle
from domain.outcome import OutcomeKind
from domain.stage import Stage
from service.api.serving import Serving
from service.web.pages import POLICY
from service.web.render import environment
from tests.support.serving import client_as
from tests.web.made import NASTY, Page

HTML = {"Accept": "text/html"}
KINDS: dict[str, Callable[[Cycle], bool]] = {
    "finished": lambda c: c.outcome is OutcomeKind.IMPROVED,
    "rolled back": lambda c: c.outcome is OutcomeKind.ROLLED_BACK,
    "restored": lambda c: c.outcome is OutcomeKind.RESTORED,
    "left alone": lambda c: c.outcome is OutcomeKind.LEFT_ALONE,
    "failed": lambda c: c.outcome is OutcomeKind.HANDED_OFF,
    "escalated": lambda c: c.stage is Stage.PROMOTE,
    "open": lambda c: c.stage is Stage.OBSERVE,
    "hostile": lambda c: c.target == "evil",
}
SEEN = {
    "finished": ("Trained a new model, and promoted it", "verified", "A/B test on live traffic", "The change"),
    "rolled back": ("Promoted a new model, and took it back", "Roll back"),
    "restored": ("Went back to the release before",),
    "left alone": ("Nothing: it was noise",),
    "failed": ("handed off", "The worker ran out of memory", "An analyst only reads", "by analyst-reads-only"),
    "escalated": ("waits for approval", "Promote", "version 3"),
    "open": ("Not decided yet", "observe"),
    "hostile": ("alert('x')",),
}


def _cycle(served: Serving, kind: str) -> Cycle:
    return next(c for c in served.app.ports.store.cycles() if KINDS[kind](c))


def _places(served: Serving) -> list[str]:
    cycles = [f"/cycles/{_cycle(served, kind).id}" for kind in KINDS]
    evidence = [f"{place}/evidence" for place in cycles]
    return ["/", "/cycles", "/notices", "/cycles?state=open", "/cycles?signal=recall_at_20", *cycles, *evidence]


def _page(console: FastAPI, place: str, role: str = "viewer") -> Page:
    answer = client_as(console, role).get(place, headers=HTML)
    assert answer.status_code == 200, answer.text[:400]
    return Page(answer.text)


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_page_of_every_kind_of_cycle_says_what_it_is_about(console: FastAPI, served: Serving, kind: str) -> None:
    cycle = _cycle(served, kind)
    page = _page(console, f"/cycles/{cycle.id}")
    for said in (cycle.id, "wrong", "Why", "At the door", "Evidence", *SEEN[kind]):
        assert said in page.text, said


def test_pages_let_a_browser_load_nothing_but_what_this_origin_serves(console: FastAPI, served: Serving) -> None:
    client = client_as(console, "admin")
    for place in _places(served):
        answer = client.get(place, headers=HTML)
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        page = Page(answer.text)
        for address in page.addresses():
            parts = urlsplit(address)
            assert (parts.scheme, parts.netloc) == ("", ""), (place, address)


def test_pages_hold_no_script_no_style_and_no_handler_of_their_own(console: FastAPI, served: Serving) -> None:
    client = client_as(console, "admin")
    for place in _places(served):
        page = Page(client.get(place, headers=HTML).text)
        assert not page.named("style"), place
        assert all("src" in script for script in page.named("script")), place
        for tag, attributes in page.tags:
            worded = [name for name in attributes if name == "style" or name.startswith("on")]
            assert not worded, (place, tag, worded)


def test_the_policy_forbids_everything_that_is_not_named() -> None:
    allowed = dict(part.split(" ", 1) for part in POLICY.split("; "))
    assert allowed["default-src"] == allowed["base-uri"] == allowed["frame-ancestors"] == "'none'"
    assert set(allowed.values()) == {"'none'", "'self'"}


def test_what_alerts_and_tools_say_comes_out_as_text(console: FastAPI, served: Serving) -> None:
    cycle = _cycle(served, "hostile")
    for place in ("/", "/cycles", f"/cycles/{cycle.id}", f"/cycles/{cycle.id}/evidence"):
        text = client_as(console, "admin").get(place, headers=HTML).text
        page = Page(text)
        assert "<script>alert" not in text
        assert not [i for i in page.named("img") if i.get("src") == "x"]
        assert not page.named("script") or all(s["src"].startswith("/static/") for s in page.named("script"))
        # A direction character could make a page read other than it is.
        assert "\u202e" not in text
    # It is all there, to be read; and nothing from outside is a template.
    assert "<script>alert('x')</script>" in _page(console, f"/cycles/{cycle.id}").text
    assert "{{ 7 * 7 }}" in _page(console, f"/cycles/{cycle.id}").text
    assert NASTY.split("{{", maxsplit=1)[0] in _page(console, f"/cycles/{cycle.id}/evidence").text


def test_every_reference_within_a_page_has_something_it_points_at(console: FastAPI, served: Serving) -> None:
    for place in _places(served):
        page = _page(console, place, "admin")
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids)), (place, [i for i in ids if ids.count(i) > 1])
        for _, attributes in page.tags:
            named = [*attributes.get("aria-labelledby", "").split(), *attributes.get("aria-describedby", "").split()]
            inside = [a[1:] for a in (attributes.get("href", ""),) if a.startswith("#") and len(a) > 1]
            for wanted in (*named, *inside, *([attributes["for"]] if "for" in attributes else [])):
                assert wanted in ids, (place, wanted)


def test_what_is_too_long_for_a_page_is_handed_out_whole_to_who_may_see_the_page(
    console: FastAPI, served: Serving
) -> None:
    cycle = _cycle(served, "hostile")
    place = "diagnose/log_search/bbbbbbbbbb"
    whole = {"lines": [f"line {number} {NASTY}" for number in range(2_000)]}
    kept = Recording(cycle_id=cycle.id, place=place, kind="tool", payload={"args": {"q": "all"}, "result": whole})
    served.app.ports.store.record(kept)
    page = _page(console, f"/cycles/{cycle.id}/evidence?call={place}")
    assert "more characters" in page.text
    assert "line 1999" not in page.text
    (address,) = [a["href"] for a in page.named("a") if "download" in a]
    for role in AccessRole:
        answer = client_as(console, role).get(address)
        assert answer.json() == {"cycle": cycle.id, "call": place, "args": {"q": "all"}, "result": whole}
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-disposition"].startswith(f'attachment; filename="{cycle.id}-diagnose-log-search')
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["cache-control"] == "no-store"
        assert answer.content.isascii()
    assert client_as(console, "admin", scopes=["chat"]).get(address).status_code == 403
    assert client_as(console, None).get(address, follow_redirects=False).status_code == 303


@pytest.mark.parametrize("call", ["diagnose/log_search", "", "../../evercrew.db", "x" * 201, "a/b\x00"])
def test_an_answer_that_was_not_kept_is_not_handed_out(console: FastAPI, served: Serving, call: str) -> None:
    cycle = _cycle(served, "hostile")
    client = client_as(console, "admin")
    assert client.get(f"/cycles/{cycle.id}/evidence/answer", params={"call": call}).status_code in (404, 422)
    missing = client.get("/cycles/si_2020_01_01_001/evidence/answer", params={"call": "a/b/c"})
    assert missing.status_code == 404


def test_pages_have_landmarks_a_way_past_the_navigation_and_one_heading_above_all(
    console: FastAPI, served: Serving
) -> None:
    for place in _places(served):
        page = _page(console, place)
        assert len(page.named("main")) == len(page.named("h1")) == 1, place
        assert page.named("a")[0]["class"] == "skip"
        assert page.named("html")[0]["lang"] == "en"
        assert [a for a in page.named("a") if a.get("aria-current") == "page"], place
        assert all("aria-label" in nav for nav in page.named("nav"))


def test_every_picture_says_what_it_shows_and_every_field_has_a_label(console: FastAPI, served: Serving) -> None:
    for place in _places(served):
        page = _page(console, place, "admin")
        for svg in page.named("svg"):
            assert svg.get("aria-hidden") == "true" or svg.get("aria-label") or svg.get("aria-labelledby"), place
        labelled = {label["for"] for label in page.named("label") if "for" in label}
        for tag in ("input", "select", "textarea"):
            for field in page.named(tag):
                assert field.get("type") == "hidden" or field["id"] in labelled, (place, field)


def test_who_looks_on_only_is_offered_no_way_to_change_anything(console: FastAPI, served: Serving) -> None:
    escalated = f"/cycles/{_cycle(served, 'escalated').id}"
    assert not [f for f in _page(console, escalated, "viewer").named("form") if f.get("method") == "post"]


@pytest.mark.parametrize(
    ("role", "ways"),
    [
        ("viewer", set()),
        ("operator", {"cancel", "stop"}),
        ("approver", {"deny"}),
        ("admin", {"deny", "cancel", "stop"}),
    ],
)
def test_everybody_is_offered_the_ways_to_say_no_that_they_have(
    console: FastAPI, served: Serving, role: str, ways: set[str]
) -> None:
    page = _page(console, f"/cycles/{_cycle(served, 'escalated').id}", role)
    assert {form["action"].rpartition("/")[2] for form in page.named("form") if form.get("method") == "post"} == ways


def test_what_changes_something_needs_the_token_of_the_session_and_a_word(console: FastAPI, served: Serving) -> None:
    page = _page(console, f"/cycles/{_cycle(served, 'escalated').id}", "admin")
    posts = [form for form in page.named("form") if form.get("method") == "post"]
    assert len([field for field in page.named("input") if field.get("name") == "csrf"]) == len(posts)
    assert {field["data-must"] for field in page.named("input") if "data-must" in field} == {
        _cycle(served, "escalated").id,
        "stop dev",
    }


def test_an_open_cycle_is_told_live_from_the_record_it_was_drawn_from(console: FastAPI, served: Serving) -> None:
    opened, ended = _cycle(served, "escalated"), _cycle(served, "finished")
    main = _page(console, f"/cycles/{opened.id}").named("main")[0]
    assert main["data-live"] == f"/api/v1/events?cycle={opened.id}"
    assert int(main["data-last-event"]) == served.app.audit.records(opened.id)[-1].sequence
    assert "data-live" not in _page(console, f"/cycles/{ended.id}").named("main")[0]


def test_a_cycle_that_there_is_not_is_a_page_that_says_so(console: FastAPI) -> None:
    for place in ("/cycles/si_2020_01_01_001", "/cycles/%3Cscript%3E", "/nowhere"):
        answer = client_as(console, "viewer").get(place, headers=HTML)
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["content-security-policy"] == POLICY
        assert "<script>" not in answer.text


def test_machines_are_told_of_a_missing_place_as_before(console: FastAPI) -> None:
    for place, accept in (("/api/v1/nowhere", "text/html"), ("/nowhere", "application/json")):
        answer = client_as(console, "viewer").get(place, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_who_is_not_signed_in_is_sent_to_where_one_can_and_comes_back(console: FastAPI) -> None:
    answer = client_as(console, None).get("/cycles?state=open", headers=HTML, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fcycles%3Fstate%3Dopen"


def test_filters_narrow_the_list_and_stay_in_the_addresses(console: FastAPI, served: Serving) -> None:
    page = _page(console, "/cycles?state=ended&outcome=improved")
    links = {a["href"] for a in page.named("a") if a["href"].startswith("/cycles/")}
    assert links == {f"/cycles/{_cycle(served, 'finished').id}"}
    assert [o["value"] for o in page.named("option") if "selected" in o][:1] == ["ended"]
    assert "No cycle fits" in _page(console, "/cycles?signal=recall_at_20").text


def test_a_filter_that_is_none_is_refused_on_a_page(console: FastAPI) -> None:
    answer = client_as(console, "viewer").get("/cycles?state=sideways", headers=HTML)
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("text/html")


def test_assets_need_nobody_and_may_be_kept_for_ever_by_their_mark(console: FastAPI) -> None:
    client = client_as(console, None)
    page = Page(client_as(console, "viewer").get("/", headers=HTML).text)
    assets = [a for a in page.addresses() if a.startswith("/static/")]
    assert len(assets) >= 4
    for asset in assets:
        answer = client.get(asset)
        assert answer.status_code == 200, asset
        assert "immutable" in answer.headers["cache-control"]
    assert client.get("/static/../templates/base.html").status_code == 404
    assert client.get("/static/%2e%2e/render.py").status_code == 404


def test_a_template_that_names_what_it_was_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nobody_gave_this }}").render()


def test_the_theme_that_was_chosen_is_there_before_any_script_runs(console: FastAPI) -> None:
    client = client_as(console, "viewer")
    for cookie, theme in (("dark", "dark"), ("light", "light"), ('x"><b>', None)):
        answer = client.get("/", headers={**HTML, "Cookie": f"evercrew_theme={cookie}"})
        assert Page(answer.text).named("html")[0].get("data-theme") == theme
