"""Retrievals, held to their contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.retrieval.base import RetrievalPort
from adapters.retrieval.langchain import HashingEmbeddings, LangChainRetrieval
from adapters.retrieval.memory import MemoryRetrieval
from domain.errors import DependencyUnavailable
from tests.contract.retrieval_contract import PASSAGES, RetrievalContract


class TestMemoryRetrieval(RetrievalContract):
    @pytest.fixture
    def retrieval(self) -> RetrievalPort:
        return MemoryRetrieval()


class TestLangChainRetrieval(RetrievalContract):
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "memory" / "passages.jsonl"

    @pytest.fixture
    def retrieval(self, path: Path) -> RetrievalPort:
        return LangChainRetrieval(path)

    def test_passages_survive_the_process(self, retrieval: RetrievalPort, path: Path) -> None:
        for passage in (*PASSAGES, PASSAGES[0].model_copy(update={"text": "replaced"})):
            retrieval.add(passage)
        again = LangChainRetrieval(path)
        assert again.similar("bad release", limit=9) == retrieval.similar("bad release", limit=9)
        assert again.similar("replaced", limit=1)[0].id == "shift"

    def test_the_same_passage_again_is_not_written_again(self, retrieval: RetrievalPort, path: Path) -> None:
        for _ in range(3):
            retrieval.add(PASSAGES[0])
        assert len(path.read_text().splitlines()) == 1

    def test_a_line_torn_by_a_dying_process_is_cut_off(self, retrieval: RetrievalPort, path: Path) -> None:
        retrieval.add(PASSAGES[0])
        with path.open("a") as out:
            out.write('{"id": "half')
        again = LangChainRetrieval(path)
        again.add(PASSAGES[1])
        assert {passage.id for passage in LangChainRetrieval(path).similar("release")} == {"shift", "deploy"}

    def test_a_damaged_line_is_named(self, retrieval: RetrievalPort, path: Path) -> None:
        retrieval.add(PASSAGES[0])
        path.write_text(path.read_text() + "garbage\n" + path.read_text())
        with pytest.raises(DependencyUnavailable, match="line 2"):
            LangChainRetrieval(path)


def test_an_embedding_has_length_one_and_is_the_same_in_every_process() -> None:
    embeddings = HashingEmbeddings(64)
    vector = embeddings.embed_query("relevance fell after the release")
    assert sum(value * value for value in vector) == pytest.approx(1.0)
    assert embeddings.embed_query("") == [0.0] * 64
    places = [place for place, value in enumerate(HashingEmbeddings(64).embed_query("relevance")) if value]
    assert places == [place for place, value in enumerate(embeddings.embed_query("Relevance!")) if value]
    assert len(places) == 1
