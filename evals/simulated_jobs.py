"""Jobs of the simulated platform, as ``module:function``: a "model" is a folder that says how skilled it is.

A query ``q<n> ...`` wants document ``d<n>``. A model of skill 0.7 puts it first for seven queries of ten, and third for
the others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TRAIN = "evals.simulated_jobs:train"
SCORE = "evals.simulated_jobs:score"
EXPLAIN = "evals.simulated_jobs:explain"
LEARNT = 0.9


def digest_of(bundle: Path) -> str:
    """Return the digest of a bundle folder."""
    text = (bundle / "model.json").read_bytes()
    return f"sha256:{hashlib.sha256(text).hexdigest()}"


def bundle_of(place: Path, name: str, skill: float) -> Path:
    """Write a bundle and return its folder."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "model.json").write_text(json.dumps({"name": name, "skill": skill}, sort_keys=True), encoding="utf-8")
    return place


def ranked(bundle: Path, query: str) -> list[str]:
    """Return what the model answers."""
    skill = json.loads((bundle / "model.json").read_text(encoding="utf-8"))["skill"]
    wanted = f"d{query.split()[0].removeprefix('q')}"
    luck = int(hashlib.sha256(query.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    return [wanted, "other-1", "other-2"] if luck < skill else ["other-1", "other-2", wanted]


def train(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Train on a dataset folder; the same data and seed give the same bundle."""
    dataset = Path(spec["dataset"])
    rows = (dataset / "judgements.jsonl").read_text(encoding="utf-8").splitlines()
    name = hashlib.sha256("\n".join(rows).encode()).hexdigest()[:12] + f"-{spec['seed']}"
    bundle = bundle_of(Path(out) / "bundle", name, LEARNT)
    return {"digest": digest_of(bundle), "metrics": {"ndcg": 0.5}, "examples": len(rows), "bundle": "bundle"}


def score(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Answer every query of the judgements with every bundle."""
    rows = [json.loads(line) for line in Path(spec["judgements"]).read_text(encoding="utf-8").splitlines()]
    runs = {}
    for name, bundle in spec["bundles"].items():
        lines = []
        for number, row in enumerate(rows):
            ranking = [[d, float(-r)] for r, d in enumerate(ranked(Path(bundle), row["query"]))]
            lines.append(json.dumps({"query_index": number, "ranking": ranking, "latency_ms": 2.0}) + "\n")
        runs[name] = f"run.{name}.jsonl"
        (Path(out) / runs[name]).write_text("".join(lines), encoding="utf-8")
    return {"runs": runs, "queries": len(rows)}


def explain(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Attribute the scores of the queries on both sides of the alert."""
    shares = {"bm25": 2.0, "popularity": 1.0}
    return {"features": shares, "groups": {"before": shares, "after": {"bm25": 1.0, "popularity": 1.0}}}


def sandboxed(entry: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Answer as a sandbox would, in this process."""
    if entry == EXPLAIN:
        return explain(spec, Path())
    rows: Sequence[str] = Path(spec["judgements"]).read_text(encoding="utf-8").splitlines()
    return {"queries": len(rows)}
