"""The truth and the story it tells: health, loss by new subjects, and what heals it, all of it learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.clicks import clicks
from testbed.corpus import load_collection, load_docstrings
from testbed.search import Searcher
from testbed.text import tokens
from testbed.truth import measure, ndcg, recall
from tests.testbed.science import LATER, Story, judged

CRANFIELD = Path(__file__).resolve().parents[3] / "shared" / "data" / "ir" / "cranfield"


@pytest.fixture(scope="module")
def story(scratch: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("story"), load_docstrings(2000, scratch), 4000)


def _shift(story: Story) -> list[dict[str, Any]]:
    fresh = judged(story.population, story.shifted_mix, story.degraded, range(LATER, LATER + 800))
    return [*story.rows, *fresh]


def test_ndcg_and_recall_follow_their_definitions() -> None:
    assert ndcg(["a", "b", "c"], {"c": 1}) == pytest.approx(0.5)
    assert ndcg(["a", "b"], {"a": 3, "b": 1}) == 1.0
    assert ndcg(["b", "a"], {"a": 3, "b": 1}) == pytest.approx((1 + 3 / np.log2(3)) / (3 + 1 / np.log2(3)))
    assert ndcg([], {"a": 1}) == ndcg(["a"], {}) == ndcg([*"bcdefghijk", "a"], {"a": 1}) == 0.0
    assert recall(["a", "b"], {"a": 1, "z": 2, "n": 0}) == 0.5
    assert recall(["a"], {}) == 0.0


def test_a_healthy_platform_is_good_and_far_better_than_words_alone(story: Story) -> None:
    healthy = story.ndcg(story.healthy, story.mix)
    assert 0.55 < healthy < 0.85
    assert healthy > 1.08 * story.ndcg(Searcher(story.index, None), story.mix)


def test_new_subjects_hurt_and_training_on_their_sessions_heals(story: Story) -> None:
    degraded = story.ndcg(story.degraded, story.shifted_mix)
    assert degraded < 0.9 * story.ndcg(story.healthy, story.mix)
    bundle = story.retrained("again", _shift(story), story.everything)
    assert story.ndcg(Searcher(story.full_index, bundle), story.shifted_mix) > 1.08 * degraded


def test_training_again_without_a_change_brings_next_to_nothing(story: Story) -> None:
    more = judged(story.population, story.mix, story.healthy, range(LATER, LATER + 800))
    bundle = story.retrained("same", [*story.rows, *more], story.known)
    gain = story.ndcg(Searcher(story.index, bundle), story.mix) / story.ndcg(story.healthy, story.mix) - 1
    assert -0.02 < gain < 0.03


def test_a_model_trained_on_wrong_labels_is_much_worse(story: Story) -> None:
    targets = [row["doc_id"] for row in story.rows]
    wrong = [{**row, "doc_id": other} for row, other in zip(story.rows, [*targets[7:], *targets[:7]], strict=True)]
    bundle = story.retrained("wrong", wrong, story.known)
    assert story.ndcg(Searcher(story.index, bundle), story.mix) < 0.85 * story.ndcg(story.healthy, story.mix)


def test_a_model_trained_on_a_third_of_the_documents_is_worse(story: Story) -> None:
    bundle = story.retrained("part", story.rows, sorted(story.known, key=lambda d: d.id)[: len(story.known) // 3])
    assert story.ndcg(Searcher(story.index, bundle), story.mix) < 0.88 * story.ndcg(story.healthy, story.mix)


def test_written_queries_of_low_weight_help_where_no_user_has_judged_yet(story: Story) -> None:
    rng = np.random.default_rng(0)
    written = []
    for document in story.new:
        words = sorted(set(tokens(f"{document.title} {document.text}")))
        query = " ".join(rng.choice(words, min(3, len(words)), replace=False))
        written.append({"query": query, "doc_id": document.id, "grade": 1, "source": "synthetic", "weight": 0.3})
    without = story.retrained("without", story.rows, story.everything)
    helped = story.retrained("written", [*story.rows, *written], story.everything)
    before, after = (story.ndcg(Searcher(story.full_index, b), story.shifted_mix) for b in (without, helped))
    assert after > 1.04 * before


def test_judged_sessions_agree_with_the_truth(story: Story) -> None:
    gains, ratings = [], []
    for number in range(2 * LATER, 2 * LATER + 800):
        intent = story.population.session(number, story.mix)
        shown = [hit.id for hit in story.healthy.search(intent.query, 10)]
        outcome = clicks(intent, shown, np.random.default_rng(number))
        gains.append(ndcg(shown, {outcome.judged: 1}))
        ratings.append(outcome.rating)
    assert np.mean(gains) == pytest.approx(story.ndcg(story.healthy, story.mix), abs=0.06)
    assert np.mean(ratings) > 4.1


def test_hard_sessions_are_hard_for_every_model(story: Story) -> None:
    def search(query: str, _: str) -> list[str]:
        return [hit.id for hit in story.healthy.search(query, 20)]

    hard = measure(search, story.population, 200, 1, story.mix, hard=True)
    usual = measure(search, story.population, 200, 1, story.mix)
    assert hard["ndcg_at_10"] < 0.6 * usual["ndcg_at_10"]


def test_the_same_seed_asks_the_same_and_slices_add_up(story: Story) -> None:
    asked: list[list[str]] = [[], [], []]

    def search(place: int, query: str) -> list[str]:
        asked[place].append(query)
        return [hit.id for hit in story.healthy.search(query, 20)]

    def found(place: int, seed: int) -> dict[str, Any]:
        return measure(lambda query, _: search(place, query), story.population, 60, seed, story.mix)

    one, two, other = found(0, 1), found(1, 1), found(2, 2)
    assert one == two
    assert asked[0] == asked[1] != asked[2]
    slices = one["per_subject"].values()
    assert sum(part["n"] for part in slices) == one["n"] == 60
    assert sum(part["n"] * part["ndcg_at_10"] for part in slices) / 60 == pytest.approx(one["ndcg_at_10"])
    assert other["stderr"] > 0
    with pytest.raises(ValueError, match="n=1"):
        measure(lambda q, _: [], story.population, 1, 1, story.mix)


def test_a_classic_collection_is_hurt_and_healed_too(tmp_path: Path) -> None:
    if not CRANFIELD.is_dir():
        pytest.skip("the collection cranfield is not on this machine")
    collection = load_collection(CRANFIELD)
    story = Story(tmp_path, collection.documents, 2000, collection)
    degraded = story.ndcg(story.degraded, story.shifted_mix, 500)
    assert degraded < 0.9 * story.ndcg(story.healthy, story.mix, 500)
    bundle = story.retrained("again", _shift(story), story.everything)
    assert story.ndcg(Searcher(story.full_index, bundle), story.shifted_mix, 500) > 1.04 * degraded
