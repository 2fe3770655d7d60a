"""Text embeddings: latent semantic by default, sentence-transformers with the extra `neural`.

The latter are tuned by in-batch negatives (MultipleNegativesRankingLoss; Henderson et al. 2017) and, with
`hard_negatives`, by the wrong documents that the model itself ranks highest before each epoch (Xiong et al. 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from adapters.training.targets import neural
from adapters.training.targets.bundle import BUNDLE, opened, seal
from adapters.training.targets.data import Judged, mean, ndcg_at_10, read_judged, read_rows
from adapters.training.targets.lsa import LatentSemantic
from adapters.training.targets.spec import Device, NeuralOptions, UseSpec, asked, checked

TARGET = "text_embeddings"
LATENT = "latent"
Floats = npt.NDArray[np.float32]


class EmbeddingOptions(NeuralOptions):
    """`dimensions`, `min_df` and `max_words` are of the latent space, the rest of sentence-transformers."""

    engine: Literal["latent", "sentence_transformers"] = "latent"
    dimensions: int = Field(default=128, ge=2, le=2048)
    min_df: int = Field(default=1, ge=1)
    max_words: int = Field(default=50_000, ge=2)
    hard_negatives: int = Field(default=1, ge=0, le=8)


class Encoder(Protocol):
    """Embeds texts as unit vectors (texts x dimensions)."""

    def encode(self, texts: Sequence[str]) -> Floats: ...


class Sentences:
    """An `Encoder` on a sentence-transformers model."""

    def __init__(self, model: Any, batch_size: int = 32) -> None:
        self.model = model
        self._batch = batch_size

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors."""
        found = self.model.encode(
            list(texts), batch_size=self._batch, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(found, np.float32)


def train(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Train on a dataset folder (``documents.jsonl``, ``judgements.jsonl``) and write a bundle below `out`.

    Raises:
        InvalidInput: a field of the specification or a line of the data is wrong.
        ConfigurationError: the extra is missing. DependencyUnavailable: the weights cannot be had.
    """
    job, options = asked(spec, EmbeddingOptions)
    judged = read_judged(job.dataset)
    learn, held = judged.split()
    folder = Path(out) / BUNDLE
    losses: list[float] = []
    if options.engine == LATENT:
        texts = [*judged.documents.values(), *learn]
        space = LatentSemantic.fitted(
            texts, dimensions=options.dimensions, min_df=options.min_df, max_words=options.max_words, seed=job.seed
        )
        space.save(folder)
        encoder: Encoder = space
        before = None
    else:
        sentences = _loaded(neural.weights(options, TARGET), options, job.seed)
        before = evaluated(sentences, judged, held)
        losses = _tuned(sentences, judged, learn, options, job.seed)
        sentences.model.eval()
        sentences.model.save_pretrained(str(folder), create_model_card=False)
        encoder = sentences
    kept = options.model_dump(mode="json", exclude={"base_model", "device", "local_only"})
    digest = seal(folder, target=TARGET, engine=options.engine, options=kept)
    metrics = {
        "train_ndcg_at_10": evaluated(encoder, judged, learn),
        "valid_ndcg_at_10": evaluated(encoder, judged, held),
    }
    if before is not None:
        metrics |= {"valid_ndcg_at_10_before": before, "first_loss": losses[0] if losses else 0.0}
        metrics |= {"last_loss": losses[-1] if losses else 0.0}
    return {"bundle": BUNDLE, "digest": digest, "metrics": metrics, "examples": len(learn)}


def load(bundle: Path, device: Device = "auto") -> Encoder:
    """Return the encoder of a bundle, verified.

    Raises:
        DependencyLied, DigestMismatch: it is no bundle of embeddings, or was changed.
        ConfigurationError: it needs the extra, which is missing.
    """
    manifest = opened(bundle, TARGET)
    if manifest.engine == LATENT:
        return LatentSemantic.load(bundle)
    return _loaded(str(bundle), EmbeddingOptions(device=device, local_only=True), 0)


def encode(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Embed the `text` of each row of a JSON-lines file; the vectors go to ``vectors.npy`` in `out`."""
    job = checked(UseSpec, spec, "spec")
    texts = [str(row["text"]) for row in read_rows(job.input, ("text",))]
    vectors = load(job.bundle, job.device).encode(texts)
    np.save(Path(out) / "vectors.npy", vectors)
    return {"vectors": "vectors.npy", "rows": len(texts), "dimensions": int(vectors.shape[1])}


def evaluated(encoder: Encoder, judged: Judged, queries: Sequence[str]) -> float:
    """Return the mean nDCG@10 of ranking all documents by cosine for these queries."""
    if not queries:
        return 0.0
    ids = list(judged.documents)
    scores = encoder.encode(queries) @ encoder.encode(list(judged.documents.values())).T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    return mean([ndcg_at_10([ids[n] for n in row], judged.queries[q]) for q, row in zip(queries, best, strict=True)])


def mined(encoder: Encoder, judged: Judged, queries: Sequence[str], count: int) -> dict[str, list[str]]:
    """Return, for each query, the `count` documents that are not relevant and that the model ranks highest."""
    ids, texts = list(judged.documents), list(judged.documents.values())
    scores = encoder.encode(queries) @ encoder.encode(texts).T
    found: dict[str, list[str]] = {}
    for query, row in zip(queries, np.argsort(-scores, axis=1, kind="stable"), strict=True):
        wrong = [texts[n] for n in row[: count + len(judged.queries[query])] if ids[n] not in judged.queries[query]]
        found[query] = wrong[:count]
    return found


def _loaded(source: str, options: EmbeddingOptions, seed: int) -> Sentences:
    device = neural.prepared(TARGET, seed, options.device)
    from sentence_transformers import SentenceTransformer

    with neural.loading(f"the embedding model {source!r}"):
        model = SentenceTransformer(source, device=device, local_files_only=options.local_only)
    model.max_seq_length = min(options.max_length, model.max_seq_length or options.max_length)
    return Sentences(model, options.batch_size)


def _tuned(
    sentences: Sentences, judged: Judged, queries: Sequence[str], options: EmbeddingOptions, seed: int
) -> list[float]:
    """Tune epoch by epoch, for the hard negatives are those of the model as it is by then."""
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model = sentences.model
    loss = MultipleNegativesRankingLoss(model)
    losses: list[float] = []
    for epoch in range(options.epochs):
        model.eval()
        rows = _triples(sentences, judged, queries, options)
        model.train()
        losses += neural.tuned(
            model.parameters(),
            rows,
            _loss_of(model, loss),
            options=options,
            seed=seed + epoch,
            epochs=1,
        )
    return losses


def _loss_of(model: Any, loss: Any) -> Callable[[Sequence[tuple[str, ...]]], Any]:
    def of(batch: Sequence[tuple[str, ...]]) -> Any:
        import torch

        columns = [list(column) for column in zip(*batch, strict=True)]
        features = [
            {k: v.to(model.device) for k, v in model.preprocess(texts).items() if isinstance(v, torch.Tensor)}
            for texts in columns
        ]
        return loss(features, torch.zeros(len(batch)))

    return of


def _triples(
    sentences: Sentences, judged: Judged, queries: Sequence[str], options: EmbeddingOptions
) -> list[tuple[str, ...]]:
    """Query, relevant document, and as many hard negatives for every query, so that a batch is a rectangle."""
    hard = mined(sentences, judged, queries, options.hard_negatives) if options.hard_negatives else {}
    width = min((len(found) for found in hard.values()), default=0)
    rows = [
        (query, judged.documents[document], *hard.get(query, [])[:width])
        for query in queries
        for document in judged.queries[query]
    ]
    return rows[: options.max_examples]
