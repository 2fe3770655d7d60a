"""The page of notices in a browser: with the keyboard alone, and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visits
from tests.browser.looks import overflow
from tests.support.browsing import PHONE, Console, console
from tests.support.telling import SECTION, tell


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """Return a console that tells people on three channels."""
    with console(Path(tmp_path_factory.mktemp("told")), notify=SECTION) as made:
        tell(made.serving)
        yield made


def test_what_was_given_up_is_found_from_the_first_page_with_the_keyboard_alone(
    served: Console, visits: Visits
) -> None:
    with visits("viewer") as cem:
        page = cem.to("/")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="See which, and why")).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_url("**/notices?state=dead")
        expect(page.get_by_role("heading", level=1)).to_have_text("Notices")
        expect(page.locator("#notices tbody tr")).to_have_count(1)
        expect(page.locator("#notices")).to_contain_text("answered 410 Gone")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        for _ in range(8):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent").startswith("Waits"):
                break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        page.wait_for_url("**/notices?state=waiting")
        expect(page.locator("#notices")).to_contain_text("mail.example did not answer in time")


def test_a_notice_leads_to_the_request_it_tells_of(served: Console, visits: Visits) -> None:
    asked = served.serving.app.office.consent.store.requests()[0]
    with visits("approver") as bob:
        page = bob.to("/notices")
        page.get_by_role("navigation", name="Console").get_by_role("link", name="Notices").click()
        page.locator("#notices").get_by_role("link", name="waits for an approval").first.click()
        page.wait_for_url(f"**/approvals/{asked.id}")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Promote reranker version 3")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_a_phone_every_notice_is_read_without_scrolling_sideways(
    served: Console, visits: Visits, dark: bool
) -> None:
    with visits("viewer", viewport=PHONE, dark=dark) as cem:
        page = cem.to("/notices")
        assert overflow(page) == 0
        for row in page.locator("#notices tbody tr").all():
            box = row.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= PHONE["width"]
        assert page.locator("#notices .table-wrap").evaluate("e => e.scrollWidth - e.clientWidth") == 0
