"""The transformer targets, on tiny models with random weights: they learn, and what they learnt comes back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.training.targets import (
    multimodal,
    neural,
    reranker_cross_encoder,
    summariser,
    text_embeddings,
)
from adapters.training.targets.bundle import bundle_digest
from adapters.training.targets.data import held_out, read_judged
from domain.errors import ConfigurationError, DependencyUnavailable, DigestMismatch, InvalidInput
from tests.integrations.neural.tiny import (
    MISSING,
    WHY,
    bart,
    bert,
    clip,
    dataset,
    notes,
    pictures,
    preferences,
    sentences,
    write_rows,
)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=WHY)]
SHORT = {"batch_size": 16, "max_length": 32}
MODULES: Mapping[str, Any] = {
    "text_embeddings": text_embeddings,
    "reranker_cross_encoder": reranker_cross_encoder,
    "multimodal": multimodal,
    "summariser": summariser,
}


@dataclass(frozen=True)
class Made:
    """One training: its data, weights, what it returned and where it wrote."""

    data: Path
    weights: Path
    params: Mapping[str, Any]
    told: Mapping[str, Any]
    bundle: Path


DATA: Mapping[str, Callable[[Path], Path]] = {
    "text_embeddings": dataset,
    "reranker_cross_encoder": preferences,
    "multimodal": pictures,
    "summariser": notes,
}
WEIGHTS: Mapping[str, Callable[[Path], Path]] = {
    "text_embeddings": sentences,
    "reranker_cross_encoder": lambda folder: bert(folder, labels=1),
    "multimodal": clip,
    "summariser": bart,
}
PARAMS: Mapping[str, Mapping[str, Any]] = {
    "text_embeddings": {"engine": "sentence_transformers", "epochs": 8, "learning_rate": 3e-3},
    "reranker_cross_encoder": {"epochs": 10, "learning_rate": 1e-3, "candidates": 4},
    "multimodal": {"epochs": 60, "learning_rate": 2e-3},
    "summariser": {"engine": "transformer", "epochs": 12, "learning_rate": 5e-3, "max_new_tokens": 8},
}


def _make(target: str, folder: Path) -> Made:
    data, weights = DATA[target](folder / "data"), WEIGHTS[target](folder / "weights")
    whole = {**SHORT, **PARAMS[target], "base_model": str(weights)}
    told = MODULES[target].train({"dataset": str(data), "seed": 3, "params": whole}, folder / "out")
    return Made(data, weights, whole, told, folder / "out" / "bundle")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """Every target, trained once."""
    return {target: _make(target, tmp_path_factory.mktemp(target)) for target in MODULES}


@pytest.fixture(params=sorted(MODULES))
def made(request: pytest.FixtureRequest, kept: dict[str, Made]) -> tuple[str, Made]:
    return request.param, kept[request.param]


def answers(target: str, bundle: Path, data: Path) -> np.ndarray[Any, Any]:
    """What a loaded bundle says of the data."""
    loaded = MODULES[target].load(bundle, "cpu")
    match target:
        case "text_embeddings":
            return np.asarray(loaded.encode(["the north shop sells bread", "where is a loaf"]))
        case "reranker_cross_encoder":
            return np.asarray(loaded.score([("where is a loaf in the north", "the north shop sells bread")] * 2))
        case "multimodal":
            return np.asarray(loaded.encode_images(sorted((data / "images").iterdir())[:3]))
        case _:
            return np.array([loaded.summarise("The north shop sells bread. The shop is in the north.").text])


@pytest.mark.integration("neural", "works")
def test_the_loss_falls_and_what_was_learnt_comes_back_from_the_bundle(made: tuple[str, Made]) -> None:
    target, training = made
    metrics = training.told["metrics"]
    assert metrics["last_loss"] < 0.75 * metrics["first_loss"]
    assert training.told["digest"] == bundle_digest(training.bundle)
    first, second = (answers(target, training.bundle, training.data) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.dtype.kind != "f" or bool(np.isfinite(first).all())


@pytest.mark.integration("neural", "works")
def test_embeddings_learn_which_words_belong_together(kept: dict[str, Made]) -> None:
    metrics = kept["text_embeddings"].told["metrics"]
    assert metrics["valid_ndcg_at_10"] > metrics["valid_ndcg_at_10_before"] + 0.3
    made = kept["text_embeddings"]
    judged = read_judged(made.data)
    loaded = text_embeddings.load(made.bundle, "cpu")
    held = [query for query in judged.queries if held_out(query)]
    assert text_embeddings.evaluated(loaded, judged, held) == metrics["valid_ndcg_at_10"]
    hard = text_embeddings.mined(loaded, judged, held, 2)
    wrong = {judged.documents[i] for q in held for i in judged.queries[q]}
    for query, found in hard.items():
        assert len(found) == 2
        assert not {judged.documents[i] for i in judged.queries[query]} & set(found)
    assert wrong


@pytest.mark.integration("neural", "works")
def test_a_cross_encoder_learns_to_re_rank(kept: dict[str, Made]) -> None:
    made = kept["reranker_cross_encoder"]
    metrics = made.told["metrics"]
    assert metrics["valid_ndcg_at_10"] > metrics["valid_ndcg_at_10_before"] + 0.3
    source = write_rows(made.bundle.parent / "in.jsonl", [{"query": "where is a loaf", "text": "shop sells bread"}])
    used = reranker_cross_encoder.score({"bundle": str(made.bundle), "input": str(source)}, made.bundle.parent)
    (score,) = json.loads((made.bundle.parent / "scores.json").read_text())
    assert used["rows"] == 1
    assert 0 < score < 1


@pytest.mark.integration("neural", "works")
def test_clip_learns_what_its_pictures_show(kept: dict[str, Made]) -> None:
    made = kept["multimodal"]
    chance = 1 / 16
    assert made.told["metrics"]["train_recall_at_1"] > 4 * chance
    folder = made.bundle.parent
    for rows in ([{"text": "a red north corner"}], [{"image": "red.png"}]):
        (folder / "red.png").write_bytes((made.data / "images" / "red-north.png").read_bytes())
        source = write_rows(folder / "in.jsonl", rows)
        used = multimodal.encode({"bundle": str(made.bundle), "input": str(source)}, folder)
        vector = np.load(folder / "vectors.npy")
        assert (used["rows"], used["dimensions"]) == (1, 32)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.integration("neural", "works")
def test_a_sequence_model_learns_to_write_summaries_and_names_no_source(kept: dict[str, Made]) -> None:
    made = kept["summariser"]
    metrics = made.told["metrics"]
    assert metrics["valid_rouge_1"] > metrics["valid_rouge_1_before"] + 0.2
    taken = summariser.load(made.bundle, "cpu").summarise("The north shop sells bread. Where is a loaf.")
    assert "sells" in taken.text
    assert taken.sources == ()


@pytest.mark.integration("neural", "refused")
@pytest.mark.parametrize("target", sorted(MODULES))
def test_weights_that_cannot_be_had_from_the_hub_are_an_error_that_says_what_to_do(
    kept: dict[str, Made], tmp_path: Path, target: str
) -> None:
    made = kept[target]
    params = {**made.params, "base_model": "nobody/there-is-no-such-model", "local_only": True}
    with pytest.raises(DependencyUnavailable, match=r"hub: .*nobody/there-is-no-such-model.*params\.base_model"):
        MODULES[target].train({"dataset": str(made.data), "params": params}, tmp_path)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.integration("neural", "slow")
def test_no_epoch_is_a_bundle_of_the_weights_as_they_are(kept: dict[str, Made], tmp_path: Path) -> None:
    made = kept["text_embeddings"]
    params = {**made.params, "epochs": 0}
    told = text_embeddings.train({"dataset": str(made.data), "params": params}, tmp_path)
    assert told["metrics"]["valid_ndcg_at_10"] == told["metrics"]["valid_ndcg_at_10_before"]
    import torch

    assert torch.get_num_threads() == 1


@pytest.mark.integration("neural", "lying")
def test_weights_that_are_none_are_refused(kept: dict[str, Made], tmp_path: Path) -> None:
    for target, made in kept.items():
        (tmp_path / target).mkdir()
        (tmp_path / target / "config.json").write_text("{}")
        params = {**made.params, "base_model": str(tmp_path / target), "local_only": True}
        with pytest.raises(DependencyUnavailable, match="cannot be loaded"):
            MODULES[target].train({"dataset": str(made.data), "params": params}, tmp_path / "out")


@pytest.mark.integration("neural", "lying")
def test_a_bundle_whose_weights_were_changed_is_not_loaded(kept: dict[str, Made], tmp_path: Path) -> None:
    for target, made in kept.items():
        copied = shutil.copytree(made.bundle, tmp_path / target)
        weights = next(copied.rglob("model.safetensors"))
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
        with pytest.raises(DigestMismatch):
            MODULES[target].load(copied, "cpu")


@pytest.mark.integration("neural", "lying")
def test_a_picture_that_is_none_or_lies_outside_is_named(kept: dict[str, Made], tmp_path: Path) -> None:
    made = kept["multimodal"]
    data = pictures(tmp_path / "data")
    spec = {"dataset": str(data), "params": dict(made.params)}
    (data / "images" / "red-north.png").write_bytes(b"not a picture")
    with pytest.raises(InvalidInput, match=r"red-north\.png: is no image"):
        multimodal.train(spec, tmp_path / "out")
    pictures(data)
    with pytest.raises(InvalidInput, match=r"pixels.*params\.max_pixels"):
        multimodal.train({**spec, "params": {**made.params, "max_pixels": 100}}, tmp_path / "out")
    for name in ("../outside.png", "/etc/hostname", "images/none.png"):
        write_rows(data / "pairs.jsonl", [{"image": name, "text": "a red corner"}] * 3)
        with pytest.raises(InvalidInput, match="is not a file of the dataset"):
            multimodal.train(spec, tmp_path / "out")


@pytest.mark.integration("neural", "misconfigured")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"base_model": ""}, r"params\.base_model: \w+ has no weights of its own"),
        ({"base_model": "/no/such/folder"}, r"params\.base_model: there is no folder folder"),
        ({"base_model": "./weights"}, r"params\.base_model: there is no folder weights"),
        ({"epochs": -1}, r"params\.epochs"),
        ({"device": "tpu"}, r"params\.device"),
        ({"warmup": 3}, r"params\.warmup: .*Known are"),
    ],
)
@pytest.mark.parametrize("target", sorted(MODULES))
def test_options_that_are_wrong_are_named(
    kept: dict[str, Made], tmp_path: Path, target: str, change: dict[str, Any], said: str
) -> None:
    made = kept[target]
    with pytest.raises(InvalidInput, match=said):
        MODULES[target].train({"dataset": str(made.data), "params": {**made.params, **change}}, tmp_path)


@pytest.mark.integration("neural", "misconfigured")
def test_a_gpu_that_is_not_there_cannot_be_asked_for(kept: dict[str, Made], tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    made = kept["text_embeddings"]
    with pytest.raises(ConfigurationError, match=r"params\.device: there is no CUDA device"):
        text_embeddings.train({"dataset": str(made.data), "params": {**made.params, "device": "cuda"}}, tmp_path)


@pytest.mark.integration("neural", "misconfigured")
def test_an_extra_that_is_missing_says_what_to_install() -> None:
    with pytest.raises(ConfigurationError, match=r"needs no_such_package.*pip install 'evercrew\[neural\]'"):
        neural.require("text_embeddings", ("torch", "no_such_package"))
