"""The pages in a real browser: what is new appears by itself, also after the connection was lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from domain.receipt import RecordKind
from domain.stage import Stage
from service.api.app import create_app
from service.api.serving import Serving
from testbed.servers.base import free_port
from tests.support.serving import PASSWORD, serving_of
from tests.web.live import live
from tests.web.made import failed, hostile, note

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
PHONE = {"width": 360, "height": 760}
WAIT_MS = 30_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is missing: install the package chromium"),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    made = serving_of(tmp_path_factory.mktemp("live"))
    failed(made)
    hostile(made)
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing")
    with sync_api.sync_playwright() as running:
        sync_api.expect.set_options(timeout=WAIT_MS)
        started = running.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=4 * WAIT_MS)
        yield started
        started.close()


def _signed_in(browser: Browser, address: str, **context: Any) -> Page:
    """Return a page of a browser in which an admin has signed in."""
    page: Page = browser.new_context(base_url=address, **context).new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto("/login")
    page.fill("input[name=name]", "Ann")
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_selector("nav.nav")
    return page


def _says(page: Page, where: str, text: str) -> None:
    """Wait until something on the page says so. (Scripts of a test are not let in: the page's policy forbids them.)"""
    from playwright.sync_api import expect

    expect(page.locator(where)).to_contain_text(text, timeout=WAIT_MS)


def _open_cycle(served: Serving) -> str:
    return next(c.id for c in served.app.ports.store.cycles() if c.stage is Stage.PROMOTE)


def test_a_new_call_and_a_new_stage_appear_without_a_reload(served: Serving, browser: Browser) -> None:
    cycle = _open_cycle(served)
    store = served.app.ports.store
    with live(create_app(served)) as address:
        page = _signed_in(browser, address)
        page.goto(f"/cycles/{cycle}")
        _says(page, "#live-state", "Live")
        page.evaluate("window.sameDocument = true")
        made = note(
            served,
            cycle,
            RecordKind.REFUSAL,
            stage="promote",
            tool="set_alias",
            decision="deny",
            status="denied",
            body={"reason": "not yet"},
            policies=("wait-for-it",),
        )
        _says(page, f"#call-{made.sequence}", "wait-for-it")
        # Who hears the page is told as well.
        assert "set_alias" in (page.text_content("[aria-live=polite]") or "")
        kept = store.cycle(cycle)
        assert kept is not None
        store.save(kept.model_copy(update={"stage": Stage.WATCH}))
        note(served, cycle, RecordKind.TRANSITION, stage="promote", tool="", actor="engine", status="watch", body={})
        _says(page, ".stages [aria-current]", "Watch")
        assert page.evaluate("window.sameDocument") is True
        store.save(kept)


def test_a_page_goes_on_where_it_was_when_the_service_was_away(served: Serving, browser: Browser) -> None:
    cycle, port = _open_cycle(served), free_port()
    app = create_app(served)
    with live(app, port) as address:
        page = _signed_in(browser, address)
        page.goto(f"/cycles/{cycle}")
        _says(page, "#live-state", "Live")
    _says(page, "#live-state", "Connection lost")
    made = note(served, cycle, RecordKind.READ, stage="promote", tool="while_it_was_away", key="", decision="allow")
    with live(create_app(served), port):
        _says(page, f"#call-{made.sequence}", "while_it_was_away")
        assert page.locator(f"#call-{made.sequence}").count() == 1


def test_a_form_that_somebody_fills_in_stays_while_the_page_refreshes(served: Serving, browser: Browser) -> None:
    from playwright.sync_api import expect

    cycle = _open_cycle(served)
    with live(create_app(served)) as address:
        page = _signed_in(browser, address)
        page.goto(f"/cycles/{cycle}")
        _says(page, "#live-state", "Live")
        page.click("#cancel > summary")
        send = page.locator("#cancel button[type=submit]")
        expect(send).to_be_disabled()
        page.fill("#cancel input[name=typed]", cycle[:-1])
        expect(send).to_be_disabled()
        made = note(served, cycle, RecordKind.READ, stage="promote", tool="meanwhile", key="", decision="allow")
        page.wait_for_selector(f"#call-{made.sequence}")
        assert page.input_value("#cancel input[name=typed]") == cycle[:-1]
        page.fill("#cancel input[name=typed]", cycle)
        expect(send).to_be_enabled()
        page.keyboard.press("Escape")
        assert not page.locator("#cancel").evaluate("d => d.open")


def test_no_page_is_wider_than_a_phone_and_none_breaks_its_own_policy(served: Serving, browser: Browser) -> None:
    cycles = [f"/cycles/{cycle.id}" for cycle in served.app.ports.store.cycles()]
    with live(create_app(served)) as address:
        page = _signed_in(browser, address, viewport=PHONE, color_scheme="dark")
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        for place in ("/", "/cycles", *cycles, f"{cycles[0]}/evidence"):
            page.goto(place)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide == 0, place
        assert [c for c in complaints if c.startswith(("error", "dialog")) or "Security" in c] == []


def test_reading_needs_no_script(served: Serving, browser: Browser) -> None:
    cycle = _open_cycle(served)
    with live(create_app(served)) as address:
        page = _signed_in(browser, address, java_script_enabled=False)
        page.goto(f"/cycles/{cycle}")
        text = page.inner_text("body")
        for said in ("What is wrong", "What it may cost", "Cancel this cycle", "Reload the page for what is new"):
            assert said in text
        assert "Theme" not in text


def test_the_keyboard_gets_past_the_navigation_and_sees_where_it_is(served: Serving, browser: Browser) -> None:
    with live(create_app(served)) as address:
        page = _signed_in(browser, address)
        page.goto("/cycles")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"


def test_a_theme_that_was_chosen_stays(served: Serving, browser: Browser) -> None:
    with live(create_app(served)) as address:
        page = _signed_in(browser, address, color_scheme="light")
        light = page.evaluate("getComputedStyle(document.body).color")
        page.click("[data-theme-choice=dark]")
        dark = page.evaluate("getComputedStyle(document.body).color")
        assert dark != light
        page.reload()
        assert page.evaluate("getComputedStyle(document.body).color") == dark
        assert page.get_attribute("html", "data-theme") == "dark"
        page.click("[data-theme-choice=auto]")
        page.reload()
        assert page.get_attribute("html", "data-theme") is None
