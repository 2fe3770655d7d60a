"""Entry points that run in worker processes: each takes a JSON-able dict and an out folder and returns a JSON-able
dict.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from testbed import clock
from testbed.bundle import Bundle
from testbed.corpus import read_documents, read_jsonl
from testbed.errors import DataError
from testbed.features import FEATURES, FeatureBuilder
from testbed.learned import assemble, write_prepared
from testbed.lexical import LexicalIndex
from testbed.search import MODES, Searcher
from testbed.training import Trained, prepare, read_judgements, train_bundle

__all__ = ["explain", "features", "finish", "score", "train"]

LEARNER = "lightgbm"
"""What `train` fits re-rankers with; any other learner stands between `features` and `finish`."""


def train(args: Mapping[str, Any], out: str | Path) -> dict[str, Any]:
    """{"dataset": DIR, "seed": int, "params": {...}} -> {"bundle": "bundle", "digest", "metrics", "examples",
    "skipped", "queries", "params"}; the bundle is written to ``out``/bundle. DIR holds ``documents.jsonl`` and
    ``judgements.jsonl``.

    Raises:
        DataError: names the argument, or the file, line and field, that is wrong.
    """
    learner = args.get("learner", LEARNER)
    if learner != LEARNER:
        raise DataError(
            f"learner={learner!r}: this job fits by {LEARNER} only; run `features`, the learner and `finish`"
        )
    dataset, seed, params = Path(_need(args, "dataset", str)), _need(args, "seed", int), dict(args.get("params") or {})
    trained = train_bundle(
        read_documents(_either(dataset, "documents.jsonl")),
        read_judgements(_either(dataset, "judgements.jsonl")),
        Path(out) / "bundle",
        seed=seed,
        params=params,
    )
    return {**_told(trained), "params": params}


def features(args: Mapping[str, Any], out: str | Path) -> dict[str, Any]:
    """As `train`, but without the re-ranker: ``out``/table for a learner and ``out``/draft, see `testbed.learned`."""
    dataset, seed, params = Path(_need(args, "dataset", str)), _need(args, "seed", int), dict(args.get("params") or {})
    prepared = prepare(
        read_documents(_either(dataset, "documents.jsonl")),
        read_judgements(_either(dataset, "judgements.jsonl")),
        seed=seed,
        params=params,
    )
    write_prepared(prepared, Path(out))
    return {"table": "table", "queries": len(prepared.groups), "held": prepared.held, "params": params}


def finish(args: Mapping[str, Any], out: str | Path) -> dict[str, Any]:
    """{"prepared": DIR, "learned": DIR, "learner": name, "params"?} -> as `train`: the bundle of what `features` wrote
    to the one folder and a learner to the other.

    Raises:
        DataError: names what is missing or wrong in the learner's model.
    """
    trained = assemble(
        Path(_need(args, "prepared", str)),
        Path(_need(args, "learned", str)),
        Path(out) / "bundle",
        learner=_need(args, "learner", str),
    )
    return {**_told(trained), "params": dict(args.get("params") or {})}


def _told(trained: Trained) -> dict[str, Any]:
    return {
        "bundle": "bundle",
        "digest": trained.digest,
        "metrics": trained.metrics,
        "examples": trained.examples,
        "skipped": trained.skipped,
        "queries": trained.queries,
    }


def score(args: Mapping[str, Any], out: str | Path) -> dict[str, Any]:
    """{"bundles": {name: DIR}, "documents": FILE, "judgements": FILE, "k": 50, "mode": "balanced"} -> {"runs": {name:
    file}, "queries": n, "digests": {name: digest}}.

    Each ``run.<name>.jsonl`` in ``out`` has a line ``{query_index, query, subject, ranking: [[doc_id, score], ...],
    latency_ms}`` for each line ``{query, relevant, subject}`` of the judgements. Latency is the CPU time of the search;
    queries alternate between the bundles, so that a busy moment of the machine meets all of them.

    Raises:
        DataError: names the argument, or the file, line and field, that is wrong.
        BundleError: names the bundle's file that is missing or damaged.
    """
    named, k, mode = _need(args, "bundles", dict), int(args.get("k", 50)), args.get("mode", "balanced")
    if mode not in MODES:
        raise DataError(f"mode={mode!r}: must be one of {', '.join(MODES)}")
    if not named:
        raise DataError("bundles: at least one is needed")
    index = LexicalIndex(read_documents(Path(_need(args, "documents", str))))
    searchers = {name: Searcher(index, Bundle.load(Path(where))) for name, where in sorted(named.items())}
    rows = _queries(Path(_need(args, "judgements", str)))
    lines: dict[str, list[str]] = {name: [] for name in searchers}
    for number, row in enumerate(rows):
        for name, searcher in searchers.items():
            started = clock.cpu()
            hits = searcher.search(row["query"], k, mode)
            spent = 1000 * (clock.cpu() - started)
            ranking = [[hit.id, round(hit.score, 6)] for hit in hits]
            result = {"query_index": number, "query": row["query"], "subject": row.get("subject", "")}
            lines[name].append(json.dumps({**result, "ranking": ranking, "latency_ms": round(spent, 4)}))
    target = Path(out)
    target.mkdir(parents=True, exist_ok=True)
    for name, written in lines.items():
        (target / f"run.{name}.jsonl").write_text("\n".join(written) + "\n")
    digests = {name: searcher.bundle.digest for name, searcher in searchers.items() if searcher.bundle}
    return {"runs": {name: f"run.{name}.jsonl" for name in lines}, "queries": len(rows), "digests": digests}


def explain(args: Mapping[str, Any], out: str | Path) -> dict[str, Any]:
    """{"bundle": DIR, "documents": FILE, "queries": [...], "groups": {name: [...]}?} -> {"features": {name: mean
    |SHAP|}, "groups": {name: {feature: mean |SHAP|}}, "queries": n, "rows": n}, also written to
    ``out``/attribution.json.

    Exact TreeSHAP (Lundberg et al. 2020) by LightGBM over the ten first results' candidates of each query; of a linear
    re-ranker, weight times distance from the mean.

    Raises:
        DataError: when no query finds anything.
    """
    import lightgbm

    directory = Path(_need(args, "bundle", str))
    bundle = Bundle.load(directory)
    builder = FeatureBuilder(
        LexicalIndex(read_documents(Path(_need(args, "documents", str)))), bundle.tables, bundle.lsa
    )
    booster = None
    if bundle.forest.weights is None:
        booster = lightgbm.Booster(model_str=(directory / "booster.txt").read_text())
    groups = {
        "": list(_need(args, "queries", list)),
        **{str(k): list(v) for k, v in (args.get("groups") or {}).items()},
    }
    means = {name: _mean_shap(booster, bundle, builder, queries) for name, queries in sorted(groups.items())}
    overall, rows = means.pop("")
    result = {
        "features": overall,
        "groups": {name: values for name, (values, _) in means.items()},
        "queries": len(groups[""]),
        "rows": rows,
    }
    Path(out).mkdir(parents=True, exist_ok=True)
    (Path(out) / "attribution.json").write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    return result


def _mean_shap(
    booster: Any, bundle: Bundle, builder: FeatureBuilder, queries: Sequence[str]
) -> tuple[dict[str, float], int]:
    blocks = []
    for query in queries:
        found = builder.candidates(query, 50)
        if len(found.positions):
            order = np.argsort(-bundle.forest.predict(found.features), kind="stable")[:10]
            blocks.append(found.features[order])
    if not blocks:
        raise DataError("queries: none of them finds a document, so there is nothing to explain")
    matrix = np.concatenate(blocks)
    if booster is not None:
        # The library averages predictions where the model says so, but not contributions.
        found = booster.predict(matrix, pred_contrib=True, num_threads=1)[:, :-1] * bundle.forest.share
    else:
        found = (matrix - matrix.mean(axis=0)) * bundle.forest.weights
    values = np.abs(found).mean(axis=0)
    return {name: round(float(value), 6) for name, value in zip(FEATURES, values, strict=True)}, len(matrix)


def _queries(path: Path) -> list[dict[str, Any]]:
    rows = []
    for where, row in read_jsonl(path):
        if not isinstance(row.get("query"), str) or not row["query"]:
            raise DataError(f"{where}: field query: a non-empty string is needed, got {row.get('query')!r}")
        rows.append(row)
    if not rows:
        raise DataError(f"{path}: holds no queries")
    return rows


def _either(directory: Path, name: str) -> Path:
    plain = directory / name
    return plain if plain.exists() or not (directory / f"{name}.gz").exists() else directory / f"{name}.gz"


def _need(args: Mapping[str, Any], name: str, kind: type[Any]) -> Any:
    value = args.get(name)
    if isinstance(value, bool) or not isinstance(value, kind):
        raise DataError(f"{name}={value!r}: a value of type {kind.__name__} is needed")
    return value
