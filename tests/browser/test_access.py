"""Accounts and tokens in a browser: a secret is shown once, and opens what it was made for."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Visits
from tests.support.browsing import Console


def test_a_token_is_shown_once_and_opens_what_it_was_made_for(served: Console, visits: Visits) -> None:
    with visits("viewer") as cem:
        page = cem.to("/access")
        expect(page.get_by_role("heading", name="Accounts")).to_have_count(0)
        page.get_by_label("For what").fill("a script")
        page.get_by_role("button", name="Make it").click()
        token = page.locator("#secret-text").inner_text()
        assert token.startswith("evc_")
        headers = {"Authorization": f"Bearer {token}"}
        assert cem.context.request.get(f"{cem.url}/api/v1/flags", headers=headers).status == 200
        assert cem.context.request.get(f"{cem.url}/api/v1/audit", headers=headers).status in (403, 404)
        cem.to("/access")
        assert token not in page.content()
        page.get_by_role("button", name="Revoke a script").click()
        expect(page.locator(".said")).to_contain_text("The token has ended.")
        assert cem.context.request.get(f"{cem.url}/api/v1/flags", headers=headers).status == 401


def test_an_admin_adds_somebody_changes_roles_and_shuts_them_out(served: Console, visits: Visits) -> None:
    accounts = served.serving.access.accounts
    with visits("admin") as ann:
        page = ann.to("/access")
        page.get_by_label("Name").fill("Eve")
        page.get_by_role("button", name="Add", exact=True).click()
        secret = page.locator("#secret-text").inner_text()
        assert len(secret) > 16
        row = page.locator(".rows li", has_text="Eve")
        row.get_by_text("Change", exact=True).click()
        row.get_by_label("operator").check()
        row.get_by_role("button", name="Set roles").click()
        expect(page.locator(".said")).to_contain_text("The account is changed.")
        row.get_by_text("Change", exact=True).click()
        row.get_by_role("button", name="Shut out").click()
        expect(row).to_contain_text("shut out")
        assert secret not in page.content()
    eve = accounts.account("Eve")
    assert eve is not None
    assert sorted(role.value for role in eve.roles) == ["operator", "viewer"]
    assert eve.disabled


def test_a_name_that_is_taken_and_the_last_admin_are_said_where_they_belong(visits: Visits) -> None:
    with visits("admin") as ann:
        ann.expect("409", "422")
        page = ann.to("/access")
        page.get_by_label("Name").fill("Bob")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("#e-name")).to_contain_text("There is an account 'Bob' already")
        row = page.locator(".rows li", has_text="Ann").first
        row.get_by_text("Change", exact=True).click()
        row.get_by_role("button", name="Shut out").click()
        expect(page.locator(".rows li", has_text="Ann").first).to_contain_text("last admin")
