"""Training a bundle from documents and judgements: tables, latent space, LambdaMART."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from testbed.bundle import Bundle
from testbed.corpus import Document, read_jsonl
from testbed.errors import DataError
from testbed.features import FEATURES, FeatureBuilder
from testbed.lexical import Floats, LexicalIndex
from testbed.lsa import Lsa, fit_lsa
from testbed.tables import Judgement, Tables, learn_tables
from testbed.text import tokens
from testbed.truth import ndcg

__all__ = [
    "DEFAULTS",
    "Group",
    "Prepared",
    "Trained",
    "prepare",
    "read_judgements",
    "teaching",
    "train_bundle",
    "write_bundle",
]

DEFAULTS: dict[str, Any] = {
    "candidates": 40,
    "dimensions": 64,
    "folds": 4,
    "iterations": 100,
    "leaves": 15,
    "learning_rate": 0.1,
    "max_queries": 2500,
    "min_leaf": 20,
    "trained_at": None,
}
"""Parameters of training; ``trained_at`` is a text kept in the bundle's config and so part of its digest."""

_VALID_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Trained:
    """``examples`` usable judgements, ``skipped`` ones of unknown documents, ``queries`` the re-ranker was fitted and
    checked on.

    ``metrics``: "train_ndcg_at_10", "valid_ndcg_at_10" (queries held out of the fit), "bm25_ndcg_at_10" (those, not
    re-ranked).
    """

    digest: str
    examples: int
    skipped: int
    queries: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Group:
    """One query's candidates: features (n x features), grades (n,), document ids, the grades of all its relevant
    documents and the query's weight.
    """

    features: Floats
    grades: np.ndarray
    ids: list[str]
    relevant: dict[str, float]
    weight: float


