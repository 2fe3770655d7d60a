"""Users: seeded, popular things are popular, their words differ from the documents', and they look from the top."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from testbed.clicks import clicks
from testbed.corpus import Collection, Document, load_docstrings
from testbed.population import Intent, Population
from testbed.text import tokens
from testbed.vocabulary import OTHER_NAMES, UserVocabulary


@pytest.fixture(scope="module")
def documents(scratch: Path) -> list[Document]:
    return load_docstrings(1000, scratch)


@pytest.fixture(scope="module")
def population(documents: list[Document]) -> Population:
    return Population(documents, 4)


def test_a_session_follows_from_seed_stream_number_and_mix(documents: list[Document], population: Population) -> None:
    mix = population.mix(population.subjects)
    again = Population(documents, 4)
    assert [population.session(n, mix) for n in range(50)] == [again.session(n, mix) for n in range(50)]
    assert population.session(0, mix) != Population(documents, 5).session(0, mix)
    assert population.session(0, mix) != population.session(0, mix, stream="truth")


def test_the_mix_decides_what_is_asked_for(population: Population) -> None:
    known, new = population.subjects[:20], population.subjects[20:]
    shifted = population.mix(known, new, 0.55)
    asked = Counter(population.session(n, shifted).subject in new for n in range(600))
    assert sum(shifted.values()) == pytest.approx(1.0, abs=1e-4)
    assert asked[True] / 600 == pytest.approx(0.55, abs=0.07)
    assert all(population.session(n, population.mix(known)).subject in known for n in range(200))


def test_a_mix_without_a_known_subject_is_refused(population: Population) -> None:
    with pytest.raises(ValueError, match="names no subject"):
        population.session(0, {"nowhere": 1.0})


def test_few_documents_get_much_of_the_traffic(population: Population) -> None:
    mix = population.mix(population.subjects)
    asked = Counter(population.session(n, mix).target for n in range(2000))
    assert sum(count for _, count in asked.most_common(100)) > 0.35 * 2000
    assert len(asked) > 300


def test_users_say_many_words_otherwise_and_always_alike(documents: list[Document], population: Population) -> None:
    words = {document.id: set(tokens(f"{document.title} {document.text}")) for document in documents}
    mix = population.mix(population.subjects)
    foreign, said = 0, 0
    for number in range(500):
        intent = population.session(number, mix)
        query = tokens(intent.query)
        foreign += sum(word not in words[intent.target] for word in query)
        said += len(query)
    assert 0.25 < foreign / said < 0.75
    vocabulary, other = UserVocabulary(4), UserVocabulary(5)
    assert vocabulary.name("directory") == "folder" == OTHER_NAMES["directory"]
    long_words = ("estimator", "serializer", "subprocess", "coefficients", "interpolate", "polynomial", "broadcast")
    assert [vocabulary.name(word) for word in long_words] == [UserVocabulary(4).name(word) for word in long_words]
    assert [vocabulary.name(word) for word in long_words] != [other.name(word) for word in long_words]


def test_hard_sessions_use_fewer_and_commoner_words(population: Population) -> None:
    mix = population.mix(population.subjects)
    hard = [len(tokens(population.session(n, mix, hard=True).query)) for n in range(200)]
    usual = [len(tokens(population.session(n, mix).query)) for n in range(200)]
    assert np.mean(hard) < np.mean(usual) - 0.7


def test_some_real_queries_are_never_asked_in_traffic() -> None:
    documents = [Document(str(n), f"title{n}", f"word{n} other{n} thing", "ab"[n % 2]) for n in range(80)]
    queries = {str(n): f"wq{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(40)}
    qrels = {str(n): {str(n): 2, str(n + 40): 1, "79": 0} for n in range(40)}
    population = Population(documents, 1, Collection(documents, queries, qrels))
    mix = {"a": 1.0, "b": 1.0}
    streams = {}
    for stream in ("traffic", "truth"):
        intents = [population.session(n, mix, stream=stream) for n in range(600)]
        streams[stream] = {intent.query for intent in intents if intent.query.startswith("wq")}
        assert any(len(intent.relevant) == 2 and intent.relevant[intent.target] == 2 for intent in intents)
    assert streams["traffic"]
    assert streams["truth"]
    assert not streams["traffic"] & streams["truth"]
    assert all(population.session(n, {"a": 1.0}).subject != "b" for n in range(50))


def test_an_empty_population_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one document"):
        Population([], 0)


def _outcomes(rank: int | None, count: int = 800) -> tuple[float, float, float]:
    """(mean rating, share that found it here, clicks per session) with the answer at a rank."""
    shown = [f"d{place}" for place in range(1, 11)]
    intent = Intent("u1", "query", {f"d{rank}" if rank else "elsewhere": 1}, "s")
    outcomes = [clicks(intent, shown, np.random.default_rng(n)) for n in range(count)]
    assert all(outcome.judged == intent.target for outcome in outcomes)
    return (
        float(np.mean([outcome.rating for outcome in outcomes])),
        float(np.mean([outcome.satisfied == intent.target for outcome in outcomes])),
        float(np.mean([len(outcome.clicked) for outcome in outcomes])),
    )


def test_satisfaction_falls_with_the_rank_of_the_answer() -> None:
    ratings = [_outcomes(rank)[0] for rank in (1, 4, 9, None)]
    assert ratings == sorted(ratings, reverse=True)
    assert ratings[0] > 4.6
    assert ratings[-1] < 3.4


def test_attention_falls_with_the_rank() -> None:
    found = [_outcomes(rank)[1] for rank in (1, 4, 9, None)]
    assert found[0] > 0.9 > found[1] > found[2] > found[3] == 0.0


def test_who_finds_nothing_still_clicks_at_times() -> None:
    assert 0.1 < _outcomes(None)[2] < 1.0
