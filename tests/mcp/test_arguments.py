"""Arguments of tools are looked at before anything else is, whatever they are made of, and in no time."""

from __future__ import annotations

import time
from typing import Any

import pytest

from domain.errors import InvalidInput
from service.api.app import described
from service.mcp.answers import checked
from service.mcp.server import Tools

LONG = 100_000
# What makes an engine try every place where one part of a pattern may end and the next one begin.
NASTY = ("a" * LONG + "\x00", " " * LONG + "\x00", "a " * LONG + "\x1b", "a." * LONG + "!", "\n" * LONG, "0" * LONG)
ARGS: dict[str, dict[str, Any]] = {
    "open_cycle": {"signal": "ndcg_at_10", "reason": "r", "target": "search"},
    "set_flag": {"name": "auto_promote", "enabled": True, "reason": "r"},
    "roll_back": {"environment": "dev", "to_version": "gold", "reason": "r"},
    "stop": {"tool": "promote", "agent": "", "reason": "r"},
    "vote": {"identity": "ap_" + "0" * 24, "answer": "deny", "seen": "0" * 64, "reason": "r"},
}


@pytest.fixture(scope="module")
def tools() -> Tools:
    return Tools.of(described())


@pytest.mark.parametrize("tool", ARGS)
def test_no_text_keeps_the_check_of_arguments_busy(tools: Tools, tool: str) -> None:
    takes, fitting = tools.operations[tool].takes(), ARGS[tool]
    checked(tool, takes, fitting)
    began = time.thread_time()  # of the processor, whoever else wants it
    for name in (name for name, value in fitting.items() if isinstance(value, str)):
        for text in NASTY:
            with pytest.raises(InvalidInput):
                checked(tool, takes, {**fitting, name: text})
    assert time.thread_time() - began < 5


@pytest.mark.parametrize(
    ("reason", "fits"),
    [
        ("because", True),
        ("  \n\tbecause\n", True),
        ("\u3000é", True),
        ("", False),
        (" \t\n\u00a0", False),
        ("a\x00", False),
    ],
)
def test_a_reason_is_plain_text_that_is_not_blank(tools: Tools, reason: str, fits: bool) -> None:
    args = {**ARGS["open_cycle"], "reason": reason}
    if fits:
        checked("open_cycle", tools.operations["open_cycle"].takes(), args)
        return
    with pytest.raises(InvalidInput, match="reason"):
        checked("open_cycle", tools.operations["open_cycle"].takes(), args)
