"""Reading a world from outside."""

from __future__ import annotations

import json
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from testbed.judged import Judgement, SearchRecord
from testbed.layout import Layout

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
# Queries "open <word>" with these words are not held out; "open socket" is.
OPEN_WORDS = ("file", "parser", "thread", "matrix", "server", "cache", "token", "buffer", "stream")
SEALED_QUERY = "open socket"


def samples(exposition: str) -> dict[str, float]:
    """Sum over the label sets of every sample by name."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def metric(url: str, name: str, default: float = 0.0) -> float:
    """One figure of a served world, summed over its labels."""
    return samples(httpx.get(f"{url}/metrics", trust_env=False, timeout=60).text).get(name, default)


def labelled(exposition: str, name: str) -> dict[str, float]:
    """A figure by the label `variant`."""
    return {
        sample.labels["variant"]: sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == name
    }


def version(url: str) -> dict[str, Any]:
    """What a served world says is live."""
    answer: dict[str, Any] = httpx.get(f"{url}/version", trust_env=False, timeout=60).json()
    return answer


def report(layout: Layout) -> dict[str, Any]:
    """What the users of a world have done so far."""
    if not layout.traffic_report.exists():
        return {"sessions": 0, "failed": 0, "judged": 0, "hard": 0}
    answer: dict[str, Any] = json.loads(layout.traffic_report.read_text(encoding="utf-8"))
    return answer


def rows(text: str) -> list[dict[str, Any]]:
    """The objects of a JSON-lines answer."""
    return [json.loads(line) for line in text.splitlines()]


def search_record(number: int, *, user: str = "u1", shown: tuple[str, ...] = ("a", "b", "c")) -> SearchRecord:
    """A search whose query is not held out."""
    return SearchRecord(
        request_id=f"r{number:04d}",
        ts=1000.0 + number,
        user_id=user,
        query=f"open {OPEN_WORDS[number % len(OPEN_WORDS)]}",
        variant="champion",
        digest=DIGEST,
        mode="balanced",
        shown=shown,
        retrieved=shown,
    )


def judgement(query: str, *, doc: str = "a", ts: float = 1000.0, clicked: tuple[str, ...] = ("a",)) -> Judgement:
    """A joined judgement."""
    return Judgement(
        request_id="r1",
        ts=ts,
        user_id="u1",
        query=query,
        doc_id=doc,
        grade=1,
        clicked=clicked,
        shown=("a", "b", "c"),
        digest=DIGEST,
        variant="champion",
        mode="balanced",
        subject="s",
    )
