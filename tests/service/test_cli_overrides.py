"""`evercrew overrides`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from domain.errors import InvalidInput
from service.cli_overrides import overrides
from tests.integrations.backup.office import config_in

GATE = ("--gate", "ndcg_at_10", "--threshold", "0.02", "--env", "dev")
WHY = ("--by", "ann", "--reason", "a new corpus", "--expires", "2h")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    config_in(tmp_path)
    return tmp_path


def typed(place: Path, *words: str) -> str:
    """Run the command and return what it prints; an error of ours is raised."""
    command = [*words, "--config", str(place / "evercrew.yaml")]
    result = CliRunner().invoke(overrides, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_an_override_is_added_listed_and_ended(place: Path) -> None:
    assert "no overrides" in typed(place, "list")
    made = json.loads(typed(place, "add", *GATE, *WHY, "--json"))
    (row,) = json.loads(typed(place, "list", "--json"))
    assert (row["id"], row["in_force"], row["threshold"]) == (made["id"], True, 0.02)
    assert f"{made['id']}  in force" in typed(place, "list")
    ended = typed(place, "end", made["id"], "--by", "bob", "--reason", "over")
    assert made["id"] in ended
    assert "no overrides" in typed(place, "list")
    assert f"{made['id']}  ended" in typed(place, "list", "--all")


def test_the_limit_of_a_signal_is_overridden(place: Path) -> None:
    words = ("--signal", "etl_backlog_s", "--threshold", "90", "--env", "dev", "--rollback")
    made = json.loads(typed(place, "add", *words, *WHY, "--json"))
    assert (made["kind"], made["of"], made["name"]) == ("rollback", "absolute", "etl_backlog_s")


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ((*GATE, "--by", "ann", "--reason", "r", "--expires", "soon"), "expires"),
        ((*GATE, "--by", "ann", "--reason", "r", "--expires", "90d"), "expires"),
        ((*GATE, "--by", "ann", "--reason", " ", "--expires", "2h"), "reason"),
        (("--gate", "ndcg_at_10", "--threshold", "nan", "--env", "dev", *WHY), "threshold"),
        (("--gate", "ndcg_at_10", "--threshold", "-0.5", "--env", "dev", *WHY), "threshold"),
        (("--gate", "ndcg_at_10", "--threshold", "0.02", "--env", "production", *WHY), "env"),
        (("--gate", "nothing", "--threshold", "0.02", "--env", "dev", *WHY), "gate"),
        (("--threshold", "0.02", "--env", "dev", *WHY), "gate"),
        (("--signal", "etl_backlog_s", "--of", "odd", "--threshold", "9", "--env", "dev", *WHY), "of"),
    ],
)
def test_what_no_override_may_be_is_refused_with_the_field(place: Path, words: tuple[str, ...], field: str) -> None:
    with pytest.raises(InvalidInput) as problem:
        typed(place, "add", *words)
    assert problem.value.field == field
    assert "no overrides" in typed(place, "list", "--all")


def test_what_is_not_there_cannot_be_ended(place: Path) -> None:
    with pytest.raises(InvalidInput, match="ov_nothing"):
        typed(place, "end", "ov_nothing", "--by", "bob", "--reason", "over")
