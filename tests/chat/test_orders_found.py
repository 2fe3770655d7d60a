"""Orders that say less, or something else, than they seem to: they are asked back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agents.operator.interpreter import Interpreter
from domain.intent import Kind, is_write, kind_of

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
INTERPRETER = Interpreter()


@pytest.mark.parametrize(
    "said",
    [
        "auto promote must not be on",
        "auto promote cannot be on",
        "I do not want auto promote on",
        "auto rollback must not be off",
        "stop disabling auto rollback",
        "quit disabling auto rollback",
        "enable auto promote, not in production",
        "roll back staging from a1b2c3d4",
        "revert a1b2c3d4",
        "undo a1b2c3d4",
        "revert the revert of a1b2c3d4",
        "undo the rollback to gold",
        "roll back production from gold",
        "undo yesterday",
        "undo Tuesday's rollback in staging",
        "roll back staging to march 10 2024",
        "override the ndcg gate to .01 in staging for two hours",
        "override the ndcg gate to -0.01 in staging for two hours",
        "set the latency gate to 1,500 in staging for 2 hours",
        "lower the ndcg gate by 0.01 in staging for 2 hours",
        "set the ndcg gate to 0.01 in staging for one and a half hours",
        "set the ndcg gate to 0.01 in all environments for 2 hours",
        "retrain the reranker in staging",
        "retrain the reranker in dev",
    ],
)
def test_what_could_turn_an_order_round_is_asked_back(said: str) -> None:
    read = INTERPRETER.read(said, NOW).intent
    assert read is None or not is_write(read)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("no automatic promotions in production", Kind.FLAG),
        ("switch auto promote off in production", Kind.FLAG),
        ("roll back staging to Tuesday", Kind.ROLL_BACK),
        ("revert staging to a1b2c3d4", Kind.ROLL_BACK),
        ("To the state of Tuesday, please roll staging back", Kind.ROLL_BACK),
        ("set the ndcg@10 gate to 0.01 in staging for 2 hours", Kind.OVERRIDE),
        ("retrain the reranker in production", Kind.OPEN),
    ],
)
def test_what_is_plain_is_read(said: str, kind: Kind) -> None:
    read = INTERPRETER.read(said, NOW).intent
    assert read is not None
    assert kind_of(read) is kind
