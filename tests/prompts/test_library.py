"""Prompts render strictly and stay as they were reviewed."""

from __future__ import annotations

import hashlib
import re

import pytest

from domain.errors import ConfigurationError
from prompts.library import fingerprint, render, source
from tests.prompts.rendered import SNAPSHOTS, rendered


@pytest.mark.parametrize("name", sorted(rendered()))
def test_a_prompt_is_what_was_reviewed(name: str) -> None:
    expected = (SNAPSHOTS / f"{name}.md").read_text(encoding="utf-8")
    assert rendered()[name] + "\n" == expected, "if it is meant, run: python -m tests.prompts.rendered"


def test_no_snapshot_is_left_over() -> None:
    assert {path.stem for path in SNAPSHOTS.iterdir()} == set(rendered())


def test_no_prompt_keeps_a_placeholder() -> None:
    assert [name for name, text in rendered().items() if re.search(r"\{\{|\{%|\}\}\}", text)] == []


@pytest.mark.parametrize(
    ("name", "variables", "problem"),
    [
        ("nowhere/task.md", {}, "there is no such file"),
        ("partials", {}, "there is no such file"),
        ("partials/answer.md", {}, r"missing variables \['schema'\]"),
        ("partials/answer.md", {"schema": "{}", "colour": "red"}, r"unused variables \['colour'\]"),
        ("partials/untrusted.md", {"schema": "{}"}, r"unused variables \['schema'\]"),
    ],
)
def test_a_prompt_that_does_not_fit_its_variables_is_an_error(
    name: str, variables: dict[str, str], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        render(name, **variables)


def test_variables_of_partials_are_asked_for_too() -> None:
    with pytest.raises(ConfigurationError, match="max_calls"):
        render("diagnosis_propose/system.md")


def test_what_is_put_in_is_not_rendered_again() -> None:
    assert "{{ 7 * 7 }}" in render("partials/answer.md", schema="{{ 7 * 7 }}").text


def test_a_prompt_without_partials_is_known_by_its_name_and_text() -> None:
    name = "partials/untrusted.md"
    expected = hashlib.sha256(f"{name}\0{source(name)}".encode()).hexdigest()
    assert fingerprint(name) == expected == render(name).sha256


def test_a_prompt_is_known_by_its_partials_too() -> None:
    name = "partials/answer.md"
    alone = hashlib.sha256(f"{name}\0{source(name)}".encode()).hexdigest()
    assert fingerprint(name) == alone
    assert fingerprint("diagnosis_propose/task.md") != fingerprint("training_propose/task.md")
