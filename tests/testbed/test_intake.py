"""Documents wait in a queue, are taken in at the pace the values say, and are taken in once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from testbed.authors import Authors
from testbed.corpus import Document, read_documents, write_documents
from testbed.documents import DocumentStore
from testbed.intake import Intake
from testbed.jsonlog import JsonLog
from testbed.layout import Layout
from testbed.metrics import Metrics
from testbed.universe import Universe
from testbed.values import EtlValues
from testbed.world import World
from tests.testbed.helpers import samples

SLOW = EtlValues(workers=1, batch=2)


class Rig:
    """An intake in a folder."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.store, self.metrics = DocumentStore(self.layout.corpus), Metrics()
        self.log = JsonLog(self.layout.log)
        self.intake = self.again()

    def again(self) -> Intake:
        """The intake as after a restart."""
        return Intake(self.layout.incoming, self.store, self.metrics, self.log)

    def drop(self, name: str, ids: str, since: float) -> Path:
        """Drop a file of one document a letter, `since` a time."""
        path = self.layout.incoming / f"{name}.jsonl"
        write_documents(path, [Document(key, f"Title {key}", "text", "s") for key in ids])
        os.utime(path, (since, since))
        return path


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_documents_wait_in_the_order_of_their_files_and_age(rig: Rig) -> None:
    late, early = rig.drop("a", "xyz", 20.0), rig.drop("b", "abc", 10.0)
    assert rig.intake.turn(SLOW, 30.0) == 2
    assert [row.document.id for row in rig.store.since(0)] == ["a", "b"]
    assert (rig.intake.pending, rig.intake.oldest(31.0)) == (4, 21.0)
    assert early.exists()
    rig.intake.turn(SLOW, 32.0)
    assert not early.exists()
    assert late.exists()
    assert rig.intake.oldest(33.0) == 13.0
    rig.intake.turn(EtlValues(), 34.0)
    assert (rig.intake.pending, rig.intake.oldest(35.0)) == (0, 0.0)
    assert [row.document.id for row in rig.store.since(0)] == list("abcxyz")


def test_what_was_half_taken_in_before_a_restart_is_taken_in_once(rig: Rig) -> None:
    rig.drop("a", "abcd", 10.0)
    rig.intake.turn(SLOW, 11.0)
    again = rig.again()
    assert again.turn(EtlValues(), 12.0) == 2
    assert len(rig.store) == 4
    found = samples(rig.metrics.render().decode())
    assert found["search_etl_documents_total"] == 6


def test_a_file_that_cannot_be_read_is_set_aside_and_holds_nothing_up(rig: Rig) -> None:
    bad = rig.layout.incoming / "a.jsonl"
    bad.write_text("{", encoding="utf-8")
    empty = rig.layout.incoming / "b.jsonl"
    empty.write_text("", encoding="utf-8")
    rig.drop("c", "q", 10.0)
    assert rig.intake.turn(EtlValues(), 12.0) == 1
    assert not bad.exists()
    assert not empty.exists()
    assert bad.with_suffix(".refused").exists()
    assert rig.intake.oldest(99.0) == 0.0


def test_authors_send_again_what_is_there_at_their_rate(new_world: Callable[[], World]) -> None:
    layout = new_world().layout
    layout.incoming.mkdir(parents=True, exist_ok=True)
    universe = Universe.load(layout)
    authors = Authors(layout, universe, 7)
    sent = [authors.send(20.0, at) for at in (0.0, 0.5, 0.52, 1.5)]
    assert sent == [0, 10, 0, 20]
    store = DocumentStore(layout.corpus)
    dropped = [row for path in layout.incoming.glob("*.jsonl") for row in read_documents(path)]
    assert len(dropped) == 30
    assert store.add(dropped, 1.0) == 0


def test_what_users_said_is_told_event_by_event_and_nothing_of_sealed_queries(quiet: httpx.Client) -> None:
    def said(query: str) -> list[dict[str, object]]:
        page = quiet.get("/search", params={"q": query, "user_id": "u1"}).json()
        base = {"request_id": page["request_id"], "user_id": "u1"}
        first = page["results"][0]["id"]
        events = [
            {**base, "kind": "click", "doc_id": first},
            {**base, "kind": "rating", "value": 4},
            {**base, "kind": "judgement", "doc_id": first, "value": 1},
        ]
        answer = quiet.post("/feedback", json=events, headers={"User-Agent": "Agent/1"})
        assert answer.json()["accepted"] == 3
        return [row for row in _told(quiet) if row["query"] == query]

    rows = said("open file")
    assert [(row["kind"], row["value"], row["user_agent"]) for row in rows] == [
        ("click", 1.0, "Agent/1"),
        ("rating", 4.0, "Agent/1"),
    ]
    assert set(rows[0]) == {"ts", "user_id", "query", "doc_id", "kind", "value", "user_agent"}
    assert (rows[1]["doc_id"], rows[1]["user_id"]) == (None, "u1")
    assert said("open socket") == []


def _told(client: httpx.Client) -> list[dict[str, object]]:
    return [json.loads(line) for line in client.get("/data/feedback", params={"limit": 50}).text.splitlines()]
