"""The audit chain in a browser: looked through, one record proved, all of it verified, and a change of it found."""

from __future__ import annotations

import json
import sqlite3

from playwright.sync_api import expect

from tests.browser.conftest import Visits
from tests.support.browsing import Console


def test_records_are_filtered_and_one_of_them_is_proved(served: Console, visits: Visits) -> None:
    with visits("viewer") as cem:
        page = cem.to("/audit")
        page.get_by_label("Kind").select_option("intent")
        page.get_by_label("Tool").fill("promote")
        page.get_by_role("button", name="Show").click()
        rows = page.locator("#audit-records tbody tr")
        assert rows.count() == 2
        assert all("promote" in text for text in rows.all_inner_texts())
        rows.first.get_by_role("link").first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("promote")
        expect(page.locator(".checks .ok")).to_have_count(4)
        expect(page.locator(".checks .broken")).to_have_count(0)
        page.locator(".chain a").first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Record")


def test_a_time_that_is_none_is_said_at_its_field(visits: Visits) -> None:
    with visits("viewer") as cem:
        cem.expect("422", "does not conform to the required format")
        page = cem.to("/audit?since=yesterday")
        expect(page.locator("#e-since")).to_contain_text("Write it like 2026-01-31T08:00, in UTC.")


def test_the_whole_chain_is_verified_while_one_looks_on(served: Console, visits: Visits) -> None:
    with visits("viewer") as cem:
        page = cem.to("/audit")
        page.get_by_role("button", name="Verify the chain").click()
        result = page.locator("#verify-result .said")
        expect(result).to_contain_text("records are whole, in order and unchanged.")
        facts = page.locator("#verify-result dl").inner_text()
        assert "signed checkpoints" in facts
        expect(page.get_by_role("button", name="Verify the chain")).to_be_enabled()


def test_an_admin_takes_the_chain_along_and_a_viewer_cannot(served: Console, visits: Visits) -> None:
    with visits("admin") as ann:
        page = ann.to("/audit")
        with page.expect_download() as coming:
            page.get_by_role("button", name="Export").click()
        lines = coming.value.path().read_text(encoding="utf-8").splitlines()
        header = json.loads(lines[0])
        assert coming.value.suggested_filename == "audit.jsonl"
        assert header["scope"] == "whole"
        assert len(lines) == header["last"] + 1
    with visits("viewer") as cem:
        expect(cem.to("/audit").get_by_role("button", name="Export")).to_have_count(0)


def test_a_record_that_somebody_changed_is_named(served: Console, visits: Visits) -> None:
    with sqlite3.connect(served.serving.app.config.audit_file) as connection:
        connection.execute("DROP TRIGGER records_no_update")
        (text,) = connection.execute("SELECT body FROM records WHERE sequence = 20").fetchone()
        changed = text.replace('"actor":"', '"actor":"not ', 1)
        connection.execute("UPDATE records SET body = ? WHERE sequence = 20", (changed,))
    with visits("viewer") as cem:
        page = cem.to("/audit")
        page.get_by_role("button", name="Verify the chain").click()
        expect(page.locator("#verify-result .said")).to_contain_text("record 20: its content does not match its hash")
        page.get_by_role("link", name="Look at record 20").click()
        expect(page.locator(".checks .broken").first).to_contain_text("Its content does not match its hash")


def test_without_scripts_the_result_is_a_page(visits: Visits) -> None:
    with visits("viewer", scripts=False) as cem:
        page = cem.to("/audit")
        page.get_by_role("button", name="Verify the chain").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("The record does not hold")
        expect(page.get_by_role("link", name="Look at record 20")).to_be_visible()
