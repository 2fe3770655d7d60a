"""A person who has never seen a cycle finds the five answers on the first screen, without scrolling."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visits
from tests.support.browsing import DESK, PHONE, Console

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


def test_on_a_phone_the_way_to_say_no_is_on_the_first_screen_and_leads_to_the_buttons(
    served: Console, visits: Visits
) -> None:
    asked = served.serving.app.office.consent.store.requests()[0]
    with visits("approver", viewport=PHONE) as bob:
        page = bob.to(f"/cycles/{asked.binding.cycle_id}")
        bar = page.get_by_role("navigation", name="Your decision")
        for name in ("See the change", "Say no"):
            box = bar.get_by_role("link", name=name).bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= PHONE["height"]
            assert box["height"] >= 44
        bar.get_by_role("link", name="Say no").click()
        no = page.get_by_text("Deny it", exact=True)
        expect(no).to_be_in_viewport()
        no.click()
        expect(page.get_by_role("button", name="Deny", exact=True)).to_be_visible()
        page.goto(f"{bob.url}/approvals/{asked.id}")
        page.get_by_role("link", name="Approve or deny").click()
        expect(page.get_by_role("button", name="Deny")).to_be_in_viewport()
    with visits("viewer", viewport=PHONE) as cem:
        page = cem.to(f"/cycles/{asked.binding.cycle_id}")
        expect(page.locator("#act")).to_be_hidden()
        page.goto(f"{cem.url}/approvals/{asked.id}")
        expect(page.locator("nav.act")).to_have_count(0)


def test_no_text_of_a_list_of_cycles_is_cut_at_the_width_of_a_desk(served: Console, visits: Visits) -> None:
    with visits("viewer") as cem:
        for path in ("/", "/cycles"):
            wraps = cem.to(path).locator(".table-wrap")
            for wrap in wraps.all():
                assert wrap.evaluate("e => e.scrollWidth - e.clientWidth") == 0, path


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
