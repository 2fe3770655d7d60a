"""A cross-encoder that re-ranks: query and document are read together (Nogueira and Cho 2019). Extra `neural`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from adapters.training.targets import neural
from adapters.training.targets.bundle import BUNDLE, opened, seal
from adapters.training.targets.data import Judged, mean, ndcg_at_10, read_judged, read_rows
from adapters.training.targets.lsa import LatentSemantic
from adapters.training.targets.spec import Device, NeuralOptions, UseSpec, asked, checked

TARGET = "reranker_cross_encoder"
Floats = npt.NDArray[np.float32]
Pair = tuple[str, str, float]


class CrossEncoderOptions(NeuralOptions):
    """`negatives` wrong documents for every relevant one; `candidates` documents are re-ranked to measure."""

    negatives: int = Field(default=3, ge=1, le=50)
    candidates: int = Field(default=20, ge=2, le=200)


class CrossEncoderScorer:
    """Scores pairs of query and document; higher is better."""

    def __init__(self, model: Any, batch_size: int = 32) -> None:
        self.model = model
        self._batch = batch_size

    def score(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        """Return a score for each pair."""
        found = self.model.predict([list(pair) for pair in pairs], batch_size=self._batch, show_progress_bar=False)
        return np.asarray(found, np.float32)


def train(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Tune on a dataset folder (``documents.jsonl``, ``judgements.jsonl``) and write a bundle below `out`.

    Raises:
        InvalidInput: a field of the specification or a line of the data is wrong.
        ConfigurationError: the extra is missing. DependencyUnavailable: the weights cannot be had.
    """
    job, options = asked(spec, CrossEncoderOptions)
    judged = read_judged(job.dataset)
    learn, held = judged.split()
    scorer = _loaded(neural.weights(options, TARGET), options, job.seed)
    near = _near(judged, job.seed, options.candidates)
    before = evaluated(scorer, judged, held, near)
    rows = _pairs(judged, learn, near, options)
    losses = _tuned(scorer, rows, options, job.seed)
    folder = Path(out) / BUNDLE
    scorer.model.save_pretrained(str(folder), create_model_card=False)
    kept = options.model_dump(mode="json", exclude={"base_model", "device", "local_only"})
    digest = seal(folder, target=TARGET, engine="sentence_transformers", options=kept)
    metrics = {
        "train_ndcg_at_10": evaluated(scorer, judged, learn, near),
        "valid_ndcg_at_10": evaluated(scorer, judged, held, near),
        "valid_ndcg_at_10_before": before,
        "first_loss": losses[0] if losses else 0.0,
        "last_loss": losses[-1] if losses else 0.0,
    }
    return {"bundle": BUNDLE, "digest": digest, "metrics": metrics, "examples": len(rows)}


def load(bundle: Path, device: Device = "auto") -> CrossEncoderScorer:
    """Return the scorer of a bundle, verified; raises as `text_embeddings.load`."""
    opened(bundle, TARGET)
    return _loaded(str(bundle), CrossEncoderOptions(device=device, local_only=True), 0)


def score(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Score the rows (`query`, `text`) of a JSON-lines file; the scores go to ``scores.json`` in `out`."""
    job = checked(UseSpec, spec, "spec")
    rows = read_rows(job.input, ("query", "text"))
    scores = load(job.bundle, job.device).score([(str(row["query"]), str(row["text"])) for row in rows])
    (Path(out) / "scores.json").write_text(json.dumps([float(s) for s in scores]), encoding="utf-8")
    return {"scores": "scores.json", "rows": len(rows)}


def evaluated(
    scorer: CrossEncoderScorer, judged: Judged, queries: Sequence[str], near: Mapping[str, Sequence[str]]
) -> float:
    """Return the mean nDCG@10 of re-ranking each query's candidates; what is not among them is lost."""
    gains = []
    for query in queries:
        ids = list(near[query])
        scores = scorer.score([(query, judged.documents[i]) for i in ids])
        order = np.argsort(-scores, kind="stable")
        gains.append(ndcg_at_10([ids[n] for n in order], judged.queries[query]))
    return mean(gains)


def _near(judged: Judged, seed: int, count: int) -> dict[str, list[str]]:
    """The candidates of every query: its nearest documents in a latent space, and the relevant ones."""
    ids, texts, queries = list(judged.documents), list(judged.documents.values()), list(judged.queries)
    space = LatentSemantic.fitted(texts, dimensions=64, min_df=1, max_words=50_000, seed=seed)
    scores = space.encode(queries) @ space.encode(texts).T
    found: dict[str, list[str]] = {}
    for query, row in zip(queries, np.argsort(-scores, axis=1, kind="stable")[:, :count], strict=True):
        # Sorted by id: a tie of the scorer must not be won by the order of the candidates.
        found[query] = sorted({*(ids[n] for n in row), *judged.queries[query]})
    return found


def _pairs(
    judged: Judged, queries: Sequence[str], near: Mapping[str, Sequence[str]], options: CrossEncoderOptions
) -> list[Pair]:
    rows: list[Pair] = []
    for query in queries:
        relevant = judged.queries[query]
        wrong = [i for i in near[query] if i not in relevant][: options.negatives * len(relevant)]
        rows += [(query, judged.documents[i], 1.0) for i in relevant]
        rows += [(query, judged.documents[i], 0.0) for i in wrong]
    return rows[: options.max_examples]


def _loaded(source: str, options: CrossEncoderOptions, seed: int) -> CrossEncoderScorer:
    device = neural.prepared(TARGET, seed, options.device)
    from sentence_transformers import CrossEncoder

    with neural.loading(f"the cross-encoder {source!r}"):
        model = CrossEncoder(
            source,
            num_labels=1,
            device=device,
            max_length=options.max_length,
            local_files_only=options.local_only,
        )
    return CrossEncoderScorer(model, options.batch_size)


def _tuned(scorer: CrossEncoderScorer, rows: Sequence[Pair], options: CrossEncoderOptions, seed: int) -> list[float]:
    import torch

    model = scorer.model
    loss = torch.nn.BCEWithLogitsLoss()

    def loss_of(batch: Sequence[Pair]) -> Any:
        read = model.tokenizer(
            [query for query, _, _ in batch],
            [text for _, text, _ in batch],
            padding=True,
            truncation=True,
            max_length=options.max_length,
            return_tensors="pt",
        )
        logits = model.model(**{name: value.to(model.device) for name, value in read.items()}).logits.view(-1)
        return loss(logits, torch.tensor([wanted for _, _, wanted in batch], device=logits.device))

    model.train()
    losses = neural.tuned(
        model.model.parameters(),
        rows,
        loss_of,
        options=options,
        seed=seed,
    )
    model.eval()
    return losses
