"""docs/safety.md and the suite: the page has the rows and columns of the matrix, and tells of no unsafe cell."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.catalog import BY_NAME, STAGES, cells, rows
from tests.chaos.table import LEGEND, NOT_RUN, NOT_USED, UNSAFE, as_text, invariants, rows_on, table, write

PAGE = Path(__file__).resolve().parents[2] / "docs" / "safety.md"


def test_the_page_has_the_rows_and_columns_of_the_suite() -> None:
    header, on_page, _ = rows_on(PAGE.read_text(encoding="utf-8"))
    assert header == ["dependency", "fault", *STAGES]
    assert on_page == {(site.name, f"{fault.name} ({fault.group})") for site, fault in rows()}


def test_no_cell_of_the_page_is_unsafe_and_every_one_was_run() -> None:
    _, _, words = rows_on(PAGE.read_text(encoding="utf-8"))
    assert words
    assert {UNSAFE, NOT_RUN}.isdisjoint(words)
    known = {word for word in LEGEND if not word.endswith("...")}
    assert {word for word in words if not word.startswith("holds, then ")} <= known


def test_every_cell_has_a_place_of_its_own_in_the_table() -> None:
    names = [cell.name for cell in cells()]
    assert len(names) == len(set(names))
    filled = [word for row in list(table(dict.fromkeys(names, "waits, goes on")))[1:] for word in row[2:]]
    assert filled.count("waits, goes on") == len(names)
    assert set(filled) == {"waits, goes on", NOT_USED}


def test_every_dependency_is_down_slow_or_lying_somewhere() -> None:
    for name, site in BY_NAME.items():
        assert site.faults, name
        assert set(site.stages) <= set(STAGES), name
        assert {fault.group for fault in site.faults} <= {"down", "slow", "lying"}, name
    assert {fault.group for _, fault in rows()} == {"down", "slow", "lying"}


def test_a_page_is_written_between_its_marks_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Safety\n\nWhat people wrote.\n", encoding="utf-8")
    write(page, {}, ["SQLite: 3 of 3"])
    first = page.read_text(encoding="utf-8")
    write(page, {}, ["SQLite: 3 of 3"])
    assert page.read_text(encoding="utf-8") == first
    assert first.startswith("# Safety\n\nWhat people wrote.\n")
    header, on_page, words = rows_on(first)
    assert (header[0], len(on_page)) == ("dependency", len(list(rows())))
    assert set(words) == {NOT_RUN, NOT_USED}


def test_what_is_checked_and_what_was_found_is_said_in_words() -> None:
    said = dict(invariants())
    assert list(said) == ["chain", "gated", "single", "gates", "truth", "old model", "alive"]
    assert all(said.values())
    assert "observe: not run" in as_text({})
