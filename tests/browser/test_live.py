"""What happens elsewhere comes to a page that is open, also after the server was away."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import Visits
from tests.browser.test_approving import ask
from tests.support.browsing import Console

SOON = 60_000


def test_what_the_crew_asks_for_comes_to_an_open_page_by_itself(served: Console, visits: Visits) -> None:
    with visits("approver") as bob:
        page = bob.to("/approvals")
        rows = page.locator("#waiting-mine .item")
        expect(rows).to_have_count(1)
        expect(page.locator("#live-state")).to_have_text("Live")
        page.evaluate("window.same = true")
        ask(served, "21")
        expect(rows).to_have_count(2, timeout=SOON)
        expect(page.locator("#count-approvals")).to_contain_text("2", timeout=SOON)
        assert page.evaluate("window.same") is True


def test_a_page_catches_up_after_the_server_was_away(served: Console, visits: Visits) -> None:
    with visits("approver") as bob:
        bob.expect("ERR_", "Failed to load resource", "Failed to fetch")
        page = bob.to("/approvals")
        rows = page.locator("#waiting-mine .item")
        before = rows.count()
        expect(page.locator("#live-state")).to_have_text("Live")
        page.evaluate("window.same = true")
        served.server.stop()
        expect(page.locator("#live-state")).to_contain_text("Connection lost", timeout=SOON)
        ask(served, "22")
        served.server.start()
        expect(page.locator("#live-state")).to_have_text("Live", timeout=SOON)
        expect(rows).to_have_count(before + 1, timeout=SOON)
        assert page.evaluate("window.same") is True


def test_what_somebody_types_is_not_taken_away_by_an_update(served: Console, visits: Visits) -> None:
    with visits("approver") as bob:
        page = bob.to("/approvals")
        page.get_by_role("link", name=re.compile("Promote reranker version 3 on search")).first.click()
        expect(page.locator("#live-state")).to_have_text("Live")
        page.get_by_label("Reason").fill("half a sentence")
        ask(served, "23")
        expect(page.locator("#count-approvals")).to_contain_text("3", timeout=SOON)
        expect(page.get_by_label("Reason")).to_have_value("half a sentence")
