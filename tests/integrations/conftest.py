"""Fills the matrix adapter x case from the marker ``integration(adapter, case)``.

The table is printed at the end of every run; ``--matrix FILE`` writes it into that document, and then a cell without a
test that passed fails the run.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.matrix import CASES, Matrix, as_text, written

_CELL = "integration cell"
_MATRIX = pytest.StashKey[Matrix]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Only where this folder is named on the command line."""
    parser.addoption("--matrix", metavar="FILE", help="write the matrix into this document; every cell has to pass")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test names cells that exist."""
    for item in items:
        for adapter, case in _cells(item):
            if case not in CASES:
                raise pytest.UsageError(f"{item.nodeid}: {adapter}: {case!r} is none of {', '.join(CASES)}")
            item.user_properties.append((_CELL, f"{adapter}\t{case}"))


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """Print the table, and write it where asked."""
    matrix = _gathered(terminalreporter.stats)
    if not matrix.cells:
        return
    terminalreporter.section("adapter x case (tests passed)")
    terminalreporter.write_line(as_text(matrix))
    target = config.getoption("matrix", None)
    if target is None:
        return
    written(Path(target), matrix)
    for hole in matrix.holes:
        terminalreporter.write_line(f"not shown: {hole}")


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """A hole in a matrix that is to be written is a failure."""
    yield
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or session.config.getoption("matrix", None) is None:
        return
    if _gathered(reporter.stats).holes and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _gathered(stats: dict[str, list[Any]]) -> Matrix:
    matrix = Matrix()
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in stats.get(outcome, []):
            if outcome == "passed" and report.when != "call":
                continue
            for name, cell in getattr(report, "user_properties", ()):
                if name == _CELL:
                    adapter, _, case = cell.partition("\t")
                    matrix.add(adapter, case, outcome, _reason(report))
    return matrix


def _reason(report: Any) -> str:
    return str(report.longrepr[2]).removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""


def _cells(item: pytest.Item) -> list[tuple[str, str]]:
    return [(str(mark.args[0]), str(mark.args[1])) for mark in item.iter_markers("integration")]
