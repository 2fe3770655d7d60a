"""What every retrieval has to hold to."""

from __future__ import annotations

import pytest

from adapters.retrieval.base import Passage, RetrievalPort

PASSAGES = [
    Passage(id="shift", text="New subjects arrived and relevance fell: unknown vocabulary, retrain the re-ranker."),
    Passage(id="deploy", text="A release made ranking worse right after promotion: roll back the bad release."),
    Passage(id="labels", text="The feedback pipeline wrote damaged judgements: quarantine labels, fix the data."),
    Passage(id="slow", text="Latency rose when an expensive mode was switched on: tune the mode."),
]


class RetrievalContract:
    """A vendor gives `retrieval`, empty."""

    @pytest.fixture
    def retrieval(self) -> RetrievalPort:
        raise NotImplementedError

    @pytest.mark.parametrize(
        ("text", "closest"),
        [
            ("vocabulary of new subjects unknown", "shift"),
            ("worse right after the release", "deploy"),
            ("judgements of the feedback pipeline look damaged", "labels"),
            ("latency, expensive mode", "slow"),
        ],
    )
    def test_the_closest_passage_comes_first(self, retrieval: RetrievalPort, text: str, closest: str) -> None:
        for passage in PASSAGES:
            retrieval.add(passage)
        found = retrieval.similar(text)
        assert len(found) == 3
        assert found[0].id == closest
        assert found[0].score > found[1].score

    def test_scores_fall_and_stay_between_zero_and_one(self, retrieval: RetrievalPort) -> None:
        for passage in PASSAGES:
            retrieval.add(passage)
        scores = [passage.score for passage in retrieval.similar(PASSAGES[0].text, limit=10)]
        assert len(scores) == 4
        assert scores == sorted(scores, reverse=True)
        assert scores[0] == pytest.approx(1.0)
        assert all(0 <= score <= 1 for score in scores)

    def test_ties_come_by_identity(self, retrieval: RetrievalPort) -> None:
        for name in ("c", "a", "b"):
            retrieval.add(Passage(id=name, text="the same words here"))
        assert [passage.id for passage in retrieval.similar("same words")] == ["a", "b", "c"]

    def test_the_same_identity_replaces_the_passage(self, retrieval: RetrievalPort) -> None:
        retrieval.add(Passage(id="a", text="latency"))
        retrieval.add(Passage(id="a", text="relevance", facts={"action": "retrain"}))
        (found,) = retrieval.similar("relevance")
        assert (found.text, dict(found.facts)) == ("relevance", {"action": "retrain"})

    def test_the_same_question_gets_the_same_answer(self, retrieval: RetrievalPort) -> None:
        for passage in PASSAGES:
            retrieval.add(passage)
        first = retrieval.similar("release")
        assert retrieval.similar("release") == first

    def test_nothing_kept_or_nothing_asked_is_no_error(self, retrieval: RetrievalPort) -> None:
        assert list(retrieval.similar("anything")) == []
        retrieval.add(Passage(id="empty", text=""))
        retrieval.add(PASSAGES[0])
        assert {passage.score for passage in retrieval.similar("?!")} <= {0.0, 1.0}
        assert list(retrieval.similar("relevance", limit=0)) == []
        assert retrieval.similar("relevance", limit=1)[0].id == "shift"
