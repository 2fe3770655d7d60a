"""Targets that need nothing beside the base installation: latent embeddings, light classifiers, extracted summaries."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.training.base import EFFECT_TRAIN, TrainingJob
from adapters.training.targets import TARGETS, classifier, summariser, text_embeddings
from adapters.training.targets.bundle import MANIFEST, bundle_digest, opened, seal
from adapters.training.targets.data import held_out, ndcg_at_10, read_judged
from adapters.training.targets.lsa import LatentSemantic
from adapters.training.targets.sentences import centrality, rouge_1, sentences_of, textrank
from adapters.training.worker import WorkerTraining
from adapters.worker import Worker
from domain.clock import SystemClock
from domain.errors import DependencyLied, DependencyTimeout, DigestMismatch, EvercrewError, InvalidInput
from domain.permit import PermitOffice
from tests.contract.permits import permit_for
from tests.integrations.neural.tiny import PLACES, THINGS, dataset, write_rows

Train = Callable[[Mapping[str, Any], Path], dict[str, Any]]
TOPICS = {
    "network": "socket packet router bandwidth latency firewall",
    "storage": "disk volume block snapshot replica bucket",
    "language": "parser token grammar compiler syntax lexer",
}


def examples(folder: Path, label: str = "label") -> Path:
    """Texts of three subjects: two words of the subject each, and one of another."""
    rows = []
    for topic, line in TOPICS.items():
        words, other = line.split(), " ".join(TOPICS.values()).split()
        for n in range(40):
            text = f"note {n} {words[n % 6]} {words[(n * 5 + 1) % 6]} {other[(n * 7) % 18]}"
            rows.append({"text": text, label: topic})
    write_rows(folder / ("examples.jsonl" if label == "label" else "documents.jsonl"), rows)
    return folder


def articles(folder: Path) -> Path:
    """Texts whose middle sentence says what the others also speak of; it is the summary."""
    rows = []
    for n, (thing, other) in enumerate(THINGS.items()):
        core = f"The {thing} maker and the {other} seller of shop {n} agree on {thing} and {other}."
        text = f"Rain fell all day. The {thing} maker came. {core} The {other} seller left. Nobody saw it."
        rows.append({"id": thing, "text": text, "summary": core})
    write_rows(folder / "documents.jsonl", rows)
    return folder


MADE: Mapping[str, tuple[Train, Callable[[Path], Path]]] = {
    "text_embeddings": (text_embeddings.train, dataset),
    "classifier": (classifier.train, examples),
    "summariser": (summariser.train, articles),
}


@pytest.fixture(params=sorted(MADE))
def trained(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, dict[str, Any]]:
    train, data = MADE[request.param]
    folder = data(tmp_path / "data")
    return request.param, folder, train({"dataset": str(folder)}, tmp_path / "out")


def load(target: str, bundle: Path) -> Any:
    return {"text_embeddings": text_embeddings, "classifier": classifier, "summariser": summariser}[target].load(bundle)


# -- works ------------------------------------------------------------------------------------------------------------


@pytest.mark.integration("training-targets", "works")
def test_the_same_data_and_seed_give_the_same_bundle(trained: tuple[str, Path, dict[str, Any]], tmp_path: Path) -> None:
    target, data, told = trained
    again = MADE[target][0]({"dataset": str(data)}, tmp_path / "again")
    assert told == again
    assert told["digest"] == bundle_digest(tmp_path / "out" / told["bundle"])
    assert opened(tmp_path / "out" / told["bundle"], target).target == target
    assert told["examples"] > 0
    json.dumps(told, allow_nan=False)


@pytest.mark.integration("training-targets", "works")
def test_latent_embeddings_rank_what_shares_words_first(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data")
    rows = [{"query": f"{place} {thing}", "doc_id": f"{thing}-{place}"} for thing in THINGS for place in PLACES]
    write_rows(data / "judgements.jsonl", rows)
    told = text_embeddings.train({"dataset": str(data), "params": {"dimensions": 64}}, tmp_path / "out")
    assert told["metrics"]["valid_ndcg_at_10"] > 0.9
    encoder = text_embeddings.load(tmp_path / "out" / "bundle")
    assert isinstance(encoder, LatentSemantic)
    vectors = encoder.encode(["the north shop sells bread", "xyzzy"])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1.0, 0.0], abs=1e-5)
    source = write_rows(tmp_path / "in.jsonl", [{"text": "the north shop sells bread"}])
    used = text_embeddings.encode({"bundle": str(tmp_path / "out" / "bundle"), "input": str(source)}, tmp_path)
    assert used == {"vectors": "vectors.npy", "rows": 1, "dimensions": encoder.dimensions}
    assert np.array_equal(np.load(tmp_path / "vectors.npy")[0], vectors[0])


@pytest.mark.integration("training-targets", "works")
@pytest.mark.parametrize("label", ["label", "subject"])
def test_a_light_classifier_beats_the_commonest_label(tmp_path: Path, label: str) -> None:
    told = classifier.train({"dataset": str(examples(tmp_path / "data", label))}, tmp_path / "out")
    measured = told["metrics"]
    assert measured["valid_accuracy"] > 0.9 > measured["majority_accuracy"]
    assert measured["valid_macro_f1"] > 0.9
    loaded = classifier.load(tmp_path / "out" / "bundle")
    found = loaded.probabilities(["a socket and a packet", "a grammar for a lexer"])
    assert found.sum(axis=1) == pytest.approx([1, 1])
    assert [loaded.classes[n] for n in found.argmax(axis=1)] == ["network", "language"]
    source = write_rows(tmp_path / "in.jsonl", [{"text": "disk and volume"}])
    classifier.classify({"bundle": str(tmp_path / "out" / "bundle"), "input": str(source)}, tmp_path)
    assert json.loads((tmp_path / "labels.json").read_text())[0][0] == "storage"


@pytest.mark.slow
@pytest.mark.skipif(find_spec("h2o") is None, reason="h2o is not installed (pip install 'evercrew[h2o]')")
@pytest.mark.skipif(shutil.which("java") is None, reason="java is not installed (apt-get install openjdk-17-jre)")
@pytest.mark.integration("training-targets", "works")
def test_h2o_classifies_as_well_and_its_model_needs_no_h2o_to_be_used(tmp_path: Path) -> None:
    params = {"engine": "h2o", "algorithm": "glm", "dimensions": 16}
    told = classifier.train({"dataset": str(examples(tmp_path / "data")), "params": params}, tmp_path / "out")
    assert told["metrics"]["valid_accuracy"] > told["metrics"]["majority_accuracy"] + 0.3
    bundle = tmp_path / "out" / "bundle"
    assert {"mojo.zip", "model.json", "leaderboard.json"} <= {p.name for p in bundle.iterdir()}
    loaded = classifier.load(bundle)
    (found,) = loaded.probabilities(["a socket and a packet on a router"])
    assert loaded.classes[found.argmax()] == "network"


@pytest.mark.integration("training-targets", "works")
def test_two_classes_are_told_apart_as_well(tmp_path: Path) -> None:
    rows = [{"text": f"{'good fine' if n % 2 else 'bad poor'} thing {n}", "label": str(n % 2)} for n in range(60)]
    write_rows(tmp_path / "data" / "examples.jsonl", rows)
    told = classifier.train({"dataset": str(tmp_path / "data")}, tmp_path / "out")
    assert told["metrics"]["valid_accuracy"] == 1.0
    found = classifier.load(tmp_path / "out" / "bundle").probabilities(["good fine thing", "bad poor thing"])
    assert found[0, 1] > 0.5 > found[1, 1]


@pytest.mark.integration("training-targets", "works")
@pytest.mark.parametrize("method", ["textrank", "centroid", "auto"])
def test_a_summary_is_made_of_sentences_of_the_text_and_names_their_places(tmp_path: Path, method: str) -> None:
    data = articles(tmp_path / "data")
    told = summariser.train({"dataset": str(data), "params": {"sentences": 1, "method": method}}, tmp_path / "out")
    measured = told["metrics"]
    assert measured["valid_rouge_1"] > 0.9 > measured["valid_rouge_1_first_sentences"]
    text = json.loads((data / "documents.jsonl").read_text().splitlines()[0])["text"]
    loaded = summariser.load(tmp_path / "out" / "bundle")
    for count in (1, 2, 99):
        taken = loaded.summarise(text, count)
        assert " ".join(text[start:end] for start, end in taken.sources) == taken.text
        assert list(taken.sources) == sorted(taken.sources)
    assert loaded.summarise("").text == ""
    source = write_rows(tmp_path / "in.jsonl", [{"text": text}])
    summariser.summarise({"bundle": str(tmp_path / "out" / "bundle"), "input": str(source)}, tmp_path)
    assert json.loads((tmp_path / "summaries.json").read_text())[0]["text"] == loaded.summarise(text).text


@pytest.mark.integration("training-targets", "works")
def test_every_registered_target_has_its_entry_points_and_imports_no_library() -> None:
    import importlib
    import subprocess
    import sys

    for target in TARGETS.values():
        for entry in (target.train, target.use):
            module, _, name = entry.partition(":")
            assert callable(getattr(importlib.import_module(module), name)), entry
    code = "import sys, adapters.training.targets as t; [__import__(x.train.split(':')[0]) for x in t.TARGETS.values()]"
    heavy = "print([m for m in ('torch', 'sklearn', 'transformers', 'h2o', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", f"{code}; {heavy}"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@given(st.text(max_size=200))
def test_sentences_stand_where_they_say(text: str) -> None:
    found = sentences_of(text)
    assert all(text[s.start : s.end] == s.text and s.text.strip() == s.text != "" for s in found)
    assert [s.start for s in found] == sorted(s.start for s in found)
    assert "".join("".join(s.text for s in found).split()) == "".join(text.split())


def test_weights_and_measures_are_what_their_papers_say() -> None:
    star = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]], float)
    ranks = textrank(star)
    assert ranks.sum() == pytest.approx(1, abs=1e-3)
    assert ranks.argmax() == 0
    assert textrank(np.eye(3)) == pytest.approx([1 / 3] * 3)
    assert centrality(np.array([[1.0, 0], [0, 1], [1, 1]])).argmax() == 2
    assert rouge_1("the cat sat", "the cat ran") == pytest.approx(2 / 3)
    assert ndcg_at_10(["a", "b"], {"b": 1.0}) == pytest.approx(1 / np.log2(3))
    assert 0.1 < sum(held_out(str(n)) for n in range(1000)) / 1000 < 0.3


# -- refused, slow ----------------------------------------------------------------------------------------------------


@pytest.mark.integration("training-targets", "refused")
def test_one_label_and_too_few_judgements_are_nothing_to_learn_from(tmp_path: Path) -> None:
    write_rows(tmp_path / "one" / "examples.jsonl", [{"text": f"text {n}", "label": "a"} for n in range(30)])
    with pytest.raises(InvalidInput, match="one label"):
        classifier.train({"dataset": str(tmp_path / "one")}, tmp_path / "out")
    data = dataset(tmp_path / "data")
    write_rows(data / "judgements.jsonl", [{"query": "q", "doc_id": "nobody"}])
    with pytest.raises(InvalidInput, match="0 queries have a relevant document"):
        text_embeddings.train({"dataset": str(data)}, tmp_path / "out")


@pytest.mark.integration("training-targets", "slow")
def test_in_a_worker_process_a_target_is_trained_and_one_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    clock = SystemClock()
    office = PermitOffice(clock)
    worker = Worker(name="training", environment={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}, clock=clock)
    training = WorkerTraining(folder=tmp_path / "training", worker=worker, permits=office, clock=clock)
    spec = {"dataset": str(examples(tmp_path / "data")), "seed": 7, "params": {}}
    entry = TARGETS["classifier"].train
    done = training.run(TrainingJob(entry=entry, spec=spec), key="k1", permit=permit_for(office, EFFECT_TRAIN, "k1"))
    assert bundle_digest(done.folder / "bundle") == done.output["digest"]
    late = TrainingJob(entry=entry, spec=spec, timeout=timedelta(milliseconds=50))
    with pytest.raises(DependencyTimeout):
        training.run(late, key="k2", permit=permit_for(office, EFFECT_TRAIN, "k2"))


# -- lying ------------------------------------------------------------------------------------------------------------


@pytest.mark.integration("training-targets", "lying")
def test_a_bundle_that_was_changed_is_not_loaded(trained: tuple[str, Path, dict[str, Any]], tmp_path: Path) -> None:
    target, _, _ = trained
    bundle = tmp_path / "out" / "bundle"
    first = min(p for p in bundle.iterdir() if p.name != MANIFEST)
    first.write_bytes(first.read_bytes() + b" ")
    with pytest.raises(DigestMismatch):
        load(target, bundle)
    first.unlink()
    with pytest.raises(DigestMismatch):
        load(target, bundle)


@pytest.mark.integration("training-targets", "lying")
def test_a_bundle_of_another_target_or_none_is_named(trained: tuple[str, Path, dict[str, Any]], tmp_path: Path) -> None:
    target, _, _ = trained
    bundle = tmp_path / "out" / "bundle"
    told = json.loads((bundle / MANIFEST).read_text())
    (bundle / MANIFEST).write_text(json.dumps({**told, "target": "poems"}))
    with pytest.raises(DependencyLied, match=f"a bundle of poems, not {target}"):
        load(target, bundle)
    (bundle / MANIFEST).write_text("{}")
    with pytest.raises(DependencyLied, match="is not a bundle"):
        load(target, bundle)
    with pytest.raises(ValueError, match=MANIFEST):
        bundle_digest(tmp_path)


@pytest.mark.integration("training-targets", "lying")
def test_parts_that_are_sealed_and_still_do_not_fit_are_refused(
    trained: tuple[str, Path, dict[str, Any]], tmp_path: Path
) -> None:
    target, _, _ = trained
    bundle = tmp_path / "out" / "bundle"
    engine = opened(bundle, target).engine
    for name in ("vocabulary.json", "words.json"):
        if (bundle / name).exists():
            (bundle / name).write_text('["one"]')
    seal(bundle, target=target, engine=engine, options={})
    with pytest.raises(DependencyLied):
        load(target, bundle)


@pytest.mark.integration("training-targets", "lying")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not json", "line 2: is not JSON"),
        ('{"query": "q"}', "line 2 doc_id: is not a text"),
        ('{"query": " ", "doc_id": "x"}', "line 2 query: is not a text"),
        ("[]", "line 2 query"),
        ('{"query": "q", "doc_id": "x", "grade": "high"}', "line 2 grade: is 'high'"),
        ('{"query": "q", "doc_id": "x", "grade": NaN}', "line 2 grade"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    data = dataset(tmp_path)
    rows = (data / "judgements.jsonl").read_text().splitlines()
    (data / "judgements.jsonl").write_text("\n".join([rows[0], line, *rows[2:]]))
    with pytest.raises(InvalidInput, match=said):
        read_judged(data)


# -- misconfigured ----------------------------------------------------------------------------------------------------


@pytest.mark.integration("training-targets", "misconfigured")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"params": {"engine": "magic"}}, r"params\.engine"),
        ({"params": {"speed": 3}}, r"params\.speed: .*Known are"),
        ({"seed": -1}, r"spec\.seed"),
        ({"dataset": "nowhere"}, r"spec\.dataset: nowhere is not a folder"),
        ({"colour": "red"}, r"spec\.colour"),
    ],
)
@pytest.mark.parametrize("target", sorted(MADE))
def test_a_specification_that_is_wrong_names_the_field(
    tmp_path: Path, target: str, change: dict[str, Any], said: str
) -> None:
    train, data = MADE[target]
    spec = {"dataset": str(data(tmp_path / "data")), **change}
    with pytest.raises(InvalidInput, match=said):
        train(spec, tmp_path / "out")


@pytest.mark.integration("training-targets", "misconfigured")
def test_texts_without_words_and_files_that_are_missing_are_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "documents.jsonl", [{"id": str(n), "text": "?"} for n in range(5)])
    with pytest.raises(InvalidInput, match="no words to learn from"):
        summariser.train({"dataset": str(tmp_path)}, tmp_path / "out")
    with pytest.raises(InvalidInput, match=r"judgements\.jsonl"):
        text_embeddings.train({"dataset": str(tmp_path)}, tmp_path / "out")
    with pytest.raises(EvercrewError, match="subject"):
        classifier.train({"dataset": str(tmp_path)}, tmp_path / "out")
