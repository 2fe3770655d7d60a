"""The matrix adapter x case, as a table for people and for `docs/integrations/README.md`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CASES = ("works", "refused", "slow", "lying", "misconfigured")
BEGIN, END = "<!-- matrix:begin -->", "<!-- matrix:end -->"
_NOTHING = "-"
# Adapters that share a page, or whose page has another name.
# What keeps our own records, on either database.
_OWN = ("audit", "store", "workflow", "ledger", "approvals", "autonomy", "rules", "inbox", "executors")
_PAGES = {
    "git https": "git",
    "git ssh": "git",
    "github": "pull-requests",
    "gitlab": "pull-requests",
    "gold": "../gold",
    "llm_studio": "llm-studio",
    "llm_studio_gateway": "llm-studio",
    "neural": "training-targets",
    "oidc": "../access",
    "rollouts": "argo-rollouts",
    "audit": "postgres",
    "mlflow traces": "mlflow",
    "scrape": "platform",
    **{f"{port} {kind}": "postgres" for port in _OWN for kind in ("sqlite", "postgresql")},
}


@dataclass
class Cell:
    """Tests of one adapter in one case, by how they ended."""

    passed: int = 0
    failed: int = 0
    skipped: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        if self.failed:
            return f"{self.failed} FAILED"
        if self.passed:
            return str(self.passed) + (f" (+{len(self.skipped)} skipped)" if self.skipped else "")
        return "skipped" if self.skipped else _NOTHING


@dataclass
class Matrix:
    """All cells; filled test by test."""

    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)

    def add(self, adapter: str, case: str, outcome: str, reason: str = "") -> None:
        """Count one test: `outcome` is passed, failed or skipped."""
        cell = self.cells.setdefault((adapter, case), Cell())
        if outcome == "passed":
            cell.passed += 1
        elif outcome == "skipped":
            cell.skipped.append(reason)
        else:
            cell.failed += 1

    @property
    def adapters(self) -> list[str]:
        return sorted({adapter for adapter, _ in self.cells})

    def rows(self) -> Iterable[Sequence[str]]:
        """Give a header and a row an adapter, as text."""
        yield ("adapter", *CASES)
        for adapter in self.adapters:
            yield (adapter, *(str(self.cells.get((adapter, case), Cell())) for case in CASES))

    @property
    def holes(self) -> list[str]:
        """Cells without a test that ran, and why."""
        found = []
        for adapter in self.adapters:
            for case in CASES:
                cell = self.cells.get((adapter, case), Cell())
                if cell.failed or not cell.passed:
                    found.append(f"{adapter}, {case}: {_why(cell)}")
        return found


def _why(cell: Cell) -> str:
    if cell.failed:
        return f"{cell.failed} of {cell.failed + cell.passed} failed"
    return f"skipped: {cell.skipped[0]}" if cell.skipped else "no test"


def as_text(matrix: Matrix) -> str:
    """Return the table for a terminal."""
    rows = list(matrix.rows())
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def as_markdown(matrix: Matrix, pages: Mapping[str, str]) -> str:
    """Return the table in Markdown; `pages` gives the page of an adapter, where it has one."""
    header, *rows = matrix.rows()
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for adapter, *cells in rows:
        name = f"[{adapter}]({pages[adapter]})" if adapter in pages else adapter
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def written(readme: Path, matrix: Matrix) -> None:
    """Put the table between the marks of the file.

    Raises:
        ValueError: the file has no marks.
    """
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{readme}: the lines {BEGIN} and {END} are missing")
    named = {adapter: f"{_PAGES.get(adapter, adapter)}.md" for adapter in matrix.adapters}
    pages = {adapter: page for adapter, page in named.items() if (readme.parent / page).is_file()}
    table = as_markdown(matrix, pages)
    readme.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
