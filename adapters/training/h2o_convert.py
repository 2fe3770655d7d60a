"""From a model in an H2O cluster to plain numbers: its trees or coefficients, read through the REST interface.

Only what needs no Java to score is converted: GBM, DRF and GLM over numbers. H2O keeps thresholds and leaves in single
precision and writes them as short decimals: both are rounded to single precision again, which gives the very bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adapters.training.portable import Link, Output, PortableModel, Tree
from domain.errors import DependencyLied

ALGORITHMS = ("GBM", "DRF", "GLM")
_KINDS = {"Regression", "Binomial", "Multinomial"}


def convert(h2o: Any, model: Any, features: Sequence[str]) -> PortableModel:
    """Return the model as plain numbers.

    Raises:
        DependencyLied: it is of a kind that is not converted, or what the cluster tells of it does not fit together.
    """
    output = model._model_json["output"]
    kind, algorithm = str(output["model_category"]), str(model.algo)
    if kind not in _KINDS or algorithm.upper() not in ALGORITHMS:
        raise DependencyLied("h2o", f"a {algorithm} model of category {kind} cannot be scored without Java")
    classes = [str(name) for name in (output["domains"][-1] or [])] if kind != "Regression" else []
    try:
        if algorithm == "glm":
            return _linear(model, features, classes)
        return _forest(h2o, model, features, classes)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DependencyLied("h2o", f"the model {model.model_id} does not fit together: {error}") from error


def _linear(model: Any, features: Sequence[str], classes: list[str]) -> PortableModel:
    found = model.coef()
    if classes and len(classes) > 2:
        outputs = [_weights(found[f"coefs_class_{name}"], features) for name in classes]
        link = Link.SOFTMAX
    else:
        outputs, link = [_weights(found, features)], Link.LOGISTIC_SECOND if classes else Link.IDENTITY
    return PortableModel(kind="linear", link=link, features=list(features), classes=classes, outputs=outputs)


def _weights(found: Mapping[str, float], features: Sequence[str]) -> Output:
    # a constant column gets no coefficient
    return Output(bias=float(found["Intercept"]), weights=[float(found.get(name, 0.0)) for name in features])


def _forest(h2o: Any, model: Any, features: Sequence[str], classes: list[str]) -> PortableModel:
    output, number = model._model_json["output"], {name: place for place, name in enumerate(features)}
    count = int(output["model_summary"].as_data_frame()["number_of_trees"].iloc[0])
    averaged = model.algo == "drf"
    named = classes if len(classes) > 2 else [""]
    outputs = [
        Output(
            bias=float(output.get("init_f") or 0.0),
            average=averaged,
            trees=[_tree(_fetched(h2o, model.model_id, place, name), number) for place in range(count)],
        )
        for name in named
    ]
    return PortableModel(
        kind="trees", link=_link(classes, averaged), features=list(features), classes=classes, outputs=outputs
    )


def _link(classes: Sequence[str], averaged: bool) -> Link:
    if not classes:
        return Link.IDENTITY
    if len(classes) == 2:
        return Link.PROBABILITY_FIRST if averaged else Link.LOGISTIC_SECOND
    return Link.SHARE if averaged else Link.SOFTMAX


def _fetched(h2o: Any, model: str, place: int, name: str) -> Mapping[str, Any]:
    asked = {"model": model, "tree_number": place, "tree_class": name, "plain_language_rules": "false"}
    found: Mapping[str, Any] = h2o.api("GET /3/Tree", data=asked)
    return found


def _tree(found: Mapping[str, Any], number: Mapping[str, int]) -> Tree:
    """One tree. Its nodes come level by level; a child is named by an id of H2O's own, and stands at the next place
    that no child has taken yet. A node without children is a leaf.
    """
    if any(levels for levels in found.get("levels") or []):
        raise ValueError("a tree splits on categories")
    left, right, taken = [], [], 0
    for one, other in zip(found["left_children"], found["right_children"], strict=True):
        if (one >= 0) != (other >= 0):
            raise ValueError("a node of a tree has one child")
        left.append(taken + 1 if one >= 0 else -1)
        right.append(taken + 2 if one >= 0 else -1)
        taken += 2 if one >= 0 else 0
    return Tree(
        feature=[number[name] if at >= 0 else -1 for name, at in zip(found["features"], left, strict=True)],
        threshold=[_single(text) if at >= 0 else 0.0 for text, at in zip(found["thresholds"], left, strict=True)],
        left=left,
        right=right,
        value=[_single(text) if at < 0 else 0.0 for text, at in zip(found["predictions"], left, strict=True)],
    )


def _single(text: Any) -> float:
    value = float(np.float32(text))
    if not np.isfinite(value):
        raise ValueError(f"{text!r} in a tree: the rows had gaps")
    return value
