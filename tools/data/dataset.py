"""`augmentation_preview` and `dataset_version`: looking at what a plan would make, and making it a version."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from adapters.datasets.base import EFFECT_VERSION, DatasetsPort
from adapters.platform.base import PlatformPort
from domain.budget import Amounts, usd
from domain.dataset import DatasetRef, DatasetStatistics, Provenance
from domain.decision import Effect
from domain.observation import Observation, Seen
from domain.plan import AugmentationMethod, AugmentationPlan
from tools.data.build import STATISTICS, Built, HeldOut, Material, augment, believable, build, paraphrases, write
from tools.data.examples import Paraphraser, diversity
from tools.data.usage import counted
from tools.rates import Rates
from tools.tool import Arguments, Call, Result, Tool, ToolSpec

# A preview is for judging the recipe; a hundred examples tell as much as thousands.
PREVIEW = 100
PREVIEW_ROWS = 2000
MOST_ROWS = 20_000


class Workshop:
    """Gathers the material of datasets from the platform and builds them."""

    def __init__(
        self,
        platform: PlatformPort,
        held_out: HeldOut,
        *,
        by_model: Paraphraser | None = None,
        rates: Rates | None = None,
    ) -> None:
        self._platform = platform
        self._held_out = held_out
        self._by_model = by_model
        self._rates = rates or Rates()

    def material(self, drop_damaged: bool, limit: int = MOST_ROWS) -> Material:
        """Return the platform's documents and newest judgements, without those that cannot be believed."""
        rows, documents = list(self._platform.judgements(limit=limit)), self._platform.documents()
        kept = believable(rows, documents) if drop_damaged else rows
        return Material(documents, kept, len(rows) - len(kept))

    def preview(self, plan: AugmentationPlan, seed: str) -> tuple[list[str], float, int]:
        """Return sample queries, their diversity, and the number of judged sessions.

        The queries are written by templates, never by the model.
        """
        material = self.material(plan.drop_damaged, PREVIEW_ROWS)
        made = augment(material, plan.model_copy(update={"examples": min(plan.examples, PREVIEW)}), seed=seed)
        return [e.query for e in made[:10]], diversity(made), len(material.rows)

    def price(self, plan: AugmentationPlan) -> Amounts:
        """Return what the model may take at most that writes for this plan; nothing where none does."""
        if self._by_model is None or AugmentationMethod.PARAPHRASE not in plan.methods:
            return Amounts()
        return self._rates.texts(paraphrases(plan))

    def make(self, plan: AugmentationPlan, seed: str, folder: Path) -> Built:
        """Build the dataset into `folder`."""
        material = self.material(plan.drop_damaged)
        with counted() as usage:
            built = build(material, plan, self._held_out, seed=seed, by_model=self._by_model)
        built = replace(built, tokens=usage.tokens, cost_usd=usage.cost_usd)
        write(built, material.documents, folder)
        return built


class PlanArgs(Arguments):
    plan: AugmentationPlan


class Preview(Result):
    """Sample queries of the plan, their diversity in [0, 1], and how many recent sessions it was made from."""

    samples: tuple[str, ...]
    diversity: float
    judged_sessions: int


class AugmentationPreview(Tool[PlanArgs, Preview]):
    """Shows what a plan would make, and writes nothing."""

    spec = ToolSpec(
        "augmentation_preview", "Show sample queries an augmentation plan would make, with their diversity."
    )
    input = PlanArgs
    output = Preview

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def run(self, args: PlanArgs, call: Call) -> Preview:
        samples, spread, sessions = self._workshop.preview(args.plan, call.scope.cycle_id)
        return Preview(samples=tuple(samples), diversity=spread, judged_sessions=sessions)


class DatasetArgs(Arguments):
    """`name` is the dataset's identity, e.g. ``aug_2026_01_31_001``."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")
    plan: AugmentationPlan


class DatasetMade(Result):
    """The version, what is in it, how many examples each method gave, and the number of documents.

    `tokens` and `cost_usd` are what a model took that wrote for it.
    """

    ref: DatasetRef
    statistics: DatasetStatistics
    methods: dict[str, int]
    documents: int
    provenance: Provenance | None = None
    tokens: int = Field(default=0, ge=0)
    cost_usd: float = Field(default=0.0, ge=0)


class DatasetVersion(Tool[DatasetArgs, DatasetMade]):
    """Builds a dataset and makes it a DVC version."""

    spec = ToolSpec(
        "dataset_version",
        "Build the training dataset a plan describes and store it as a DVC version.",
        effect=Effect.WRITE,
        effects=(EFFECT_VERSION,),
        timeout=timedelta(minutes=10),
    )
    input = DatasetArgs
    output = DatasetMade

    def __init__(self, workshop: Workshop, datasets: DatasetsPort) -> None:
        self._workshop = workshop
        self._datasets = datasets

    def run(self, args: DatasetArgs, call: Call) -> DatasetMade:
        folder = Path(tempfile.mkdtemp(prefix="evercrew-dataset-"))
        try:
            built = self._workshop.make(args.plan, call.scope.cycle_id, folder / args.name)
            message = f"dataset {args.name}: {built.statistics.total_examples} examples for {call.scope.cycle_id}"
            ref = self._datasets.version(
                source=folder / args.name, name=args.name, message=message, key=call.key, permit=call.permit
            )
            return _made(ref, folder / args.name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def price(self, args: DatasetArgs) -> Amounts:
        return self._workshop.price(args.plan)

    def spent(self, args: DatasetArgs, result: DatasetMade) -> Amounts:
        return Amounts(tokens=result.tokens).plus(usd(result.cost_usd))

    def lost(self, args: DatasetArgs, seconds: float) -> Amounts:
        return self._workshop.price(args.plan)

    def observe(self, args: DatasetArgs, call: Call) -> Observation:
        seen = self._datasets.observe(call.key)
        if seen.seen is not Seen.DONE:
            return seen
        ref = DatasetRef.model_validate(seen.outcome)
        with tempfile.TemporaryDirectory(prefix="evercrew-dataset-") as folder:
            made = _made(ref, self._datasets.materialise(ref, Path(folder)))
        return Observation.done(made.model_dump(mode="json"))


def _made(ref: DatasetRef, folder: Path) -> DatasetMade:
    summary = json.loads((folder / STATISTICS).read_text(encoding="utf-8"))
    return DatasetMade(
        ref=ref,
        statistics=DatasetStatistics.model_validate(summary["statistics"]),
        methods=summary["methods"],
        documents=summary["documents"],
        provenance=summary.get("provenance"),
        tokens=summary.get("tokens", 0),
        cost_usd=summary.get("cost_usd", 0.0),
    )
