"""What every search engine has to hold to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from adapters.search.base import JudgedQuery, QueryStat, SearchPort
from adapters.search.memory import Asked
from domain.errors import InvalidInput

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOW = START + timedelta(hours=1)
DOCUMENTS = {
    "d1": "sort a list in place",
    "d2": "sort a dictionary by its values",
    "d3": "open a file and read lines",
    "d4": "reverse a list",
}
ASKED = [
    Asked(START, "sort list", 3, clicked=True),
    Asked(START + 1 * MINUTE, "sort list", 3, clicked=False),
    Asked(START + 2 * MINUTE, "sort list", 3, clicked=True),
    Asked(START + 3 * MINUTE, 'qwertz" OR 1', 0, clicked=False),
    Asked(START + 4 * MINUTE, "read file", 1, clicked=False),
]


class SearchContract:
    """A vendor gives `search` over DOCUMENTS and ASKED at NOW."""

    @pytest.fixture
    def search(self) -> SearchPort:
        raise NotImplementedError

    def test_shares_are_of_the_queries_of_the_span(self, search: SearchPort) -> None:
        found = search.analytics(START, NOW)
        assert found.queries == 5
        assert found.zero_result_share.value == pytest.approx(1 / 5)
        assert found.click_through.value == pytest.approx(2 / 5)
        assert (found.click_through.n, found.click_through.window, found.click_through.at) == (5, NOW - START, NOW)

    def test_the_most_frequent_queries_come_first_with_how_they_fared(self, search: SearchPort) -> None:
        top = search.analytics(START, NOW, 2).top
        assert top[0] == QueryStat(query="sort list", count=3, empty=0, clicked=2)
        assert len(top) == 2
        everything = {stat.query: stat for stat in search.analytics(START, NOW).top}
        assert everything['qwertz" OR 1'].empty == 1
        assert len(everything) == 3

    def test_a_span_is_half_open(self, search: SearchPort) -> None:
        assert search.analytics(ASKED[1].at, ASKED[4].at).queries == 3

    def test_without_a_query_there_is_no_share(self, search: SearchPort) -> None:
        found = search.analytics(START - timedelta(hours=2), START)
        assert found.queries == 0
        assert found.zero_result_share.value is None
        assert not found.click_through.usable
        assert found.top == ()

    def test_a_ranking_is_scored_by_what_documents_are_worth(self, search: SearchPort) -> None:
        judged = [
            JudgedQuery(query="sort list", grades={"d1": 2, "d2": 0, "d4": 0}),
            JudgedQuery(query="read file", grades={"d1": 1}),
        ]
        found = search.rank_eval(judged, 3)
        assert [score.query for score in found.scores] == ["sort list", "read file"]
        assert found.scores[0].ndcg == pytest.approx(1.0)
        assert found.scores[0].unrated == 0
        assert (found.scores[1].ndcg, found.scores[1].unrated) == (0.0, 1)
        assert found.ndcg.value == pytest.approx(0.5)
        assert (found.ndcg.n, found.k, found.failed) == (2, 3, {})

    def test_a_better_place_scores_better(self, search: SearchPort) -> None:
        first = search.rank_eval([JudgedQuery(query="sort list", grades={"d1": 1})]).ndcg.finite()
        later = search.rank_eval([JudgedQuery(query="sort list", grades={"d4": 1})]).ndcg.finite()
        assert first > later > 0

    def test_the_index_says_how_much_it_holds(self, search: SearchPort) -> None:
        found = search.index()
        assert found.documents == len(DOCUMENTS)
        assert found.health in ("green", "yellow")
        assert found.query_ms.usable

    def test_what_cannot_be_asked_is_refused(self, search: SearchPort) -> None:
        with pytest.raises(InvalidInput, match="until"):
            search.analytics(START, START)
        for top in (0, 101):
            with pytest.raises(InvalidInput, match="top"):
                search.analytics(START, NOW, top)
        with pytest.raises(InvalidInput, match="judged"):
            search.rank_eval([])
        with pytest.raises(InvalidInput, match="k:"):
            search.rank_eval([JudgedQuery(query="q", grades={"d1": 1})], 0)

    def test_the_check_answers_in_one_line(self, search: SearchPort) -> None:
        assert search.check()
        assert "\n" not in search.check()
