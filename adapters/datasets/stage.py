"""The stages of a cycle's DVC pipeline: ``python -P -m adapters.datasets.stage prepare|train|evaluate``.

Run by `dvc repro` in the dataset repository, whose ``params.yaml`` says what with. The same data and parameters give
the same files. The jobs are the platform's own: ``module:function`` called as function(spec, out folder).
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

WORK = "work"
QUERIES = f"{WORK}/queries.jsonl"
MODEL = f"{WORK}/model"
TRAINED = f"{WORK}/train.json"
EVALUATION = f"{WORK}/evaluation.json"
_KEPT = ("digest", "examples", "metrics")
_DEPTH = 10


def main(arguments: Sequence[str]) -> int:
    """Run one stage in the current folder."""
    stages: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
        "prepare": prepare,
        "train": train,
        "evaluate": evaluate,
    }
    if len(arguments) != 1 or arguments[0] not in stages:
        sys.stderr.write(f"usage: python -P -m adapters.datasets.stage {'|'.join(stages)}\n")
        return 2
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    Path(WORK).mkdir(exist_ok=True)
    stages[arguments[0]](params)
    return 0


def prepare(params: Mapping[str, Any]) -> None:
    """Choose the queries of the evaluation: those whose hashes come first, with the documents judged relevant."""
    relevant: dict[str, dict[str, float]] = {}
    for line in (Path(params["dataset"]) / "judgements.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if float(row.get("grade", 1.0)) > 0 and "doc_id" in row:
            relevant.setdefault(row["query"], {})[row["doc_id"]] = float(row.get("grade", 1.0))
    chosen = sorted(relevant, key=lambda query: hashlib.sha256(query.encode()).hexdigest())[
        : params["prepare"]["queries"]
    ]
    rows = [json.dumps({"query": q, "relevant": relevant[q], "subject": ""}, sort_keys=True) for q in chosen]
    Path(QUERIES).write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def train(params: Mapping[str, Any]) -> None:
    """Train on the whole dataset."""
    plan = params["train"]
    spec = {**plan["spec"], "dataset": params["dataset"]}
    with tempfile.TemporaryDirectory(prefix="evercrew-stage-") as scratch:
        output = _job(plan["entry"])(spec, Path(scratch))
        shutil.rmtree(MODEL, ignore_errors=True)
        shutil.copytree(Path(scratch) / str(output["bundle"]), MODEL)
    write_json(Path(TRAINED), output)


def evaluate(params: Mapping[str, Any]) -> None:
    """Let the model answer the queries; nDCG at 10 with the grades as gains (Jarvelin and Kekalainen 2002)."""
    rows = [json.loads(line) for line in Path(QUERIES).read_text(encoding="utf-8").splitlines()]
    spec = {
        "bundles": {"model": MODEL},
        "documents": str(Path(params["dataset"]) / "documents.jsonl"),
        "judgements": QUERIES,
    }
    values: list[float] = []
    if rows:
        with tempfile.TemporaryDirectory(prefix="evercrew-stage-") as scratch:
            output = _job(params["evaluate"]["entry"])(spec, Path(scratch))
            runs = (Path(scratch) / output["runs"]["model"]).read_text(encoding="utf-8").splitlines()
        for line in runs:
            run = json.loads(line)
            values.append(_ndcg([str(d) for d, *_ in run["ranking"]], rows[run["query_index"]]["relevant"]))
    mean = round(math.fsum(values) / len(values), 6) if values else None
    _write(Path(EVALUATION), {"ndcg_at_10": mean, "queries": len(values), "on": "queries of the training data"})


def write_json(path: Path, output: Mapping[str, Any]) -> None:
    """Write what of a training's output is the same every time."""
    _write(path, {name: output[name] for name in _KEPT if name in output})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, sort_keys=True, indent=1, default=float) + "\n", encoding="utf-8")


def _ndcg(ranking: Sequence[str], relevant: Mapping[str, float]) -> float:
    def gain(grades: Sequence[float]) -> float:
        return sum(grade / math.log2(place + 2) for place, grade in enumerate(grades[:_DEPTH]))

    best = gain(sorted(relevant.values(), reverse=True))
    return gain([relevant.get(document, 0.0) for document in ranking]) / best if best else 0.0


def _job(entry: str) -> Callable[[Mapping[str, Any], Path], Mapping[str, Any]]:
    module, _, name = entry.partition(":")
    found: Callable[[Mapping[str, Any], Path], Mapping[str, Any]] = getattr(importlib.import_module(module), name)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
