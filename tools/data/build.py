"""Building a dataset: judged sessions that can be believed, what augmentation adds, and never a held-out query."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.platform.base import PLAUSIBLE_OVERLAP, JudgementRow, PlatformDocument
from domain.canonical import sha256_text
from domain.dataset import DatasetStatistics, Provenance
from domain.plan import AugmentationMethod, AugmentationPlan
from tools.data.examples import (
    Example,
    Paraphraser,
    Vocabulary,
    diversity,
    generate_queries,
    hard_negatives,
    judged_examples,
    mine_synonyms,
    paraphrase,
    substitute,
    unique,
    words,
)

HeldOut = Callable[[Sequence[str]], frozenset[int]]
"""The places of the queries that are held out."""

STATISTICS = "statistics.json"


@dataclass(frozen=True)
class Material:
    """What a dataset is made from."""

    documents: Sequence[PlatformDocument]
    rows: Sequence[JudgementRow]
    damaged: int


@dataclass(frozen=True)
class Built:
    """The examples, their statistics, how many came from each method, and what a model took that wrote some of them."""

    examples: Sequence[Example]
    statistics: DatasetStatistics
    methods: dict[str, int]
    provenance: Provenance
    tokens: int = 0
    cost_usd: float = 0.0


def believable(rows: Sequence[JudgementRow], documents: Sequence[PlatformDocument]) -> list[JudgementRow]:
    """Return the rows whose judged document was clicked or shown in the same request, or fits the query's words.

    Users do end up with documents that the search failed to show; those rows teach most and must stay.
    """
    vocabulary = Vocabulary(documents)
    return [
        row
        for row in rows
        if row.doc_id in row.clicked or row.doc_id in row.shown or vocabulary.overlap(row) >= PLAUSIBLE_OVERLAP
    ]


def build(
    material: Material, plan: AugmentationPlan, held_out: HeldOut, *, seed: str, by_model: Paraphraser | None = None
) -> Built:
    """Return the dataset that the plan describes, the same for the same arguments."""
    synthetic = augment(material, plan, seed=seed, by_model=by_model)
    everything, repeats = unique([*judged_examples(material.rows), *synthetic])
    kept = _without_held_out(everything, held_out)
    methods = dict(Counter(e.source for e in kept))
    statistics = DatasetStatistics(
        total_examples=len(kept),
        judged_examples=methods.get("judged", 0),
        synthetic_examples=len(kept) - methods.get("judged", 0),
        dropped_damaged=material.damaged,
        dropped_held_out=len(everything) - len(kept),
        avg_length=sum(len(e.query) for e in kept) / len(kept) if kept else 0.0,
        diversity_score=diversity(kept),
        duplicate_rate=repeats / (len(everything) + repeats) if everything else 0.0,
    )
    return Built(kept, statistics, methods, provenance_of(kept, material.rows))


def augment(
    material: Material, plan: AugmentationPlan, *, seed: str, by_model: Paraphraser | None = None
) -> list[Example]:
    """Return the synthetic examples of the plan, aimed at its categories and words."""
    rng = random.Random(int(sha256_text(seed)[:16], 16))
    by_id = {d.id: d for d in material.documents}
    aimed = _aimed(material.documents, plan)
    frequency = Counter(w for d in material.documents for w in set(words(f"{d.title} {d.text}")))
    share = max(plan.examples // len(plan.methods), 1)
    generated = generate_queries(aimed, frequency, share, plan.weight, rng)
    made: list[Example] = []
    for method in plan.methods:
        match method:
            case AugmentationMethod.QUERY_GENERATION:
                made += generated
            case AugmentationMethod.SYNONYM:
                made += substitute(generated, mine_synonyms(material.rows, by_id), plan.weight, rng)[:share]
            case AugmentationMethod.PARAPHRASE:
                chosen = rng.sample(generated, min(len(generated), paraphrases(plan)))
                made += paraphrase(chosen, plan.weight, rng, by_model)
            case AugmentationMethod.HARD_NEGATIVES:
                made += hard_negatives(material.rows, share)
    return made


def paraphrases(plan: AugmentationPlan) -> int:
    """Return how many examples of a plan are said otherwise, at most."""
    return max(plan.examples // len(plan.methods), 1) // 2


def provenance_of(examples: Sequence[Example], rows: Sequence[JudgementRow]) -> Provenance:
    """Return where the examples come from; a judgement of what a model showed confirms it, whoever trained it."""
    shown = Counter(row.digest for row in rows if row.digest and row.doc_id in row.shown)
    return Provenance(
        generated=sum(e.weight for e in examples if e.source != "judged"),
        judged=sum(e.weight for e in examples if e.source == "judged"),
        confirmed={digest: count / len(rows) for digest, count in sorted(shown.items())},
    )


def write(built: Built, documents: Sequence[PlatformDocument], folder: Path) -> None:
    """Write judgements, documents and statistics into `folder`: the same bytes for the same content.

    The files are `judgements.jsonl`, `documents.jsonl` and `statistics.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _lines(
        folder / "judgements.jsonl",
        [
            {"query": e.query, "doc_id": e.doc_id, "grade": e.grade, "source": e.source, "weight": e.weight}
            for e in built.examples
        ],
    )
    _lines(
        folder / "documents.jsonl",
        [{"id": d.id, "title": d.title, "text": d.text, "subject": d.subject} for d in documents],
    )
    summary = {
        "statistics": built.statistics.model_dump(mode="json"),
        "methods": built.methods,
        "documents": len(documents),
        "provenance": built.provenance.model_dump(mode="json"),
        # Only where a model wrote: what nobody was paid for is the same bytes for the same content.
        **({"tokens": built.tokens, "cost_usd": built.cost_usd} if built.tokens else {}),
    }
    (folder / STATISTICS).write_text(json.dumps(summary, sort_keys=True, indent=1), encoding="utf-8")


def _aimed(documents: Sequence[PlatformDocument], plan: AugmentationPlan) -> list[PlatformDocument]:
    categories, tokens = set(plan.target_categories), set(plan.target_tokens)
    if not categories and not tokens:
        return list(documents)
    aimed = [d for d in documents if d.subject in categories or tokens & set(words(f"{d.title} {d.text}"))]
    return aimed or list(documents)


def _without_held_out(examples: list[Example], held_out: HeldOut) -> list[Example]:
    places = held_out([e.query for e in examples]) if examples else frozenset()
    return [example for place, example in enumerate(examples) if place not in places]


def _lines(path: Path, rows: Sequence[dict[str, object]]) -> None:
    path.write_text(
        "".join(json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
