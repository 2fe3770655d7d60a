"""What holds on every page: it fits a phone, it can be read in light and dark, and nothing in it goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import Visits
from tests.browser.looks import overflow, rings_of, texts_of
from tests.support.browsing import DESK, PHONE, Console, visit
from tests.support.telling import tell

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

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
    "/notices",
    "/notices?state=dead",
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


@pytest.fixture(scope="module", autouse=True)
def people_were_told(served: Console) -> None:
    """There is something to show on every page."""
    tell(served.serving)


@dataclass(frozen=True)
class Seen:
    """What a page was found to be on a phone.

    Its overflow, headings and title, what is nameless or there twice, and what can be seen by scrolling sideways only.
    """

    wide: int
    headings: int
    title: str
    nameless: tuple[str, ...]
    twice: tuple[str, ...]
    beyond: tuple[str, ...]


@pytest.fixture(scope="module")
def phone(served: Console, opened: Browser) -> dict[str, Seen]:
    """Return every page as it is on a phone."""
    with visit(opened, served, "admin", viewport=PHONE) as ann:
        ann.expect(NOT_THERE)
        seen = {path: _seen(ann.to(_address(served, path))) for path in PAGES}
        assert ann.problems == []
    return seen


def _seen(page: Page) -> Seen:
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input:not([type=hidden]), select, textarea")]
            .filter((each) => !each.labels?.length && !each.ariaLabel).map((each) => each.outerHTML)"""
    )
    twice = page.evaluate(
        """() => { const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
            return ids.filter((id, at) => ids.indexOf(id) !== at); }"""
    )
    beyond = page.evaluate(
        """() => [...document.querySelectorAll(".chart, .table-wrap:not(:has(.matrix))")]
            .filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.outerHTML.slice(0, 100))"""
    )
    return Seen(overflow(page), page.locator("h1").count(), page.title(), tuple(nameless), tuple(twice), tuple(beyond))


def test_every_page_fits_a_phone_without_scrolling_sideways(phone: dict[str, Seen]) -> None:
    assert {path: seen.wide for path, seen in phone.items() if seen.wide > 0} == {}


def test_no_chart_and_no_table_but_the_matrix_has_to_be_scrolled_sideways_on_a_phone(phone: dict[str, Seen]) -> None:
    assert {path: seen.beyond for path, seen in phone.items() if seen.beyond} == {}


def test_every_page_has_one_heading_and_a_title(phone: dict[str, Seen]) -> None:
    assert {path: seen.headings for path, seen in phone.items() if seen.headings != 1} == {}
    assert {path: seen.title for path, seen in phone.items() if not seen.title.endswith("Evercrew")} == {}


def test_everything_that_can_be_filled_in_has_a_name_and_every_identity_is_one_of_a_kind(
    phone: dict[str, Seen],
) -> None:
    assert {path: seen.nameless for path, seen in phone.items() if seen.nameless} == {}
    assert {path: seen.twice for path, seen in phone.items() if seen.twice} == {}


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


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_whatever_has_the_focus_shows_it_with_a_ring_that_nothing_cuts_off(
    served: Console, visits: Visits, viewport: dict[str, int]
) -> None:
    with visits("admin", viewport=viewport) as ann:
        ann.expect(NOT_THERE)
        rings = {path: rings_of(ann.to(_address(served, path))) for path in PAGES}
    assert sum(looked for looked, _ in rings.values()) > 10 * len(PAGES)
    assert {path: lost for path, (_, lost) in rings.items() if lost} == {}


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
