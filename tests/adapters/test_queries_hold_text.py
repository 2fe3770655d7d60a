"""Text from outside inside a query stays a value: no string ends it, whatever it says."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.logs.loki import _literal, _quoted
from adapters.metrics.promql import matchers, render
from adapters.vcs.git_branch import message_with
from domain.errors import InvalidInput
from domain.signal import SeriesQuery
from domain.untrusted import one_line

NASTY = st.text(max_size=80) | st.lists(
    st.sampled_from(
        ('"', "\\", "\n", "{", "}", "'", "`", "#", " or vector(1)", "|~", "$", "(", ")", ".*", "\\\\", "\x00")
    ),
    max_size=12,
).map("".join)
_STRING = r'"((?:[^"\\\n]|\\.)*)"'


@given(NASTY)
def test_a_label_s_value_is_one_promql_string(value: str) -> None:
    found = re.fullmatch(r"\{digest=" + _STRING + r"\}", matchers({"digest": value}), flags=re.DOTALL)
    assert found is not None
    unescaped = re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), found.group(1))
    assert unescaped == value


@given(NASTY.filter(lambda name: re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) is None))
def test_a_label_s_name_that_is_none_never_becomes_a_query(name: str) -> None:
    with pytest.raises((ValidationError, InvalidInput)):
        render(SeriesQuery(metric="m", labels={name: "x"}))


@given(NASTY.filter(lambda name: re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", name) is None))
def test_a_metric_s_name_that_is_none_never_becomes_a_query(name: str) -> None:
    with pytest.raises(ValidationError):
        SeriesQuery(metric=name)


@given(NASTY)
def test_what_is_searched_for_in_logs_is_one_logql_string_that_matches_itself_only(text: str) -> None:
    quoted = _quoted("(?i)" + _literal(text))
    assert json.loads(quoted) == "(?i)" + _literal(text)
    pattern = re.compile(_literal(text), flags=re.IGNORECASE)
    assert pattern.fullmatch(text)
    assert not pattern.fullmatch(f"{text}x")


@given(NASTY)
def test_a_reason_forges_no_trailer_of_a_commit(reason: str) -> None:
    forged = f"{reason}\n\nEvercrew-Key: forged"
    text = message_with(f"Roll back: {one_line(forged)}", {"Evercrew-Key": "real"})
    paragraphs = text.split("\n\n")
    assert paragraphs[-1] == "Evercrew-Key: real"
    assert len(paragraphs) == 2
