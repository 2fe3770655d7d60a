"""Examples for training: made from what there is, the same every time, and never a held-out query."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.clock import FrozenClock
from domain.plan import AugmentationMethod, AugmentationPlan
from evals.simulated_rows import documents, judgements
from tools.data.build import Material, build
from tools.data.examples import (
    Example,
    diversity,
    generate_queries,
    hard_negatives,
    mine_synonyms,
    paraphrase,
    substitute,
    unique,
    words,
)

NOW = FrozenClock().now()
DOCUMENTS = documents(NOW, shifted=True)
ROWS = judgements(NOW, shifted=True, damaged=False)
ALL = tuple(AugmentationMethod)


def plan(*methods: AugmentationMethod, examples: int = 60, weight: float = 0.3) -> AugmentationPlan:
    return AugmentationPlan(methods=methods or ALL, examples=examples, weight=weight, rationale="r")


def nobody(queries: Sequence[str]) -> frozenset[int]:
    return frozenset()


def test_the_same_seed_gives_the_same_dataset_and_another_another() -> None:
    material = Material(DOCUMENTS, ROWS, 0)
    first, second = (build(material, plan(), nobody, seed="a") for _ in range(2))
    assert first == second
    assert build(material, plan(), nobody, seed="b").examples != first.examples
    assert first.methods["judged"] == first.statistics.judged_examples
    assert first.statistics.total_examples == len(first.examples)


@given(held=st.sets(st.integers(0, 59), max_size=20))
def test_held_out_queries_are_dropped_and_counted(held: set[int]) -> None:
    secret = {f"q{n} cooking detail{n}" for n in held} | {f"q{n} sailing detail{n}" for n in held}

    def places(queries: Sequence[str]) -> frozenset[int]:
        return frozenset(place for place, query in enumerate(queries) if query in secret)

    built = build(Material(DOCUMENTS, ROWS, 0), plan(AugmentationMethod.QUERY_GENERATION), places, seed="a")
    assert places([e.query for e in built.examples]) == frozenset()
    whole = build(Material(DOCUMENTS, ROWS, 0), plan(AugmentationMethod.QUERY_GENERATION), nobody, seed="a")
    assert built.statistics.dropped_held_out == len(whole.examples) - len(built.examples)


def test_generated_queries_are_words_of_their_document() -> None:
    texts = {d.id: set(words(f"{d.title} {d.text}")) for d in DOCUMENTS}
    made = generate_queries(DOCUMENTS, {}, 50, 0.3, random.Random(1))
    assert len(made) == 50
    assert all(set(e.query.split()) <= texts[e.doc_id] for e in made)
    assert all(2 <= len(e.query.split()) <= 5 for e in made)
    assert generate_queries([], {}, 50, 0.3, random.Random(1)) == []


def test_words_users_say_instead_are_learnt_and_put_in() -> None:
    rows = [row.model_copy(update={"query": f"boat detail{40 + n % 20}"}) for n, row in enumerate(ROWS[200:230])]
    synonyms = mine_synonyms([*ROWS[:200], *rows], {d.id: d for d in DOCUMENTS})
    assert synonyms.get("sailing") == "boat"
    example = Example("sailing guide", "d40", 1, "judged")
    said = {e.query for seed in range(20) for e in substitute([example], synonyms, 0.5, random.Random(seed))}
    assert any(query.split()[0] == "boat" for query in said)
    assert substitute([example], {}, 0.5, random.Random(1)) == []


def test_paraphrases_keep_their_document_and_come_from_the_model_where_there_is_one() -> None:
    examples = [Example("boil eggs", "d1", 1, "judged"), Example("sail", "d2", 1, "judged")]
    [first, second] = paraphrase(examples, 0.5, random.Random(1))
    assert "boil eggs" in first.query
    assert (second.doc_id, second.source, second.weight) == ("d2", "paraphrase", 0.5)
    by_model = paraphrase(examples, 0.5, random.Random(1), lambda texts: [text.upper() for text in texts])
    assert [e.query for e in by_model] == ["BOIL EGGS", "SAIL"]
    with pytest.raises(ValueError, match=r"zip\(\)"):
        paraphrase(examples, 0.5, random.Random(1), lambda texts: ["one"])


def test_hard_negatives_were_shown_above_and_wanted_by_nobody() -> None:
    found = hard_negatives(ROWS, 1000)
    wanted = {(row.query, row.doc_id) for row in ROWS}
    assert found
    assert all(e.grade == 0 and (e.query, e.doc_id) not in wanted for e in found)
    assert len(hard_negatives(ROWS, 3)) == 3


def test_repeats_are_counted_and_the_first_is_kept() -> None:
    one, two = Example("q", "d", 1, "judged"), Example("q", "d", 2, "synonym", 0.3)
    kept, repeats = unique([one, two, Example("q", "d", 0, "hard_negatives")])
    assert (kept[0], len(kept), repeats) == (one, 2, 1)


@given(st.lists(st.text(alphabet="ab ", max_size=12), max_size=10))
def test_diversity_is_a_share(queries: list[str]) -> None:
    assert 0.0 <= diversity([Example(q, "d", 1, "judged") for q in queries]) <= 1.0
