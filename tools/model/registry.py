"""`registry_read` and `attribution`: what is registered, and what the live re-ranker attends to."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from adapters.platform.base import PlatformPort
from adapters.sandbox.base import SandboxPort
from adapters.store.base import StorePort
from adapters.tracking.base import TrackingPort
from domain.budget import Amounts
from domain.candidate import ModelRef
from domain.errors import DependencyLied
from tools.model.evaluate import fetch_bundle
from tools.observe.judged import sides
from tools.observe.reading import SignalReader
from tools.rates import Rates
from tools.tool import PATIENCE, Call, Nothing, Result, Tool, ToolSpec

QUERIES = 40
# How long the job may take; the call takes longer, by what has to be fetched first.
LIMIT = timedelta(minutes=2)


class RegistryView(Result):
    """The models behind the aliases, how many versions there are, and which digests must not be proposed again."""

    champion: ModelRef | None
    candidate: ModelRef | None
    gold: ModelRef | None
    versions: int
    tombstoned: tuple[str, ...]


class RegistryRead(Tool[Nothing, RegistryView]):
    """Reads the model registry."""

    spec = ToolSpec("registry_read", "Read champion, candidate and gold of the model registry, and tombstoned digests.")
    input = Nothing
    output = RegistryView

    def __init__(self, tracking: TrackingPort, store: StorePort, *, model: str) -> None:
        self._tracking = tracking
        self._store = store
        self._model = model

    def run(self, args: Nothing, call: Call) -> RegistryView:
        versions = self._tracking.versions(self._model)
        return RegistryView(
            champion=self._tracking.by_alias(self._model, "champion"),
            candidate=self._tracking.by_alias(self._model, "candidate"),
            gold=self._tracking.by_alias(self._model, "gold"),
            versions=len(versions),
            tombstoned=tuple(sorted({v.digest for v in versions if self._store.tombstone(v.digest) is not None})),
        )


class FeatureShare(Result):
    """Mean absolute TreeSHAP contribution of a feature as a share of all features', before and after the alert."""

    feature: str
    before: float
    after: float


class Attribution(Result):
    """Shares by feature, the largest change first, with the live model's digest and how the process was confined."""

    digest: str
    features: tuple[FeatureShare, ...]
    queries_before: int
    queries_after: int
    isolation: str
    seconds: float = 0.0


class AttributionRead(Tool[Nothing, Attribution]):
    """Explains the live re-ranker on queries from both sides of the alert, by exact TreeSHAP (Lundberg et al. 2020)."""

    spec = ToolSpec(
        "attribution",
        "Attribute the live re-ranker's scores to its features before and after the alert (TreeSHAP).",
        timeout=LIMIT + PATIENCE,
    )
    input = Nothing
    output = Attribution

    def __init__(
        self,
        platform: PlatformPort,
        tracking: TrackingPort,
        sandbox: SandboxPort,
        reader: SignalReader,
        *,
        model: str,
        entry: str,
        bundles: Path,
        rates: Rates | None = None,
    ) -> None:
        self._rates = rates or Rates()
        self._platform = platform
        self._tracking = tracking
        self._sandbox = sandbox
        self._reader = reader
        self._model = model
        self._entry = entry
        self._bundles = bundles

    def run(self, args: Nothing, call: Call) -> Attribution:
        live = self._platform.live()
        bundle = fetch_bundle(self._tracking, self._model, live.digest, self._bundles)
        seen = sides(self._platform, self._reader, call.scope.alert_at)
        before, after = [r.query for r in seen.before[-QUERIES:]], [r.query for r in seen.after[-QUERIES:]]
        with tempfile.TemporaryDirectory(prefix="evercrew-explain-") as scratch:
            documents = self._documents(Path(scratch))
            spec = {
                "bundle": str(bundle),
                "documents": str(documents),
                "queries": [*before, *after],
                "groups": {name: asked for name, asked in (("before", before), ("after", after)) if asked},
            }
            result = self._sandbox.run(self._entry, spec, timeout=LIMIT)
        features = _shares(result.output)
        return Attribution(
            digest=live.digest,
            features=features,
            queries_before=len(before),
            queries_after=len(after),
            isolation=result.isolation,
            seconds=result.seconds,
        )

    def price(self, args: Nothing) -> Amounts:
        return self._rates.until(LIMIT)

    def spent(self, args: Nothing, result: Attribution) -> Amounts:
        return self._rates.machine(result.seconds)

    def lost(self, args: Nothing, seconds: float) -> Amounts:
        return self._rates.machine(seconds)

    def _documents(self, scratch: Path) -> Path:
        path = scratch / "documents.jsonl"
        rows = (
            {"id": d.id, "title": d.title, "text": d.text, "subject": d.subject} for d in self._platform.documents()
        )
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path


def _shares(output: Mapping[str, object]) -> tuple[FeatureShare, ...]:
    groups = output.get("groups")
    if not isinstance(groups, Mapping):
        raise DependencyLied("sandbox", "the explanation has no field groups")
    before, after = _normalised(groups.get("before")), _normalised(groups.get("after"))
    shares = [FeatureShare(feature=f, before=before.get(f, 0.0), after=after.get(f, 0.0)) for f in {**before, **after}]
    return tuple(sorted(shares, key=lambda s: (-abs(s.after - s.before), s.feature)))


def _normalised(values: object) -> dict[str, float]:
    if not isinstance(values, Mapping):
        return {}
    numbers = {str(k): float(v) for k, v in values.items() if isinstance(v, int | float)}
    total = sum(numbers.values())
    return {k: v / total for k, v in numbers.items()} if total > 0 else {}
