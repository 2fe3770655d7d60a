"""Re-rankers that something else fits: the features go out as a table, a portable model comes back and is scored here.

The table is a folder: ``features.npy`` (rows x features, float32), ``labels.npy`` (grades), ``table.json`` with the
names of the features, the seed and, query by query in the order of the rows, ``{rows, part, weight, ideal}``: part is
``fit``, ``held`` (for checking) or ``none`` (teaches nothing), ideal the DCG@10 of the best possible ranking.

The model is ``model.json``: ``{"kind": "trees", "outputs": [{"bias", "average", "trees": [{"feature", "threshold",
"left", "right", "value"}]}]}``, where node 0 is the root, a value below the threshold goes left and a leaf's feature is
-1; or ``{"kind": "linear", "outputs": [{"bias", "weights"}]}``. A prediction is the bias and what the trees (or their
average) or the weights add.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from testbed.bundle import Bundle, bundle_digest
from testbed.errors import DataError
from testbed.features import FEATURES
from testbed.lexical import Floats
from testbed.training import Group, Prepared, Trained, teaching
from testbed.trees import Forest

__all__ = ["assemble", "booster_text", "write_prepared"]

EXTRAS = ("mojo.zip", "leaderboard.json")
"""What a learner may leave beside its model; kept in the bundle, no part of its digest."""


def write_prepared(prepared: Prepared, out: Path) -> None:
    """Writes ``out``/table for a learner, and ``out``/draft, the bundle without its re-ranker."""
    teaching(prepared.groups[prepared.held :])
    table = out / "table"
    table.mkdir(parents=True)
    np.save(table / "features.npy", np.concatenate([group.features for group in prepared.groups]))
    np.save(table / "labels.npy", np.concatenate([group.grades for group in prepared.groups]))
    queries = [_query(group, held=place < prepared.held) for place, group in enumerate(prepared.groups)]
    about = {"features": list(FEATURES), "seed": prepared.config["seed"], "queries": queries}
    about |= {"examples": prepared.examples, "skipped": prepared.skipped}
    (table / "table.json").write_text(json.dumps(about), encoding="utf-8")
    Bundle.write(
        out / "draft",
        booster="",
        lsa=prepared.lsa,
        tables=prepared.tables,
        config=prepared.config,
        reference=prepared.reference,
    )


def assemble(prepared: Path, learned: Path, bundle: Path, *, learner: str) -> Trained:
    """Makes the bundle of a draft and a learner's model, and checks it on the queries held out.

    Raises:
        DataError: the model is missing, or is no model of these features.
    """
    about = _json(prepared / "table" / "table.json")
    features, grades = (np.load(prepared / "table" / f"{name}.npy") for name in ("features", "labels"))
    text = booster_text(_json(learned / "model.json"), features)
    shutil.copytree(prepared / "draft", bundle)
    (bundle / "booster.txt").write_text(text)
    config = {**_json(bundle / "config.json"), "learner": learner}
    written = json.dumps(config, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    (bundle / "config.json").write_text(written + "\n", encoding="utf-8")
    for name in EXTRAS:
        if (learned / name).exists():
            shutil.copyfile(learned / name, bundle / name)
    scores = Forest(text).predict(features)
    metrics = {
        "train_ndcg_at_10": _mean_ndcg(scores, grades, about["queries"], held=False),
        "valid_ndcg_at_10": _mean_ndcg(scores, grades, about["queries"], held=True),
        "bm25_ndcg_at_10": _mean_ndcg(None, grades, about["queries"], held=True),
    }
    return Trained(bundle_digest(bundle), about["examples"], about["skipped"], len(about["queries"]), metrics)


def booster_text(model: Mapping[str, Any], features: Floats) -> str:
    """A portable model in the text form of a booster: trees with the cover of `features`, or one linear leaf.

    Raises:
        DataError: it has not the fields of a model of these features.
    """
    try:
        (output,) = model["outputs"]
        if model["kind"] == "linear":
            return _linear(float(output["bias"]), np.asarray(output["weights"], float), features.shape[1])
        if model["kind"] != "trees" or not output["trees"]:
            raise DataError(f"model.json: kind={model['kind']!r} with no trees is no model")
        trees = [_tree(tree, features) for tree in output["trees"]]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"model.json: is no model of {features.shape[1]} features: {error!r}") from error
    average, bias = bool(output.get("average")), float(output["bias"])
    trees[0] = _raised(trees[0], bias * len(trees) if average else bias)
    head = [
        "tree",
        "version=v4",
        "num_class=1",
        "num_tree_per_iteration=1",
        "label_index=0",
        f"max_feature_idx={features.shape[1] - 1}",
        "objective=regression",
        *(["average_output"] if average else []),
        f"feature_names={' '.join(FEATURES[: features.shape[1]])}",
        f"feature_infos={' '.join('[-1e300:1e300]' for _ in range(features.shape[1]))}",
        "",
    ]
    blocks = [f"Tree={number}\n{_written(tree)}\n\n" for number, tree in enumerate(trees)]
    sizes = "tree_sizes=" + " ".join(str(len(block.encode())) for block in blocks)
    return "\n".join([*head[:-1], sizes, "", ""]) + "".join(blocks) + "end of trees\n"


def _linear(bias: float, weights: np.ndarray, width: int) -> str:
    if weights.shape != (width,):
        raise DataError(f"model.json: {len(weights)} weights for {width} features")
    return f"linear\nbias={bias!r}\nweights={' '.join(repr(float(weight)) for weight in weights)}\n"


def _tree(tree: Mapping[str, Sequence[Any]], features: Floats) -> dict[str, list[Any]]:
    """One tree with inner nodes and leaves numbered apart, as boosters have them; leaves are ~number."""
    feature = np.asarray(tree["feature"], int)
    inner = {int(node): place for place, node in enumerate(np.flatnonzero(feature >= 0))}
    leaves = {int(node): place for place, node in enumerate(np.flatnonzero(feature < 0))}
    number = {**inner, **{node: ~place for node, place in leaves.items()}}
    if any(not 0 <= feature[node] < features.shape[1] for node in inner):
        raise DataError("model.json: a tree splits on a feature that is not there")
    cover = _cover(tree, feature, features)
    return {
        "split_feature": [int(feature[node]) for node in inner],
        # A booster sends what is at most the threshold to the left: below a number is up to the one before it.
        "threshold": [float(np.nextafter(float(tree["threshold"][node]), -np.inf)) for node in inner],
        "left_child": [number[int(tree["left"][node])] for node in inner],
        "right_child": [number[int(tree["right"][node])] for node in inner],
        "leaf_value": [float(tree["value"][node]) for node in leaves],
        "leaf_count": [int(cover[node]) for node in leaves],
        "internal_count": [int(cover[node]) for node in inner],
    }


def _cover(tree: Mapping[str, Sequence[Any]], feature: np.ndarray, features: Floats) -> np.ndarray:
    """How many rows come through each node, at least 1: what attributions weigh branches by."""
    counts = np.zeros(len(feature), np.int64)
    waiting = [(0, np.arange(len(features)))]
    while waiting:
        node, rows = waiting.pop()
        counts[node] += max(1, len(rows))
        if feature[node] >= 0:
            left = features[rows, feature[node]].astype(np.float64) < float(tree["threshold"][node])
            waiting += [(int(tree["left"][node]), rows[left]), (int(tree["right"][node]), rows[~left])]
    return counts


def _raised(tree: dict[str, list[Any]], bias: float) -> dict[str, list[Any]]:
    return {**tree, "leaf_value": [value + bias for value in tree["leaf_value"]]}


def _written(tree: Mapping[str, Sequence[Any]]) -> str:
    inner, leaves = len(tree["split_feature"]), len(tree["leaf_value"])
    # 2: a numerical split whose default is left, and no missing values
    fields: dict[str, Sequence[Any]] = {
        "num_leaves": [leaves],
        "num_cat": [0],
        "split_feature": tree["split_feature"],
        "split_gain": [0] * inner,
        "threshold": tree["threshold"],
        "decision_type": [2] * inner,
        "left_child": tree["left_child"],
        "right_child": tree["right_child"],
        "leaf_value": tree["leaf_value"],
        "leaf_weight": tree["leaf_count"],
        "leaf_count": tree["leaf_count"],
        "internal_value": [0] * inner,
        "internal_weight": tree["internal_count"],
        "internal_count": tree["internal_count"],
        "is_linear": [0],
        "shrinkage": [1],
    }
    return "\n".join(f"{name}={' '.join(repr(value) for value in values)}" for name, values in fields.items())


def _query(group: Group, *, held: bool) -> dict[str, Any]:
    teaches = len(group.grades) > 1 and group.grades.max() > 0
    best = sorted(group.relevant.values(), reverse=True)
    part = "held" if held else ("fit" if teaches else "none")
    return {"rows": len(group.grades), "part": part, "weight": group.weight, "ideal": _dcg(np.array(best))}


def _mean_ndcg(
    scores: np.ndarray | None, grades: np.ndarray, queries: Sequence[Mapping[str, Any]], *, held: bool
) -> float:
    gains, at = [], 0
    for query in queries:
        rows = slice(at, at + query["rows"])
        at += query["rows"]
        if (query["part"] == "held") == held and query["ideal"] > 0:
            order = np.argsort(-scores[rows], kind="stable") if scores is not None else np.arange(query["rows"])
            gains.append(_dcg(grades[rows][order]) / query["ideal"])
    return round(float(np.mean(gains)), 6) if gains else 0.0


def _dcg(grades: np.ndarray) -> float:
    top = grades[:10]
    return float((top / np.log2(np.arange(2, len(top) + 2))).sum())


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name}: cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path.name}: an object is needed")
    return found
