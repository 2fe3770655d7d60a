"""What can be trained besides the platform's own re-ranker, by name. Importing this loads no library.

A target is a module of this package with ``train(spec, out)`` and an entry point that uses the bundle; `needs` is the
extra it cannot do without (its default engine may do with less), `options` are its defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_HERE = "adapters.training.targets"


@dataclass(frozen=True)
class Target:
    """One target: its entry points as ``module:function``, what it needs, and its default options."""

    name: str
    train: str
    use: str
    about: str
    needs: str = ""
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)


def _target(name: str, use: str, about: str, needs: str = "", **options: str | int | float | bool) -> Target:
    return Target(name, f"{_HERE}.{name}:train", f"{_HERE}.{name}:{use}", about, needs, options)


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        _target("text_embeddings", "encode", "latent semantic embeddings, or sentence-transformers", engine="latent"),
        _target("reranker_cross_encoder", "score", "a transformer that reads query and document together", "neural"),
        _target("multimodal", "encode", "images and texts in one space (CLIP)", "neural"),
        _target("classifier", "classify", "classes of texts, by scikit-learn or H2O", engine="sklearn"),
        _target("summariser", "summarise", "sentences that say most, or a sequence model", engine="extractive"),
    )
}
