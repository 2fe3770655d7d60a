"""What the second reader learns from: whole, plainly labelled, and apart from what it is measured on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agents.operator.likeness import NO_ORDER, examples, features, kept, learn
from agents.operator.names import Vocabulary
from domain.intent import Kind
from evals.intents import rows

TAGS = {"open_cycle": {"free", "held", "look"}, "set_flag": {"on", "off"}}
VOCABULARY = Vocabulary()


def test_every_kind_has_examples_and_the_tags_that_are_asked_for() -> None:
    found: dict[str, set[str]] = {}
    for kind, tag, _ in examples():
        found.setdefault(kind, set()).add(tag)
    assert found == {kind: TAGS.get(kind, {"said"}) for kind in (*map(str, Kind), NO_ORDER)}


def test_no_example_stands_under_two_labels() -> None:
    labels: dict[str, set[tuple[str, str]]] = {}
    for kind, tag, said in examples():
        labels.setdefault(said.casefold().strip(" .!"), set()).add((kind, tag))
    assert [said for said, found in labels.items() if len(found) > 1] == []


@pytest.mark.parametrize("name", ["held_out", "kept_a", "kept_b", "acceptance"])
def test_what_is_measured_on_is_no_example(name: str) -> None:
    known = {features(said, VOCABULARY) for _, _, said in examples()}
    assert [row.say for row in rows(name) if features(row.say, VOCABULARY) in known] == []


def test_what_is_kept_is_what_the_examples_teach() -> None:
    """Else: `make likeness`. Arithmetic may differ by a step between two processors."""
    taught, held = learn(), kept()
    assert held.labels == taught.labels
    assert held.phrasing.signs == taught.phrasing.signs
    assert held.phrasing.bias == pytest.approx(taught.phrasing.bias, abs=1e-3)
    assert held.phrasing.steps == pytest.approx(taught.phrasing.steps, rel=1e-3)
    steps = zip(memoryview(held.phrasing.weights).cast("b"), memoryview(taught.phrasing.weights).cast("b"), strict=True)
    assert max(abs(one - other) for one, other in steps) <= 1


def test_a_sentence_is_read_without_what_it_takes_to_learn() -> None:
    read = "from agents.operator.likeness import likeness; from agents.operator.names import Vocabulary"
    read += "; import sys; likeness('stop everything', Vocabulary()); print('sklearn' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"
