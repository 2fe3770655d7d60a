"""The HTTP interface of a served world."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from testbed.faults import FAULTS
from testbed.judged import held_out
from tests.testbed.helpers import rows, samples


def search(client: httpx.Client, query: str = "read a file", **params: Any) -> dict[str, Any]:
    answer = client.get("/search", params={"q": query, "user_id": "u1", **params})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_search_answers_with_titles_scores_and_who_answered(quiet: httpx.Client) -> None:
    body = search(quiet, k=5)
    live = quiet.get("/version").json()
    assert body["variant"] == "champion"
    assert (body["digest"], body["mode"]) == (live["digest"], "balanced")
    assert len(body["results"]) == 5
    assert body["results"][0].keys() == {"id", "title", "score", "subject"}
    scores = [result["score"] for result in body["results"]]
    assert scores == sorted(scores, reverse=True)


def test_words_nobody_wrote_find_nothing_and_fail_nothing(quiet: httpx.Client) -> None:
    assert search(quiet, "qqzzxxyy")["results"] == []


@pytest.mark.parametrize(
    "params", [{"q": "", "user_id": "u"}, {"q": "x"}, {"user_id": "u"}, {"q": "x", "user_id": "u", "k": 0}]
)
def test_a_malformed_search_is_refused(quiet: httpx.Client, params: dict[str, Any]) -> None:
    assert quiet.get("/search", params=params).status_code == 422


def test_feedback_is_taken_alone_and_in_lists(quiet: httpx.Client) -> None:
    body = search(quiet)
    base = {"request_id": body["request_id"], "user_id": "u1"}
    doc = body["results"][0]["id"]
    one = quiet.post("/feedback", json={**base, "kind": "click", "doc_id": doc})
    assert one.json() == {"accepted": 1, "rejected": 0}
    many = [
        {**base, "kind": "judgement", "doc_id": doc, "value": 1},
        {**base, "kind": "rating", "value": 5},
        {**base, "kind": "thumb", "value": 1},
        {**base, "request_id": "never", "kind": "thumb", "value": 1},
    ]
    assert quiet.post("/feedback", json=many).json() == {"accepted": 3, "rejected": 1}


def test_feedback_about_an_unknown_search_is_not_found(quiet: httpx.Client) -> None:
    answer = quiet.post("/feedback", json={"request_id": "x", "user_id": "u", "kind": "thumb", "value": 1})
    assert answer.status_code == 404
    assert "request_id" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"request_id": "x", "user_id": "u", "kind": "wish"},
        {"request_id": "x", "user_id": "u", "kind": "rating", "value": 9},
        {"request_id": "x", "user_id": "u", "kind": "click"},
        {"user_id": "u", "kind": "thumb", "value": 1},
        [],
        [{"request_id": "x", "user_id": "u", "kind": "thumb", "value": 1}] * 501,
    ],
)
def test_malformed_feedback_is_refused(quiet: httpx.Client, body: Any) -> None:
    assert quiet.post("/feedback", json=body).status_code == 422


def test_a_probe_leaves_no_trace(quiet: httpx.Client) -> None:
    before = samples(quiet.get("/metrics").text)
    answer = quiet.get("/search", params={"q": "read a file", "user_id": "p"}, headers={"X-Probe": "true"}).json()
    assert answer["results"]
    said = {"request_id": answer["request_id"], "user_id": "p", "kind": "thumb", "value": 1}
    assert quiet.post("/feedback", json=said).status_code == 404
    after = samples(quiet.get("/metrics").text)
    assert after.get("search_requests_total") == before.get("search_requests_total")
    assert after["experiment_exposed_users"] == before["experiment_exposed_users"]


def test_the_version_says_what_is_live_and_where_it_comes_from(quiet: httpx.Client) -> None:
    version = quiet.get("/version").json()
    assert version["digest"].startswith("sha256:")
    assert version["model_version"] == "1"
    assert version["variants"] == [{"name": "champion", "digest": version["digest"], "weight": 100}]
    assert (version["mode"], version["mode_source"], version["tier"]) == ("balanced", "values", "standard")
    assert version["index"]["documents"] == version["known_documents"] > 0
    assert quiet.get("/healthz").json()["digest"] == version["digest"]


def test_documents_come_in_order_of_arrival(quiet: httpx.Client) -> None:
    documents = rows(quiet.get("/data/documents").text)
    assert [row["seq"] for row in documents] == list(range(1, len(documents) + 1))
    assert documents[0].keys() == {"id", "title", "text", "subject", "seq", "arrived_at"}
    assert len(rows(quiet.get("/data/documents", params={"since_seq": len(documents) - 3}).text)) == 3


def test_held_out_judgements_never_appear_in_the_data(quiet: httpx.Client) -> None:
    judgements = rows(quiet.get("/data/judgements").text)
    assert len(judgements) > 500
    assert not any(held_out(row["query"]) for row in judgements)
    assert {"request_id", "query", "doc_id", "grade", "clicked", "shown", "digest", "subject"} <= judgements[0].keys()
    # What another test said may be written between two reads.
    until_now = {"until": judgements[-1]["ts"] + 1e-3}
    latest = rows(quiet.get("/data/judgements", params={"limit": 5, **until_now}).text)
    assert latest == judgements[-5:]
    since = judgements[-5]["ts"]
    assert rows(quiet.get("/data/judgements", params={"since": since, **until_now}).text) == latest


def test_logs_can_be_searched(quiet: httpx.Client) -> None:
    found = rows(quiet.get("/data/logs", params={"contains": "REVISION_APPLIED", "level": "info"}).text)
    assert [event["event"] for event in found] == ["revision_applied"]
    assert rows(quiet.get("/data/logs", params={"level": "error"}).text) == []
    assert rows(quiet.get("/data/logs", params={"since": found[0]["ts"] + 1e6}).text) == []
    assert quiet.get("/data/logs", params={"level": "loud"}).status_code == 422


def test_a_quarantine_is_set_once_and_can_be_looked_up(quiet: httpx.Client) -> None:
    body = {"key": "cycle/1", "since": 4e12, "until": None, "rule": "click_disagreement"}
    assert quiet.get("/data/quarantine/cycle/1").status_code == 404
    first = quiet.post("/data/quarantine", json=body)
    assert (first.status_code, first.json()["dropped"]) == (201, 0)
    assert quiet.post("/data/quarantine", json=body).status_code == 200
    assert quiet.post("/data/quarantine", json={**body, "since": 5e12}).status_code == 409
    assert quiet.get("/data/quarantine/cycle/1").json() == first.json()
    assert quiet.post("/data/quarantine", json={**body, "key": "b", "until": 1.0}).status_code == 422
    assert quiet.post("/data/quarantine", json={**body, "key": "b", "rule": "all"}).status_code == 422


def test_nothing_a_reader_sees_names_a_fault(quiet: httpx.Client) -> None:
    search(quiet)
    seen = (quiet.get("/metrics").text + quiet.get("/data/logs").text + quiet.get("/version").text).lower()
    # Three of the names are also ordinary figures of a search service.
    ordinary = ("none", "latency", "index_errors", "etl_backlog")
    assert not [name for name in FAULTS if name not in ordinary and name in seen]
    assert not [word for word in ("corrupt", "inject", "fault", "shift", "noise", "spike") if word in seen]
