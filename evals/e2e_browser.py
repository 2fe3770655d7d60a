"""What a person does in the browser: signs in, reads what waits, and approves it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from domain.errors import DependencyLied, DependencyUnavailable
from testbed.servers.base import ServerError, find

if TYPE_CHECKING:
    from playwright.sync_api import Page

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
_VIEW = (1280, 800)


@contextmanager
def browsing() -> Iterator[Page]:
    """Open a page of a Chromium of this machine.

    Raises:
        DependencyUnavailable: there is none.
    """
    from playwright.sync_api import sync_playwright

    try:
        program = find("chromium", "chromium")
    except ServerError as problem:
        raise DependencyUnavailable("chromium", str(problem), "Run `make setup-integration`") from problem
    width, height = _VIEW
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page(viewport={"width": width, "height": height})
        try:
            yield page
        finally:
            browser.close()


def sign_in(page: Page, url: str, name: str, password: str) -> None:
    """Sign in through the form."""
    page.goto(f"{url}/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(lambda address: "/login" not in address)


def approve(url: str, name: str, password: str, request: str, images: Path | None) -> None:
    """Sign in, open the request from the list of what waits, and press *Approve*.

    Raises:
        DependencyUnavailable: there is no Chromium.
        DependencyLied: the page does not offer it to this person.
    """
    with browsing() as page:
        sign_in(page, url, name, password)
        page.goto(f"{url}/approvals")
        page.locator(f'a[href="/approvals/{request}"]').first.click()
        page.get_by_role("heading", name="The change that will be applied").wait_for()
        if images is not None:
            images.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(images / "console-approval.png"))
        button = page.get_by_role("button", name="Approve", exact=True)
        if not button.count():
            told = page.locator("#why-not, #decision").all_inner_texts()
            raise DependencyLied("console", f"nothing to approve with; the page says: {' '.join(told)}")
        button.click()
        page.get_by_text("Your approval is on record").wait_for()
