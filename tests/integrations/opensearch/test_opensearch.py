"""OpenSearch: query analytics, rank evaluation and log lines, against a stub of its REST API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
import yaml

from adapters.logs.base import LogLine, LogsPort
from adapters.logs.opensearch import OpenSearchLogs
from adapters.search.base import JudgedQuery, SearchPort
from adapters.search.opensearch import OpenSearchEngine, Ubi
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable
from tests.contract import logs_contract
from tests.contract.logs_contract import LogsContract
from tests.contract.search_contract import ASKED, DOCUMENTS, NOW, START, SearchContract
from tests.stubs.opensearch import OpenSearchApi
from tests.stubs.small_server import NOBODY, Said, SmallServer, endpoint, said
from tests.stubs.spec import CONTRACTS
from tests.support.waiting import until

SPEC = CONTRACTS / "opensearch" / "_core.rank_eval.yaml"
JUDGED = [JudgedQuery(query="sort list", grades={"d1": 2, "d4": 1}), JudgedQuery(query="read file", grades={"d3": 1})]


def queries() -> dict[str, dict[str, Any]]:
    """Return what was asked as UBI keeps it."""
    return {
        f"s{n}": {
            "timestamp": asked.at.isoformat(),
            "query_id": f"s{n}",
            "user_query": asked.query,
            "query_response_hit_ids": [f"d{i}" for i in range(asked.results)],
        }
        for n, asked in enumerate(ASKED)
    }


def events() -> dict[str, dict[str, Any]]:
    """Return what users did as UBI keeps it: a click counts once a search, other actions not at all."""
    clicks = [n for n, asked in enumerate(ASKED) if asked.clicked]
    acts = [(n, "click") for n in clicks + clicks[:1]] + [(n, "impression") for n in range(len(ASKED))]
    return {
        f"e{number}": {
            "timestamp": ASKED[n].at.isoformat(),
            "query_id": f"s{n}",
            "user_query": ASKED[n].query,
            "action_name": action,
        }
        for number, (n, action) in enumerate(acts)
    }


def document(line: LogLine) -> dict[str, Any]:
    """Return a log line as a shipper indexes it."""
    fields = json.loads(line.fields) if line.fields else {}
    return {"@timestamp": line.ts.isoformat(), "message": line.event, "level": line.level, **fields}


def api(**changes: Any) -> OpenSearchApi:
    indices = {
        "documents-v1": {name: {"title": text, "text": ""} for name, text in DOCUMENTS.items()},
        "ubi_queries": queries(),
        "ubi_events": events(),
        "logs-2026": {str(n): document(line) for n, line in enumerate(logs_contract.LINES)},
        "logs-other": {},
    }
    return OpenSearchApi(**{"indices": indices, "aliases": {"documents": ["documents-v1"]}, **changes})


@contextmanager
def engine(server: SmallServer, **fields: Any) -> Iterator[OpenSearchEngine]:
    names = ("url", "token", "timeout", "attempts", "username", "password")
    of_endpoint = {name: fields.pop(name) for name in names if name in fields}
    given = {"index": "documents", **fields}
    search = OpenSearchEngine(endpoint=endpoint(**{"url": server.url, **of_endpoint}), clock=FrozenClock(NOW), **given)
    try:
        yield search
    finally:
        search.close()


@contextmanager
def logs_of(server: SmallServer, **fields: Any) -> Iterator[OpenSearchLogs]:
    of_endpoint = {name: fields.pop(name) for name in ("url", "timeout", "attempts") if name in fields}
    clock = FrozenClock(logs_contract.NOW)
    given = {"index": "logs-*", **fields}
    logs = OpenSearchLogs(endpoint=endpoint(**{"url": server.url, **of_endpoint}), clock=clock, **given)
    try:
        yield logs
    finally:
        logs.close()


@pytest.fixture
def server() -> Iterator[SmallServer]:
    with SmallServer(api()) as running:
        yield running


@pytest.mark.integration("opensearch", "works")
class TestOpenSearch(SearchContract):
    @pytest.fixture
    def search(self, server: SmallServer) -> Iterator[SearchPort]:
        with engine(server) as search:
            yield search


@pytest.mark.integration("opensearch", "works")
class TestLogsInOpenSearch(LogsContract):
    @pytest.fixture
    def logs(self, server: SmallServer) -> Iterator[LogsPort]:
        with logs_of(server) as logs:
            yield logs


@pytest.mark.integration("opensearch", "works")
def test_documents_are_rated_under_their_index_and_not_under_its_alias(server: SmallServer) -> None:
    with engine(server) as search:
        found = search.rank_eval(JUDGED)
    sent = json.loads(server.seen[-1].body)
    assert {rating["_index"] for asked in sent["requests"] for rating in asked["ratings"]} == {"documents-v1"}
    assert found.ndcg.finite() > 0.9


@pytest.mark.integration("opensearch", "works")
def test_an_evaluation_is_asked_and_answered_as_the_public_description_says(server: SmallServer) -> None:
    if not SPEC.is_file():
        pytest.skip("the public description of OpenSearch's API is not beside the checkout")
    schemas = _without_other_files(yaml.safe_load(SPEC.read_text())["components"]["schemas"])

    def check(name: str, value: Any) -> None:
        whole = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        jsonschema.Draft202012Validator(whole).validate(value)

    with engine(server) as search:
        search.rank_eval(JUDGED)
    asked, answered = server.exchanges[-1]
    body = asked.json()
    for item in body["requests"]:
        check("RankEvalRequestItem", item)
    check("RankEvalMetric", body["metric"])
    assert set(body["metric"]["dcg"]) <= {"k", "normalize"}
    for detail in json.loads(answered.body)["details"].values():
        check("RankEvalMetricDetail", detail)


def _without_other_files(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_other_files(item) for item in node]
    if not isinstance(node, dict):
        return node
    if not str(node.get("$ref", "#")).startswith("#"):
        return {}
    return {name: _without_other_files(value) for name, value in node.items()}


@pytest.mark.integration("opensearch", "works")
def test_a_query_the_engine_fails_on_is_told_and_not_counted(server: SmallServer) -> None:
    server.answer = api(failing=["read file"])
    with engine(server) as search:
        found = search.rank_eval(JUDGED)
    assert found.ndcg.n == 1
    assert "all shards failed" in found.failed["read file"]
    server.answer = api(failing=["read file", "sort list"])
    with engine(server) as search:
        assert not search.rank_eval(JUDGED).ndcg.usable


@pytest.mark.integration("opensearch", "works")
def test_the_thresholds_of_the_slow_log_are_read(server: SmallServer) -> None:
    slow = "index.search.slowlog.threshold.query"
    server.answer = api(settings={f"{slow}.warn": "2s", f"{slow}.info": "-1", "index.search.slowlog.level": "info"})
    with engine(server) as search:
        found = search.index()
    assert found.slow_log == {"warn": "2s"}
    assert (found.deleted, found.bytes, found.query_ms.value) == (1, 4000, 4.5)


@pytest.mark.integration("opensearch", "refused")
def test_wrong_credentials_and_missing_permissions_are_told(server: SmallServer) -> None:
    with engine(server, username="reader", password="right") as search:
        search.check()
    server.header = ("Authorization", server.seen[-1].headers["authorization"])
    with (
        engine(server, username="reader", password="wrong") as search,
        pytest.raises(DependencyUnavailable, match="credentials of search"),
    ):
        search.check()
    server.header = None
    server.lie = said({"error": {"reason": "no permissions for [indices:data/read/search]"}, "status": 403}, 403)
    with engine(server) as search, pytest.raises(DependencyUnavailable, match="no permissions for"):
        search.analytics(START, NOW)
    with logs_of(server) as logs, pytest.raises(DependencyUnavailable, match=r"credentials of logs\.http"):
        logs.search(START)
    with engine(server, url=NOBODY) as search, pytest.raises(DependencyUnavailable, match=r"search\.url"):
        search.index()


@pytest.mark.integration("opensearch", "slow")
def test_a_late_answer_is_asked_for_again_and_then_given_up(server: SmallServer) -> None:
    server.delay = 30
    fields = {"timeout": timedelta(milliseconds=300), "attempts": 2}
    with engine(server, **fields) as search, pytest.raises(DependencyTimeout, match="in time"):
        search.analytics(START, NOW)
    until(lambda: len(server.seen) >= 2)
    assert len(server.seen) == 2
    with logs_of(server, **fields) as logs, pytest.raises(DependencyTimeout, match="in time"):
        logs.search(START)


@pytest.mark.integration("opensearch", "slow")
def test_a_search_that_was_cut_off_is_no_answer(server: SmallServer) -> None:
    server.answer = api(timed_out=True)
    with engine(server) as search, pytest.raises(DependencyTimeout, match="cut off"):
        search.analytics(START, NOW)
    with logs_of(server) as logs, pytest.raises(DependencyTimeout, match="cut off"):
        logs.search(START)


@pytest.mark.integration("opensearch", "lying")
def test_what_only_some_shards_say_is_no_answer(server: SmallServer) -> None:
    server.answer = api(failed_shards=1)
    with engine(server) as search, pytest.raises(DependencyLied, match="1 of 2 shards failed"):
        search.analytics(START, NOW)
    with logs_of(server) as logs, pytest.raises(DependencyLied, match="1 of 2 shards failed"):
        logs.search(START)


def _counts(queries: int, empty: int, searches: float) -> Said:
    top = {"buckets": [{"key": "q", "doc_count": queries, "empty": {"doc_count": empty}, "searches": {"value": 0}}]}
    made = {"empty": {"doc_count": empty}, "searches": {"value": searches}, "top": top}
    return said({"hits": {"total": {"value": queries}, "hits": []}, "_shards": {"failed": 0}, "aggregations": made})


@pytest.mark.integration("opensearch", "lying")
@pytest.mark.parametrize(
    ("lie", "problem"),
    [
        (_counts(10, 11, 0), "11 of 10"),
        (_counts(10, 0, 400), "400 searches with a click, 10 searches"),
        (_counts(10, 0, float("nan")), "no number"),
        (said({"hits": {"total": {"value": 3}, "hits": []}}), "no aggregations"),
        (said({"took": 3}), "no search result"),
    ],
)
def test_analytics_that_contradict_themselves_are_not_believed(server: SmallServer, lie: Said, problem: str) -> None:
    server.lie = lie
    with engine(server) as search, pytest.raises(DependencyLied, match=problem):
        search.analytics(START, NOW)


def _scored(mean: Any, *scores: Any) -> Said:
    details = {f"q{n}": {"metric_score": score, "unrated_docs": [], "hits": []} for n, score in enumerate(scores)}
    return said({"metric_score": mean, "details": details, "failures": {}})


@pytest.mark.integration("opensearch", "lying")
@pytest.mark.parametrize(
    ("lie", "problem"),
    [
        (_scored(0.9, 0.5, 0.5), "the mean of the queries is 0.5000"),
        (_scored(0.5, 0.5), "says nothing of the query 1"),
        (_scored(0.9, 1.7, 0.1), "1.7 cannot be"),
        (_scored(float("nan"), float("nan"), 0.5), "nan cannot be"),
        (said({"metric_score": 0.5}), "no details"),
    ],
)
def test_an_evaluation_that_contradicts_itself_is_not_believed(server: SmallServer, lie: Said, problem: str) -> None:
    true = server.answer
    server.answer = lambda request: lie if request.path.endswith("_rank_eval") else true(request)
    with engine(server) as search, pytest.raises(DependencyLied, match=problem):
        search.rank_eval(JUDGED)


@pytest.mark.integration("opensearch", "lying")
def test_log_lines_of_another_time_or_without_one_are_not_taken(server: SmallServer) -> None:
    def hit(source: Any) -> Said:
        return said({"hits": {"hits": [{"_id": "1", "_source": source}]}, "_shards": {"failed": 0}})

    for source in ({"@timestamp": "2020-01-01T00:00:00Z", "message": "x"}, {"message": "x"}, None):
        server.lie = hit(source)
        with logs_of(server) as logs, pytest.raises(DependencyLied):
            logs.search(START)


@pytest.mark.integration("opensearch", "misconfigured")
def test_each_way_of_misconfiguring_the_engine_has_its_own_remedy(server: SmallServer) -> None:
    server.answer = api(aliases={"documents": ["documents-v1"], "both": ["documents-v1", "ubi_events"]})
    problems: list[tuple[dict[str, Any], str]] = [
        ({"index": "absent"}, r"search\.index: there is no index 'absent'"),
        ({"fields": ("title", "body")}, r"search\.fields: documents has no field 'body'"),
        ({"ubi": Ubi(queries="absent")}, r"search\.ubi: there is no index 'absent'.*User Behavior Insights"),
    ]
    for fields, remedy in problems:
        with engine(server, **fields) as search, pytest.raises(ConfigurationError, match=remedy):
            search.check()
    with engine(server, index="both") as search, pytest.raises(ConfigurationError, match="stands for 2 indices"):
        search.rank_eval(JUDGED)
    for wrong, field in (({"index": "_all"}, r"search\.index"), ({"fields": ()}, r"search\.fields")):
        with pytest.raises(ConfigurationError, match=field), engine(server, **dict[str, Any](wrong)):
            pass
    server.answer = api(distribution=None)
    with engine(server) as search, pytest.raises(ConfigurationError, match="is not OpenSearch"):
        search.check()
    with (
        engine(server, url=server.url.replace("http:", "https:")) as search,
        pytest.raises(DependencyUnavailable, match=r"search\.url"),
    ):
        search.check()


@pytest.mark.integration("opensearch", "misconfigured")
def test_each_way_of_misconfiguring_the_logs_has_its_own_remedy(server: SmallServer) -> None:
    problems: list[tuple[dict[str, Any], str]] = [
        ({"index": "absent"}, r"logs\.index: there is no index 'absent'"),
        ({"time_field": "when"}, r"logs\.time_field"),
        ({"text_field": "body"}, r"logs\.text_field"),
        ({"level_field": "severity"}, r"logs\.level_field"),
    ]
    for fields, remedy in problems:
        with logs_of(server, **fields) as logs, pytest.raises(ConfigurationError, match=remedy):
            logs.check()
    with pytest.raises(ConfigurationError, match=r"logs\.index"), logs_of(server, index="_all"):
        pass
