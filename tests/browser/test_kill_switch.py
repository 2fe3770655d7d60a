"""Stopping the crew in a browser: with a typed word, by those who may, and seen on every page."""

from __future__ import annotations

from playwright.sync_api import expect

from service.switching import kill_status
from tests.browser.conftest import Visits
from tests.support.browsing import Console


def _stopped(served: Console) -> bool:
    app = served.serving.app
    return kill_status(app.ports.store, app.profile).killed


def test_an_operator_stops_everything_by_typing_the_name_of_the_environment(served: Console, visits: Visits) -> None:
    with visits("operator") as dora:
        page = dora.to("/kill")
        stop = page.get_by_role("button", name="Stop", exact=True)
        page.get_by_label("Reason").fill("it promotes what nobody asked for")
        expect(stop).to_be_disabled()
        page.get_by_label("Type dev to confirm").fill("production")
        expect(stop).to_be_disabled()
        assert not _stopped(served)
        page.get_by_label("Type dev to confirm").fill("dev")
        expect(stop).to_be_enabled()
        stop.click()
        expect(page.locator(".said")).to_contain_text("It is thrown")
        expect(page.locator("#stopped-list")).to_contain_text("it promotes what nobody asked for")
        assert _stopped(served)
        expect(page.get_by_text("Lift it")).to_have_count(0)
        expect(page.get_by_text("An administrator lifts a switch.")).to_be_visible()


def test_every_page_says_that_it_is_stopped(served: Console, visits: Visits) -> None:
    with visits("viewer") as cem:
        for path in ("/", "/audit", "/reports"):
            expect(cem.to(path).locator("#kill-banner")).to_contain_text("Stopped.")
        cem.page.get_by_role("link", name="See the kill switch").click()
        expect(cem.page.get_by_role("heading", level=1)).to_have_text("Kill switch")


def test_an_admin_lifts_it_with_the_typed_word_and_a_reason(served: Console, visits: Visits) -> None:
    with visits("admin") as ann:
        page = ann.to("/kill")
        page.locator("#stopped-list summary", has_text="Lift it").click()
        page.get_by_label("Reason").first.fill("mended")
        lift = page.get_by_role("button", name="Lift it")
        expect(lift).to_be_disabled()
        page.locator("#typed-1").fill("dev")
        lift.click()
        expect(page.locator(".said")).to_contain_text("It is lifted")
        expect(page.locator("#stopped-list")).to_contain_text("Nothing is stopped")
        expect(page.locator("#kill-banner")).to_be_empty()
    assert not _stopped(served)


def test_one_tool_is_stopped_and_a_safe_one_is_not_on_offer(served: Console, visits: Visits) -> None:
    with visits("operator") as dora:
        page = dora.to("/kill")
        expect(page.get_by_label("Tool", exact=True)).to_be_hidden()
        page.get_by_label("One tool").check()
        choice = page.get_by_label("Tool", exact=True)
        assert "promote" in choice.locator("option").all_inner_texts()
        assert "roll_back" not in choice.locator("option").all_inner_texts()
        choice.select_option("promote")
        page.get_by_label("Where").select_option("all")
        page.get_by_label("Reason").fill("look at it first")
        page.get_by_label("Type all to confirm").fill("all")
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.locator("#stopped-list")).to_contain_text("The tool promote everywhere")
    app = served.serving.app
    assert [row.name for row in kill_status(app.ports.store, app.profile).switches] == ["kill_switch/tool/promote"]


def test_without_scripts_a_wrong_word_is_refused_at_the_field(visits: Visits) -> None:
    with visits("operator", scripts=False) as dora:
        dora.expect("422")
        page = dora.to("/kill")
        page.get_by_label("Reason").fill("try")
        page.get_by_label("Type dev to confirm").fill("Dev")
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.locator("#e-typed")).to_contain_text("Type dev to confirm.")


def test_a_viewer_has_no_button_and_no_way_around_it(served: Console, visits: Visits) -> None:
    with visits("viewer") as cem:
        page = cem.to("/kill")
        expect(page.get_by_text("Your roles do not include stopping the crew.")).to_be_visible()
        token = page.locator("meta[name=csrf-token]").get_attribute("content")
        said = {"csrf": token or "", "scope": "everything", "environment": "dev", "reason": "x", "typed": "dev"}
        form: dict[str, str | float | bool] = {**said}
        answer = cem.context.request.post(f"{cem.url}/kill", form=form)
        assert answer.status == 403
        without = cem.context.request.post(f"{cem.url}/kill", form={**form, "csrf": "wrong"})
        assert without.status == 403
    assert not _stopped(served)
