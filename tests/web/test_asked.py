"""What a call asks for, in words."""

from __future__ import annotations

from typing import Any

import pytest

from service.web.asked import call_said

DIGEST = "sha256:" + "c" * 64
REVISION = "f" * 40


@pytest.mark.parametrize(
    ("tool", "args", "said"),
    [
        ("promote", {"name": "reranker", "version": "3", "digest": DIGEST}, "promote reranker version 3"),
        ("ab_start", {"candidate": DIGEST, "share": 0.2}, "test cccccccccccc on 20\N{NO-BREAK SPACE}% of the users"),
        ("ab_stop", {"reason": "worse"}, "end the A/B test"),
        (
            "apply_tuning",
            {"mode": "fast", "tier": None, "candidates": 200},
            "change settings: mode fast, candidates 200",
        ),
        ("roll_back", {"revision": REVISION, "reason": "worse"}, "take back change ffffffffffff"),
        ("restore_values", {"revision": REVISION, "digest": DIGEST}, "go back to the values of ffffffffffff"),
    ],
)
def test_what_comes_before_people_is_said_in_a_sentence(tool: str, args: dict[str, Any], said: str) -> None:
    assert call_said(tool, args) == said


def test_any_other_call_is_its_tool_and_its_short_arguments_without_whole_digests() -> None:
    told = {"digest": DIGEST, "more": [1, 2], "version": "3", "name": "reranker"}
    assert call_said("set_alias", told) == "set alias: name reranker, version 3, digest cccccccccccc"
    assert call_said("mark_gold", {}) == "mark gold"


@pytest.mark.parametrize(
    ("tool", "args", "said"),
    [
        ("promote", {"name": "reranker"}, "promote: name reranker"),
        ("ab_start", {"share": "most"}, "ab start: share most"),
        ("apply_tuning", {}, "apply tuning"),
        ("roll_back", {"reason": "worse"}, "roll back: reason worse"),
    ],
)
def test_a_call_that_lacks_what_its_sentence_names_is_listed_as_it_is(
    tool: str, args: dict[str, Any], said: str
) -> None:
    assert call_said(tool, args) == said


def test_what_arguments_say_is_cut_and_holds_no_character_that_a_terminal_obeys() -> None:
    said = call_said("roll_back", {"revision": "\x1b[31mred\u202e" + "x" * 200})
    assert said.isprintable()
    assert len(said) < 90
