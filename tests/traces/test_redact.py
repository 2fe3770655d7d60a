"""What never leaves in a trace, held against labelled sentences where they are at hand; and what has to stay."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.traces.redact import LONGEST, MASK, MOST, redacted, redacted_text
from domain.ids import cycle_id
from domain.trace import trace_id_of

LABELLED = Path(__file__).parents[3] / "shared" / "data" / "pii" / "presidio_synth_v2.jsonl"
# The share of each kind that has to be found. Telephone numbers without any mark of one are counts as often as not.
LEAST = {
    "EMAIL_ADDRESS": 1.0,
    "CREDIT_CARD": 1.0,
    "US_SSN": 1.0,
    "IBAN_CODE": 1.0,
    "IP_ADDRESS": 1.0,
    "PHONE_NUMBER": 0.85,
}


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnop",
        "ghp_0123456789abcdefghij",
        "github_pat_0123456789abcdef",
        "glpat-0123456789abcdef",
        "xoxb-0123456789-abcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "lsv2_pt_0123456789abcdef",
        "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
        "Bearer abcdefgh12345678",
        "Basic dXNlcjpwYXNzd29yZA==",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----",
        "hooks.slack.com/services/T000/B000/XXXXXXXX",
        "ada.lovelace+ops@example.co.uk",
        "+44 7700 921 916",
        "(579)888-3058",
        "4111 1111 1111 1111",
        "374744544168082",
        "460-89-9847",
        "GB56HXDO88167774656119",
        "41.173.96.26",
        "2a00:1450:4001:81b:0:0:0:200e",
    ],
)
def test_a_secret_or_a_persons_number_is_masked_wherever_it_stands(secret: str) -> None:
    told = redacted({"text": f"they wrote {secret} to us", "deep": [{"list": (secret,)}]})
    assert secret not in json.dumps(told)
    assert MASK in str(told["text"])


def test_passwords_in_addresses_and_assignments_are_masked_and_what_is_around_them_stays() -> None:
    assert redacted_text("postgresql://ada:s3cret@db:5432/x") == f"postgresql://{MASK}@db:5432/x"
    assert redacted_text("run with password=hunter22 --fast") == f"run with password={MASK} --fast"
    assert redacted_text('{"access_key": "abcdef"}') == f'{{"access_key": "{MASK}"}}'


def test_values_under_telling_names_are_masked_and_counts_of_tokens_are_not() -> None:
    given = {"api_key": "x", "Authorization": "y", "auth_token": "z", "tokens": 512, "total_tokens": 3, "token": 7}
    assert redacted(given) == {**given, "api_key": MASK, "Authorization": MASK, "auth_token": MASK}


def test_what_an_operator_needs_stays() -> None:
    opened = datetime(2026, 1, 31, 10, 22, 33, 123456, tzinfo=UTC)
    cycle = cycle_id(opened, 1)
    for text in (
        f"{cycle} opened {opened.isoformat()} in trace {trace_id_of(cycle, opened)}",
        "nDCG@10 0.3121 -> 0.3517 [0.0210, 0.0582], n=12000, p=0.0004",
        "the platform at 127.0.0.1:8080 and 10.0.0.12, version 1.15.30",
        "01a1fa77-19a3-73c7-8a3a-02736620c1a6 sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "1769852553123 microseconds, 1 000 documents, 17 of 2048",
        "2026-01-31 10:00:00 until 2026-02-01",
    ):
        assert redacted_text(text) == text


def test_what_is_long_or_deep_or_no_json_is_made_fit() -> None:
    deep: dict[str, object] = {}
    inner = deep
    for _ in range(20):
        inner["in"] = inner = {}
    told = redacted({"long": "a" * (LONGEST + 5), "many": list(range(MOST + 3)), "deep": deep, "odd": object()})
    assert told["long"].endswith(" [5 more]")
    assert told["many"][-1] == "... 3 more"
    assert told["odd"] == "<object>"
    assert json.loads(json.dumps(redacted({"nan": float("nan"), "at": datetime(2026, 1, 1, tzinfo=UTC)})))


def test_labelled_sentences_lose_what_is_labelled() -> None:
    if not LABELLED.exists():
        pytest.skip("the labelled sentences are not beside the checkout (shared/data/pii)")
    there, left = Counter[str](), Counter[str]()
    for line in LABELLED.read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        masked = redacted_text(told["full_text"])
        for span in told["spans"]:
            if span["entity_type"] in LEAST:
                there[span["entity_type"]] += 1
                left[span["entity_type"]] += span["entity_value"] in masked
    found = {kind: 1 - left[kind] / there[kind] for kind in LEAST}
    assert {kind: share for kind, share in found.items() if share < LEAST[kind]} == {}
