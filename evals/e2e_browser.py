"""What a person does in the browser: signs in, reads what waits, and approves it."""

from __future__ import annotations

from domain.errors import DependencyLied
from evals.screenshots import Place, browsing, sign_in


def approve(place: Place, request: str) -> None:
    """Sign in, open the request from the list of what waits, and press *Approve*.

    Raises:
        DependencyUnavailable: there is no browser, or the person is not let in.
        DependencyLied: the page does not offer it to this person.
    """
    with browsing() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        sign_in(page, place)
        page.goto(f"{place.url}/approvals")
        page.locator(f'a[href="/approvals/{request}"]').first.click()
        page.get_by_role("heading", name="The change that will be applied").wait_for()
        button = page.get_by_role("button", name="Approve", exact=True)
        if not button.count():
            told = page.locator("#why-not, #decision").all_inner_texts()
            raise DependencyLied("console", f"nothing to approve with; the page says: {' '.join(told)}")
        button.click()
        page.get_by_text("Your approval is on record").wait_for()
