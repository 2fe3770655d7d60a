"""Coming in by the login page, coming back to where one wanted to be, and going out again."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Visits
from tests.support.serving import PASSWORD


def test_whoever_is_not_signed_in_comes_back_to_the_page_after_signing_in(visits: Visits) -> None:
    with visits(None) as somebody:
        page = somebody.to("/approvals")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
        page.get_by_label("Name").fill("Bob")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Approvals")
        expect(page.locator(".who .name")).to_have_text("Bob")
        cookie = next(c for c in somebody.context.cookies() if "evercrew" in c["name"] and "theme" not in c["name"])
        assert cookie["httpOnly"] is True
        assert cookie["sameSite"] == "Lax"
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
        somebody.to("/audit")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_wrong_password_is_said_without_saying_which_of_the_two_was_wrong(visits: Visits) -> None:
    with visits(None) as somebody:
        somebody.expect("401", "422", "400")
        page = somebody.to("/login")
        page.get_by_label("Name").fill("Bob")
        page.get_by_label("Password").fill("not the password of Bob")
        page.get_by_role("button", name="Sign in", exact=True).click()
        said = page.get_by_role("alert")
        expect(said).to_be_visible()
        page.get_by_label("Name").fill("Nobody at all")
        page.get_by_label("Password").fill("not the password of Bob")
        first = said.inner_text()
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("alert")).to_have_text(first)


def test_the_theme_that_was_chosen_stays(visits: Visits) -> None:
    with visits("viewer") as cem:
        page = cem.to("/")
        before = page.evaluate('getComputedStyle(document.querySelector("h1")).color')
        page.get_by_role("button", name="Dark theme").click()
        after = page.evaluate('getComputedStyle(document.querySelector("h1")).color')
        assert after != before
        cem.to("/policies")
        assert page.evaluate('getComputedStyle(document.querySelector("h1")).color') == after