def read_judgements(path: Path) -> list[Judgement]:
    """Judgements of a JSON-lines file of ``{query, doc_id, grade, source, weight?}``.

    Raises:
        DataError: names the file, the line and the field that is wrong.
    """
    judgements = []
    for where, row in read_jsonl(path):
        for name in ("query", "doc_id", "source"):
            if not isinstance(row.get(name), str) or not row[name]:
                raise DataError(f"{where}: field {name}: a non-empty string is needed, got {row.get(name)!r}")
        grade, weight = row.get("grade"), row.get("weight", 1.0)
        if isinstance(grade, bool) or not isinstance(grade, int | float) or not 0 <= grade < float("inf"):
            raise DataError(f"{where}: field grade: a number of 0 or more is needed, got {grade!r}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= 1:
            raise DataError(f"{where}: field weight: a number above 0 and up to 1 is needed, got {weight!r}")
        judgements.append(Judgement.of(row["query"], row["doc_id"], float(grade), row["source"], float(weight)))
    return judgements


@dataclass(frozen=True, slots=True)
class Prepared:
    """All of a bundle but the re-ranker, and what a re-ranker learns from: the first `held` groups are for checking it,
    the others for fitting it.
    """

    groups: list[Group]
    held: int
    lsa: Lsa
    tables: Tables
    config: dict[str, Any]
    reference: dict[str, Any]
    examples: int
    skipped: int


Scorer = Callable[[Floats], np.ndarray]
"""Features (rows x features) -> scores (rows,)."""


def train_bundle(
    documents: Sequence[Document], judgements: Sequence[Judgement], out: Path, *, seed: int, params: Mapping[str, Any]
) -> Trained:
    """Trains and writes a bundle; the same inputs give the same digest in every process.

    Raises:
        DataError: for unknown parameters or when fewer than 20 queries have a positive judgement of a known document.
    """
    prepared = prepare(documents, judgements, seed=seed, params=params)
    booster = _fit(prepared.groups[prepared.held :], prepared.config["params"], seed)

    def scores(features: Floats) -> np.ndarray:
        return np.asarray(booster.predict(features, num_threads=1))

    return write_bundle(prepared, booster.model_to_string(), scores, out)


def prepare(
    documents: Sequence[Document], judgements: Sequence[Judgement], *, seed: int, params: Mapping[str, Any]
) -> Prepared:
    """Learns tables and latent space, and makes the features that any re-ranker can be fitted to.

    Features of a training query come from tables learnt without that query's fold: a table that has seen the answer
    would teach the re-ranker to trust it blindly.

    Raises:
        DataError: as `train_bundle`.
    """
    if unknown := sorted(set(params) - set(DEFAULTS)):
        raise DataError(f"params: unknown {', '.join(unknown)}; known are {', '.join(sorted(DEFAULTS))}")
    chosen = {**DEFAULTS, **params}
    index = LexicalIndex(sorted(documents, key=lambda document: document.id))
    usable = sorted((row for row in judgements if row.doc_id in index.position), key=astuple)
    by_query: defaultdict[str, list[Judgement]] = defaultdict(list)
    for judgement in usable:
        by_query[judgement.query].append(judgement)
    asked = [query for query, rows in by_query.items() if any(row.grade > 0 for row in rows)]
    if len(asked) < 20:
        raise DataError(
            f"judgements: {len(asked)} queries have a positive judgement of a known document; at least 20 are needed"
        )
    lsa = fit_lsa(index, int(chosen["dimensions"]), seed)
    sample = _sample(by_query, asked, int(chosen["max_queries"]), seed)
    groups = _fold_groups(by_query, usable, sample, index, lsa, chosen, seed)
    config = {
        "seed": seed,
        "params": chosen,
        "documents": len(index),
        "judgements": len(usable),
        "features": list(FEATURES),
    }
    config["trained_at"] = chosen["trained_at"]
    return Prepared(
        groups=groups,
        held=int(len(groups) * _VALID_SHARE),
        lsa=lsa,
        tables=learn_tables(usable, index),
        config=config,
        reference=_reference(index, usable),
        examples=len(usable),
        skipped=len(judgements) - len(usable),
    )


def write_bundle(prepared: Prepared, booster: str, scores: Scorer, out: Path) -> Trained:
    """Writes the bundle of a fitted re-ranker and checks it on the queries held out."""
    digest = Bundle.write(
        out,
        booster=booster,
        lsa=prepared.lsa,
        tables=prepared.tables,
        config=prepared.config,
        reference=prepared.reference,
    )
    groups, held = prepared.groups, prepared.held
    metrics = {
        "train_ndcg_at_10": _mean_ndcg(groups[held:], scores),
        "valid_ndcg_at_10": _mean_ndcg(groups[:held], scores),
        "bm25_ndcg_at_10": _mean_ndcg(groups[:held], None),
    }
    return Trained(digest, prepared.examples, prepared.skipped, len(groups), metrics)


def _sample(by_query: Mapping[str, Sequence[Judgement]], asked: Sequence[str], count: int, seed: int) -> list[str]:
    """Queries drawn without replacement in proportion to their weight (Efraimidis and Spirakis 2006), so that what no
    user said does not crowd out what users said.
    """

    def race(query: str) -> float:
        uniform = (int(_sha(seed, "sample", query)[:12], 16) + 1) / (16**12 + 1)
        return -math.log(uniform) / max(row.weight for row in by_query[query])

    return sorted(asked, key=race)[:count]


def _fold_groups(
    by_query: Mapping[str, list[Judgement]],
    usable: Sequence[Judgement],
    sample: Sequence[str],
    index: LexicalIndex,
    lsa: Lsa,
    params: Mapping[str, Any],
    seed: int,
) -> list[Group]:
    """Groups of the sampled queries in the sample's order."""
    folds = int(params["folds"])
    fold_of = {query: int(_sha(seed, "fold", query)[:8], 16) % folds for query in by_query}
    groups: dict[str, Group] = {}
    for fold in range(folds):
        tables = learn_tables([j for j in usable if fold_of[j.query] != fold], index)
        builder = FeatureBuilder(index, tables, lsa)
        for query in sample:
            if fold_of[query] == fold:
                groups[query] = _group(builder, query, by_query[query], int(params["candidates"]))
    return [groups[query] for query in sample]


def _group(builder: FeatureBuilder, query: str, rows: Sequence[Judgement], count: int) -> Group:
    relevant: dict[str, float] = {}
    for row in rows:
        relevant[row.doc_id] = max(relevant.get(row.doc_id, 0.0), row.grade)
    found = builder.candidates(query, count)
    ids = [builder.index.ids[place] for place in found.positions]
    grades = np.array([relevant.get(key, 0.0) for key in ids])
    return Group(found.features, grades, ids, relevant, max(row.weight for row in rows))


def _fit(groups: Sequence[Group], params: Mapping[str, Any], seed: int) -> Any:
    """LambdaMART (Burges 2010) by LightGBM, single-threaded and deterministic; queries whose answer is not among the
    candidates teach nothing and are left out.
    """
    import lightgbm

    useful = teaching(groups)
    dataset = lightgbm.Dataset(
        np.concatenate([group.features for group in useful]).astype(np.float64),
        label=np.concatenate([np.minimum(np.round(group.grades), 5) for group in useful]),
        group=[len(group.grades) for group in useful],
        weight=np.concatenate([np.full(len(group.grades), group.weight) for group in useful]),
        feature_name=list(FEATURES),
        free_raw_data=True,
    )
    settings = {
        "objective": "lambdarank",
        "num_leaves": int(params["leaves"]),
        "learning_rate": float(params["learning_rate"]),
        "min_data_in_leaf": int(params["min_leaf"]),
        "lambdarank_truncation_level": 12,
        "max_bin": 63,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": seed,
        "verbosity": -1,
    }
    return lightgbm.train(settings, dataset, num_boost_round=int(params["iterations"]))


def teaching(groups: Sequence[Group]) -> list[Group]:
    """The groups that teach something: a judged document is among the candidates.

    Raises:
        DataError: there is none.
    """
    useful = [group for group in groups if len(group.grades) > 1 and group.grades.max() > 0]
    if not useful:
        raise DataError("judgements: no judged document is among its query's candidates, so there is nothing to learn")
    return useful


def _mean_ndcg(groups: Sequence[Group], scores: Scorer | None) -> float:
    """Mean nDCG@10 of groups re-ranked by the scores, or as the candidates came; 0 without groups."""
    gains = []
    for group in groups:
        found = scores(group.features) if scores and group.ids else -np.arange(len(group.ids))
        order = np.argsort(-found, kind="stable")
        gains.append(ndcg([group.ids[place] for place in order], group.relevant))
    return round(float(np.mean(gains)), 6) if gains else 0.0


def _reference(index: LexicalIndex, judgements: Sequence[Judgement]) -> dict[str, Any]:
    """The world as it was at training time, to measure drift against."""
    query_tokens: Counter[str] = Counter()
    query_subjects: Counter[str] = Counter()
    for judgement in judgements:
        query_tokens.update(set(tokens(judgement.query)))
        query_subjects[index.documents[index.position[judgement.doc_id]].subject] += 1
    names = list(index.vocabulary)
    return {
        "documents": len(index),
        "token_df": {names[number]: int(df) for number, df in enumerate(index.df) if df > 0},
        "subjects": dict(Counter(document.subject for document in index.documents)),
        "query_tokens": dict(query_tokens),
        "query_subjects": dict(query_subjects),
        "judgements": len(judgements),
    }


def _sha(seed: int, *parts: str) -> str:
    return hashlib.sha256("\0".join((str(seed), *parts)).encode()).hexdigest()
