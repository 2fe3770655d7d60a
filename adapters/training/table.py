"""A table to learn from, as a folder: what makes features writes it, any learner reads it.

``features.npy`` is rows x features; ``table.json`` has ``features`` (their names), ``seed`` and either ``queries``, in
the order of the rows ``{rows, part, weight, ideal}`` with grades in ``labels.npy`` and `ideal` the DCG@10 of the best
possible ranking, or ``labels`` (classes by row) and ``parts`` by row. A part is ``fit``, ``held`` (to check what was
learnt) or ``none`` (neither).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from domain.errors import InvalidInput

FIT, HELD, NONE = "fit", "held", "none"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Query:
    """One query's rows, and the DCG@10 of its best possible ranking."""

    rows: slice
    part: str
    ideal: float


@dataclass(frozen=True)
class Table:
    """`grades` and `queries` of a ranking, or `labels` of a classification; `parts` and `weights` by row."""

    names: list[str]
    features: Floats
    parts: npt.NDArray[np.str_]
    weights: Floats
    seed: int
    grades: Floats | None = None
    labels: list[str] | None = None
    queries: tuple[Query, ...] = ()

    def ndcg(self, scores: npt.ArrayLike, part: str) -> float:
        """Return the mean nDCG@10 (linear gains; Jarvelin and Kekalainen 2002) of a part's queries ranked by `scores`
        of all rows; 0 when there are none.
        """
        found = np.asarray(scores, np.float64)
        grades = self.grades if self.grades is not None else np.zeros(len(found))
        gains = []
        for query in self.queries:
            if query.part == part and query.ideal > 0:
                top = grades[query.rows][np.argsort(-found[query.rows], kind="stable")][:10]
                gains.append(float((top / np.log2(np.arange(2, len(top) + 2))).sum()) / query.ideal)
        return float(np.mean(gains)) if gains else 0.0


def read_table(folder: Path) -> Table:
    """Read a table.

    Raises:
        InvalidInput: a file is missing or damaged, or they do not fit together.
    """
    try:
        about = json.loads((folder / "table.json").read_text(encoding="utf-8"))
        features = np.asarray(np.load(folder / "features.npy"), np.float64)
        names = [str(name) for name in about["features"]]
        table = _ranking(about, folder, features, names) if "queries" in about else _classes(about, features, names)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise InvalidInput("table", f"{folder.name} cannot be read: {error!r}", "Make the features again") from error
    count = len(features)
    whole = features.ndim == 2 and features.shape[1] == len(names) and len(table.parts) == len(table.weights) == count
    if not whole or not np.isfinite(features).all():
        raise InvalidInput("table", f"{folder.name} does not fit together or has gaps", "Make the features again")
    return table


def write_classes(
    folder: Path,
    *,
    names: Sequence[str],
    features: npt.ArrayLike,
    labels: Sequence[str],
    held: Sequence[bool],
    seed: int,
) -> None:
    """Write the table of a classification: a label and whether it is held out, by row."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "features.npy", np.asarray(features, np.float64))
    parts = [HELD if out else FIT for out in held]
    about = {"features": list(names), "seed": seed, "labels": list(labels), "parts": parts}
    (folder / "table.json").write_text(json.dumps(about), encoding="utf-8")


def _ranking(about: dict[str, Any], folder: Path, features: Floats, names: list[str]) -> Table:
    grades = np.asarray(np.load(folder / "labels.npy"), np.float64)
    parts: list[str] = []
    weights: list[float] = []
    queries: list[Query] = []
    for query in about["queries"]:
        count, part = int(query["rows"]), str(query["part"])
        queries.append(Query(slice(len(parts), len(parts) + count), part, float(query["ideal"])))
        parts += [part] * count
        weights += [float(query["weight"])] * count
    if len(grades) != len(features):
        raise ValueError(f"{len(grades)} grades for {len(features)} rows")
    return Table(
        names, features, np.array(parts), np.array(weights), int(about["seed"]), grades=grades, queries=tuple(queries)
    )


def _classes(about: dict[str, Any], features: Floats, names: list[str]) -> Table:
    labels = [str(label) for label in about["labels"]]
    if len(labels) != len(features):
        raise ValueError(f"{len(labels)} labels for {len(features)} rows")
    parts = np.array([str(part) for part in about["parts"]])
    return Table(names, features, parts, np.ones(len(labels)), int(about["seed"]), labels=labels)
