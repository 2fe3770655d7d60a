"""`evercrew bench`: which evaluation is run, in a process of its own, and with which words."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import service.cli_bench
from service.cli_bench import bench


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Return what would be run."""
    found: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(service.cli_bench, "_evals", lambda module, words: found.append((module, words)))
    return found


def typed(*words: str) -> int:
    return CliRunner().invoke(bench, list(words), catch_exceptions=False).exit_code


def test_the_door_is_measured_with_the_size_that_is_asked_for(asked: list[tuple[str, list[str]]]) -> None:
    assert typed("door") == 0
    assert typed("door", "--records", "2000", "--seconds", "0.5", "--json") == 0
    assert asked == [
        ("evals.door_bench", ["--records", "1000000", "--seconds", "4.0"]),
        ("evals.door_bench", ["--records", "2000", "--seconds", "0.5", "--json"]),
    ]


def test_without_a_name_the_machinery_is_measured(asked: list[tuple[str, list[str]]]) -> None:
    assert typed("--json") == 0
    assert asked == [("evals.machinery", ["--json"])]


def test_a_chain_too_short_to_time_is_misuse(asked: list[tuple[str, list[str]]]) -> None:
    assert typed("door", "--records", "10") == 2
    assert asked == []
