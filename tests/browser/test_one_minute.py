"""A person who has never seen a cycle finds the five answers on the first screen, without scrolling."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visits
from tests.support.browsing import DESK, Console

ANSWERS = ("What is wrong", "What the crew wants", "Why", "What it may cost")


def _on_first_screen(found: Locator) -> bool:
    box = found.bounding_box()
    return box is not None and box["y"] >= 0 and box["y"] + box["height"] <= DESK["height"] and box["height"] > 0


def test_the_five_answers_are_on_the_first_screen_of_a_cycle(served: Console, visits: Visits) -> None:
    asked = served.serving.app.office.consent.store.requests()[0]
    with visits("approver") as bob:
        page = bob.to(f"/cycles/{asked.binding.cycle_id}")
        brief = page.locator("dl.brief > div")
        told = {row.locator("dt").inner_text(): row for row in brief.all()}
        assert tuple(told) == ANSWERS
        for name, row in told.items():
            said = row.locator("dd .lead")
            expect(said).not_to_be_empty()
            assert _on_first_screen(row.locator("dt")), name
            assert _on_first_screen(said), name
        no = page.get_by_text("Deny it", exact=True)
        expect(no).to_be_visible()
        assert _on_first_screen(no)
        assert page.evaluate("window.scrollY") == 0


def test_the_button_to_say_no_asks_why_and_is_used_in_two_steps(served: Console, visits: Visits) -> None:
    asked = served.serving.app.office.consent.store.requests()[0]
    with visits("approver") as bob:
        page = bob.to(f"/cycles/{asked.binding.cycle_id}")
        page.get_by_text("Deny it", exact=True).click()
        page.get_by_label("Why").fill("the sample is too small")
        page.get_by_role("button", name="Deny", exact=True).click()
        expect(page.get_by_role("status").first).to_contain_text("Your no is on record")
    kept = served.serving.app.office.consent.store.request(asked.id)
    assert kept is not None
    assert kept.denial is not None
    assert kept.denial.reason == "the sample is too small"


def test_the_overview_says_what_waits_for_me_and_leads_to_it(served: Console, visits: Visits) -> None:
    with visits("operator") as dora:
        page = dora.to("/")
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        expect(page.get_by_text("Running now")).to_be_visible()
        page.get_by_role("navigation", name="Console").get_by_role("link", name="Approvals").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Approvals")
