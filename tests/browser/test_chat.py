"""Talking in a browser: answers stream and cite, and what would change something waits for a click."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from service.switching import kill_status
from tests.browser.conftest import Visits
from tests.support.browsing import Console


def _stopped(served: Console) -> bool:
    app = served.serving.app
    return kill_status(app.ports.store, app.profile).killed


def _say(page: Page, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.keyboard.press("Enter")


def test_a_question_is_answered_with_links_to_what_it_rests_on(visits: Visits) -> None:
    with visits("viewer") as cem:
        page = cem.to("/chat")
        _say(page, "what waits for people?")
        answer = page.locator(".turn:not(.mine)").last
        expect(answer).not_to_have_class("turn waits")
        expect(answer.locator(".text")).not_to_be_empty()
        cited = answer.locator(".cites a").first
        expect(cited).to_have_attribute("href", "/".join(["", "approvals", str(cited.inner_text())]))
        assert "/chat/ch_" in page.url
        page.reload()
        expect(page.locator(".turn.mine .text")).to_have_text("what waits for people?")
        expect(page.locator(".turn:not(.mine) .cites a").first).to_be_visible()


def test_an_order_is_shown_back_and_nothing_happens_before_the_click(served: Console, visits: Visits) -> None:
    with visits("operator") as dora:
        page = dora.to("/chat")
        _say(page, "stop everything in dev")
        card = page.locator(".intent")
        expect(card.get_by_role("heading")).to_have_text("Throw the kill switch")
        expect(card.locator("dl")).to_contain_text("dev")
        expect(card).to_contain_text("Nothing has happened yet.")
        assert not _stopped(served)
        card.get_by_role("button", name="Cancel").click()
        expect(card).to_contain_text("left alone")
        expect(card.get_by_role("button", name="Confirm")).to_have_count(0)
        assert not _stopped(served)
        _say(page, "stop everything in dev")
        second = page.locator(".intent").last
        second.get_by_role("button", name="Confirm").click()
        expect(second).to_contain_text("confirmed")
        expect(page.locator(".turn:not(.mine)").last.locator(".said")).not_to_have_class("is-bad")
        assert _stopped(served)


def test_what_the_roles_do_not_allow_is_refused_with_the_policy_that_says_so(served: Console, visits: Visits) -> None:
    with visits("viewer") as cem:
        page = cem.to("/chat")
        _say(page, "start again in dev")
        expect(page.locator(".said.is-bad")).to_contain_text("Not done.")
        expect(page.locator(".intent")).to_have_count(0)
    assert _stopped(served)


def test_a_sentence_nobody_understands_is_asked_back(visits: Visits) -> None:
    with visits("viewer") as cem:
        page = cem.to("/chat")
        _say(page, "purple monkey dishwasher")
        expect(page.locator(".turn:not(.mine)").last).to_contain_text("Nothing was done")


def test_markup_that_somebody_types_is_text(visits: Visits) -> None:
    with visits("viewer") as cem:
        page = cem.to("/chat")
        _say(page, "<img src=x onerror=alert(1)> how is dev?")
        expect(page.locator(".turn.mine .text")).to_have_text("<img src=x onerror=alert(1)> how is dev?")
        expect(page.locator(".talk img")).to_have_count(0)


def test_without_scripts_the_answer_is_a_page(visits: Visits) -> None:
    with visits("viewer", scripts=False) as cem:
        page = cem.to("/chat")
        page.get_by_label("Your message").fill("what waits for people?")
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".turn")).to_have_count(2)
