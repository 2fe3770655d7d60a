"""The report as people read it: complete, safe, and readable when nothing happened."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from domain.outcome import OutcomeKind
from service.weekly.page import account_of, as_html, as_markdown
from service.weekly.report import WeeklyReport
from service.wording import dollars
from tests.weekly.seeded import busy_week, records_in

HOSTILE = "<script>alert(1)</script> [x](http://evil.example) | **bold** `code` <!channel>"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> WeeklyReport:
    with records_in(tmp_path_factory.mktemp("week")) as records:
        busy_week(records)
        records.cycle(5.5, 1, OutcomeKind.HANDED_OFF, reason=HOSTILE)
        return records.report()


class Page(HTMLParser):
    """What is on a page: tags, their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} closes what is not open"

    def handle_data(self, data: str) -> None:
        self.text += data


def test_both_forms_have_every_section_and_every_figure(report: WeeklyReport) -> None:
    page, text = Page(as_html(report)), as_markdown(report)
    for heading in (
        "Indicators",
        "Next priorities",
        "Model improvements",
        "Costs",
        "What was done",
        "Where the figures",
    ):
        assert heading in text
        assert heading in page.text
    for figure in report.figures:
        assert figure.source.split(":")[0] in page.text
        assert text.count(figure.label) >= 2
    assert "forbid-closed-window" in text
    assert "forbid-closed-window" in page.text


def test_the_page_fetches_and_runs_nothing_and_is_well_formed(report: WeeklyReport) -> None:
    page = Page(as_html(report))
    assert page.open == []
    assert "script" not in page.tags
    assert all(address.startswith("#note-") for address in page.addresses)
    assert "default-src 'none'" in as_html(report)


def test_what_comes_from_outside_is_shown_and_does_nothing(report: WeeklyReport) -> None:
    assert "<script>" not in as_html(report)
    text = as_markdown(report)
    assert "<script>" not in text
    assert "\\[x\\]" in text
    assert not re.search(r"(?<!\\)\[x\]\(", text)


def test_a_table_row_has_as_many_cells_as_its_head(report: WeeklyReport) -> None:
    width = 0
    for line in as_markdown(report).splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        assert width in (0, cells), line
        width = cells


def test_an_empty_week_reads_well(tmp_path: Path) -> None:
    with records_in(tmp_path) as records:
        empty = records.report()
    text = as_markdown(empty)
    assert "Nothing happened" in text
    assert "no data" in text
    assert "No model was improved." in text
    assert "Nothing was declined." in text
    assert "None: nobody is waited for" in text
    assert "Nothing happened" in Page(as_html(empty)).text
    assert "nan" not in text.lower().split()


def test_a_figure_reads_in_its_unit(report: WeeklyReport) -> None:
    text = as_markdown(report)
    success = next(line for line in text.splitlines() if line.startswith("| Success ["))
    assert re.match(r"\| Success \[\d+\] \| 50\.0 % \| 1\d\.\d % to \d\d\.\d % \| 6 \|", success), success
    assert "missed" in success


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("day/dev/2026-11-21", "on 2026-11-21, everything in dev"),
        ("period/search/dev/2026-11-21T00:00", "search in dev, in the period from 2026-11-21 00:00"),
        ("cycle/si_2026_11_21_001", "cycle/si_2026_11_21_001"),
    ],
)
def test_an_account_of_the_ledger_is_said_in_words(name: str, said: str) -> None:
    assert account_of(name) == said


def test_a_small_amount_is_not_rounded_to_nothing() -> None:
    assert [dollars(value) for value in (0, 0.0022, 0.01, 1234.5)] == ["$0.00", "$0.0022", "$0.01", "$1,234.50"]
