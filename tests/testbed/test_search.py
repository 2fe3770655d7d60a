"""Search: candidates, features, modes, and what a model makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from testbed import clock
from testbed.bundle import FILES, Bundle, bundle_digest
from testbed.corpus import Document, load_docstrings
from testbed.errors import BundleError
from testbed.features import FEATURES
from testbed.lexical import LexicalIndex
from testbed.search import Hit, Mode, Searcher
from testbed.tables import Judgement, learn_tables
from testbed.trees import Forest
from tests.testbed.science import Story

LIBRARY = [
    Document("io.open", "io.open", "open a file and return a stream", "io"),
    Document("io.close", "io.close", "close the stream", "io"),
    Document("json.load", "json.load", "parse a document from a stream", "json"),
    Document("math.sqrt", "math.sqrt", "square root of a number", "math"),
]


def ids(hits: list[Hit]) -> list[str]:
    return [hit.id for hit in hits]


@pytest.fixture(scope="module")
def story(scratch: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("search"), load_docstrings(1000, scratch), 1500)


def test_plain_search_finds_by_words_and_answers_nothing_to_unknown_ones() -> None:
    searcher = Searcher(LIBRARY, None)
    assert searcher.search("open file")[0].id == "io.open"
    assert searcher.search("square root", 1) == searcher.search("  Square ROOT ", 1)
    assert searcher.search("zzz") == []
    assert searcher.search("") == []


def test_hidden_documents_never_appear() -> None:
    searcher = Searcher(LIBRARY, None)
    searcher.hide(["io.open", "not there"])
    assert "io.open" not in [hit.id for hit in searcher.search("open file stream")]
    searcher.hide([])
    assert searcher.search("open file stream")[0].id == "io.open"


@pytest.mark.parametrize(("k", "mode"), [(0, "balanced"), (10, "careless")])
def test_misuse_is_refused(k: int, mode: Mode) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        Searcher(LIBRARY, None).search("open", k, mode)


def test_an_index_needs_documents_with_unique_ids() -> None:
    with pytest.raises(ValueError, match="at least one"):
        LexicalIndex([])
    with pytest.raises(ValueError, match="unique"):
        LexicalIndex([LIBRARY[0], LIBRARY[0]])


def test_an_extended_index_is_the_index_of_all_documents() -> None:
    extended = LexicalIndex(LIBRARY[:2]).extended([replace(LIBRARY[1], text="shut it"), *LIBRARY[2:]])
    direct = LexicalIndex([LIBRARY[0], replace(LIBRARY[1], text="shut it"), *LIBRARY[2:]])
    assert extended.ids == direct.ids
    assert np.array_equal(extended.text.data, direct.text.data)
    assert Searcher(extended, None).search("shut")[0].id == "io.close"


def test_clicks_teach_other_names_for_the_same_thing() -> None:
    index = LexicalIndex(LIBRARY)
    asked = (("strm open", "io.open"), ("strm close", "io.close"), ("strm parse", "json.load"), ("strm", "io.close"))
    tables = learn_tables([Judgement.of(query, doc, 1) for query, doc in asked * 5], index)
    assert max(tables.translation["strm"], key=lambda word: tables.translation["strm"][word]) == "stream"
    assert tables.popularity == {"io.close": 10.0, "io.open": 5.0, "json.load": 5.0}
    assert tables.expansion["json.load"] == {"parse": 5.0, "strm": 5.0}
    assert tables.subject_beliefs(["close"])["io"] > tables.subject_beliefs([])["io"]


def test_what_no_user_said_counts_less_and_makes_nothing_popular() -> None:
    rows = [Judgement.of("root", "math.sqrt", 1, "synthetic", 0.25), Judgement.of("nothing", "gone", 1)]
    tables = learn_tables(rows, LexicalIndex(LIBRARY))
    assert tables.popularity == {}
    assert tables.expansion == {"math.sqrt": {"root": 0.25}}
    assert tables.subjects == {"math": 0.25}


def test_the_numpy_forest_scores_as_the_trainer_does(story: Story) -> None:
    import lightgbm

    text = (story.folder / "healthy/out/bundle/booster.txt").read_text()
    mix = story.mix
    queries = [story.population.session(n, mix).query for n in range(20)]
    matrix = np.concatenate([story.healthy.builder.candidates(query, 50).features for query in queries])
    expected = lightgbm.Booster(model_str=text).predict(matrix.astype(np.float64), num_threads=1)
    assert matrix.shape[1] == len(FEATURES)
    assert np.isfinite(matrix).all()
    assert np.allclose(Forest(text).predict(matrix), expected, atol=1e-9)


@pytest.mark.parametrize("text", ["", "tree\nTree=0\nnum_leaves=2\nnum_cat=1\nleaf_value=0 1"])
def test_a_forest_refuses_what_it_cannot_read(text: str) -> None:
    with pytest.raises(BundleError):
        Forest(text)


def test_a_model_beats_plain_search(story: Story) -> None:
    plain = story.ndcg(Searcher(story.index, None), story.mix, 400)
    assert story.ndcg(story.healthy, story.mix, 400) > 1.08 * plain


def test_unseen_documents_are_found_by_words_alone(story: Story) -> None:
    builder = story.degraded.builder
    unseen = np.array([builder.index.position[document.id] for document in story.new])
    assert builder.vectors is not None
    assert not builder.vectors[unseen].any()
    assert not builder.popularity[unseen].any()
    assert (builder.subject[unseen] == -1).all()
    found = [document.id in ids(story.degraded.search(document.title, 20)) for document in story.new[:40]]
    assert np.mean(found) > 0.8


def test_searches_answer_alike_every_time_and_in_order(story: Story) -> None:
    query = story.population.session(3, story.mix).query
    hits = story.healthy.search(query, 20)
    assert hits == story.healthy.search(query, 20)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len({hit.id for hit in hits}) == len(hits)


def test_modes_cost_what_their_names_say(story: Story) -> None:
    queries = [story.population.session(n, story.mix).query for n in range(60)]

    def spent(mode: Mode) -> float:
        times = np.empty((5, len(queries)))
        for turn, place in np.ndindex(times.shape):
            started = clock.cpu()
            story.healthy.search(queries[place], 10, mode)
            times[turn, place] = clock.cpu() - started
        return float(np.percentile(times.min(axis=0), 90))  # what else runs here makes some of them longer

    spent("balanced")
    assert spent("fast") < spent("balanced")
    assert spent("exhaustive") > 3 * spent("balanced")


def test_a_damaged_bundle_is_refused_and_a_changed_byte_changes_the_digest(story: Story, tmp_path: Path) -> None:
    source = story.folder / "healthy/out/bundle"
    for name in FILES:
        (tmp_path / name).write_bytes((source / name).read_bytes())
    assert bundle_digest(tmp_path) == story.bundle.digest == story.result["digest"]
    (tmp_path / "notes.txt").write_text("no part of the model")
    assert bundle_digest(tmp_path) == story.bundle.digest
    (tmp_path / "popularity.json").write_text("{")
    assert bundle_digest(tmp_path) != story.bundle.digest
    with pytest.raises(BundleError, match=r"popularity.json is damaged"):
        Bundle.load(tmp_path)
    (tmp_path / "booster.txt").unlink()
    with pytest.raises(BundleError, match=r"booster.txt is missing"):
        Bundle.load(tmp_path)
