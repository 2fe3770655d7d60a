"""What holds on every page: it fits a phone, it can be read in light and dark, and nothing in it goes wrong."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Visits
from tests.browser.looks import overflow, texts_of
from tests.support.browsing import PHONE, Console

PAGES = (
    "/",
    "/cycles",
    "/cycles/{open}",
    "/cycles/{ended}",
    "/cycles/{ended}/evidence",
    "/approvals",
    "/approvals/{approval}",
    "/audit",
    "/audit/12",
    "/policies",
    "/policies/matrix",
    "/policies/explain",
    "/policies/contract",
    "/policies/overrides",
    "/flags",
    "/kill",
    "/reports",
    "/reports/weekly/now",
    "/budgets",
    "/schedules",
    "/chat",
    "/access",
    "/nothing/here",
)
NOT_THERE = "404"


def _address(served: Console, page: str) -> str:
    app = served.serving.app
    asked = app.office.consent.store.requests()[0]
    ended = next(c for c in app.ports.store.cycles() if c.outcome is not None and c.outcome.value == "improved")
    return page.format(open=asked.binding.cycle_id, ended=ended.id, approval=asked.id)


def test_every_page_fits_a_phone_without_scrolling_sideways(served: Console, visits: Visits) -> None:
    with visits("admin", viewport=PHONE) as ann:
        ann.expect(NOT_THERE)
        wide = {path: overflow(ann.to(_address(served, path))) for path in PAGES}
    assert {path: by for path, by in wide.items() if by > 0} == {}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_of_every_page_has_the_contrast_of_wcag_aa(served: Console, visits: Visits, dark: bool) -> None:
    faint: list[str] = []
    counted = 0
    with visits("admin", dark=dark) as ann:
        ann.expect(NOT_THERE)
        for path in PAGES:
            texts = texts_of(ann.to(_address(served, path)))
            counted += len(texts)
            faint += [f"{path}: {t.ratio:.2f} of {t.needed} {t.where} {t.text!r}" for t in texts if t.faint]
    assert counted > 20 * len(PAGES)
    assert faint == []


def test_every_page_has_one_heading_a_title_and_a_name_for_everything_that_can_be_filled_in(
    served: Console, visits: Visits
) -> None:
    wrong: list[str] = []
    with visits("admin") as ann:
        ann.expect(NOT_THERE)
        for path in PAGES:
            page = ann.to(_address(served, path))
            if page.locator("h1").count() != 1 or not page.title().endswith("Evercrew"):
                wrong.append(f"{path}: {page.locator('h1').count()} headings, titled {page.title()!r}")
            unnamed = page.evaluate(
                """() => [...document.querySelectorAll("input:not([type=hidden]), select, textarea")]
                    .filter((each) => !each.labels?.length && !each.ariaLabel).map((each) => each.outerHTML)"""
            )
            wrong += [f"{path}: {each}" for each in unnamed]
            twice = page.evaluate(
                """() => { const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
                    return ids.filter((id, at) => ids.indexOf(id) !== at); }"""
            )
            wrong += [f"{path}: two of {each}" for each in twice]
    assert wrong == []


def test_pages_carry_a_policy_that_refuses_what_a_page_does_not_bring_along(served: Console, visits: Visits) -> None:
    with visits("viewer") as cem:
        answers = {path: cem.page.goto(f"{cem.url}{path}") for path in ("/", "/approvals", "/chat", "/reports")}
        for path, answer in answers.items():
            assert answer is not None, path
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy, path
            assert "unsafe" not in policy, path
            assert answer.headers["cache-control"] == "no-store", path
        cem.expect("inline")
        refused = cem.page.evaluate(
            """() => { const made = document.createElement("script"); made.textContent = "window.ran = true";
                document.body.append(made); return window.ran === undefined; }"""
        )
        assert refused
