"""The matrix counts what ran, and a hole in it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations.matrix import BEGIN, CASES, END, Matrix, as_markdown, as_text, written


@pytest.fixture
def matrix() -> Matrix:
    matrix = Matrix()
    for case in CASES:
        matrix.add("alpha", case, "passed")
    matrix.add("alpha", "works", "passed")
    matrix.add("beta", "works", "skipped", "java is not installed")
    matrix.add("beta", "slow", "failed")
    matrix.add("beta", "slow", "passed")
    return matrix


def test_a_cell_shows_how_many_tests_passed_and_a_failure_outshines_them(matrix: Matrix) -> None:
    header, alpha, beta = as_text(matrix).splitlines()
    assert header.split() == ["adapter", *CASES]
    assert alpha.split() == ["alpha", "2", "1", "1", "1", "1"]
    assert beta.split() == ["beta", "skipped", "-", "1", "FAILED", "-", "-"]


def test_a_hole_is_named_with_its_reason(matrix: Matrix) -> None:
    assert matrix.holes == [
        "beta, works: skipped: java is not installed",
        "beta, refused: no test",
        "beta, slow: 1 of 2 failed",
        "beta, lying: no test",
        "beta, misconfigured: no test",
    ]


def test_the_table_is_put_between_its_marks_and_nothing_else_changes(matrix: Matrix, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    (tmp_path / "alpha.md").write_text("a page")
    written(readme, matrix)
    text = readme.read_text()
    assert text == f"before\n{BEGIN}\n{as_markdown(matrix, {'alpha': 'alpha.md'})}\n{END}\nafter\n"
    assert "[alpha](alpha.md)" in text


def test_a_document_without_marks_is_refused(matrix: Matrix, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no marks")
    with pytest.raises(ValueError, match="missing"):
        written(readme, matrix)
    assert readme.read_text() == "no marks"
