"""What never leaves the machine with a trace."""

from __future__ import annotations

import pytest

from adapters.traces.redact import MASK, redacted


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"OPENAI_API_KEY": "abc"}, {"OPENAI_API_KEY": MASK}),
        ({"headers": {"Authorization": "Bearer abcdefghij"}}, {"headers": {"Authorization": MASK}}),
        ({"note": "Bearer abcdefghij.k"}, {"note": MASK}),
        ({"url": "postgresql://user:pass@host/db"}, {"url": f"postgresql://{MASK}@host/db"}),
        ({"tokens": 12, "target_tokens": ["a"], "token": "t"}, {"tokens": 12, "target_tokens": ["a"], "token": MASK}),
        ({"list": [{"password": "x"}, ("y",)]}, {"list": [{"password": MASK}, ["y"]]}),
    ],
)
def test_secrets_are_masked_and_everything_else_is_kept(value: dict[str, object], expected: dict[str, object]) -> None:
    assert redacted(value) == expected
