"""`retention_report` and `retire_models_and_data`: what is old and needed by nothing, and its end.

Never deleted is what is live or under test, what a gold baseline or an open cycle names, what carries an alias, the
newest, and the datasets of models that are kept. The policies are told whether a call names any of it, the tool looks
again before it acts, and the adapters keep aliases, gold tags and the newest in any case.

Models go before data, each under the call's key: broken off in between, the same call goes on where it was.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, Field

from adapters.datasets.base import EFFECT_COLLECT, Collectable, DatasetsPort
from adapters.delivery.base import DeliveryPort
from adapters.store.base import StorePort
from adapters.tracking.base import EFFECT_RETIRE, Retirable, TrackingPort
from domain.canonical import canonical_json
from domain.clock import Clock
from domain.decision import Effect
from domain.errors import InvalidInput
from domain.gold import GOLD
from domain.observation import Observation
from tools.tool import Arguments, Call, Result, Tool, ToolSpec

RETENTION = "retention"
"""The stage, and the name in place of a cycle's, under which the clock retires."""
_NAMED = re.compile(r"sha256:[0-9a-f]{64}|\b[0-9a-f]{32}\.dir\b")
# More open cycles than one a target and environment there cannot be.
_MOST_CYCLES = 10_000
# Of one round: a note of what goes must fit into a tag of the registry.
_MOST = 50


class ReportArgs(Arguments):
    """How many days old something must be to go, and how many of the newest versions stay whatever their age."""

    keep_days: float = Field(gt=0, le=36_500)
    keep_last: int = Field(ge=1)


Hash = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]


class OldVersion(Arguments):
    """A registered version and its digest."""

    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,19}$")
    digest: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$")


class RetireArgs(Arguments):
    """What is to go: versions, the runs only they needed, and datasets by their hashes, all older than `before`."""

    before: AwareDatetime
    keep_last: int = Field(ge=1)
    versions: tuple[OldVersion, ...] = Field(default=(), max_length=_MOST)
    datasets: tuple[Hash, ...] = Field(default=(), max_length=_MOST)


class RetentionReport(Result):
    """What would go now (the first fifty of each), and how much is kept; sizes in bytes."""

    before: AwareDatetime
    keep_last: int
    versions: tuple[OldVersion, ...]
    runs: int
    versions_kept: int
    datasets: tuple[str, ...]
    datasets_kept: int
    size: int

    @property
    def nothing(self) -> bool:
        return not (self.versions or self.runs or self.datasets)

    def asked(self) -> RetireArgs:
        """Return the arguments that delete what is listed."""
        return RetireArgs(before=self.before, keep_last=self.keep_last, versions=self.versions, datasets=self.datasets)


class Retired(Result):
    """What was deleted: versions, runs, datasets by their hashes, and bytes of their content."""

    versions: tuple[str, ...]
    runs: int
    datasets: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Look:
    """What could go, and the names that must not."""

    models: Retirable
    datasets: Collectable
    needed: frozenset[str]
    data: frozenset[str]


@dataclass(frozen=True)
class Keeper:
    """Knows what is needed. `model` is the registered model's name."""

    store: StorePort
    tracking: TrackingPort
    datasets: DatasetsPort
    delivery: DeliveryPort
    model: str

    def needed(self) -> set[str]:
        """Return the digests, dataset hashes and cycles that open cycles, gold baselines and what is live name.

        Raises:
            DependencyError: a system does not answer, so that nobody knows.
        """
        found: set[str] = set()
        for cycle in self.store.cycles(open_only=True, limit=_MOST_CYCLES):
            found |= {cycle.id, *_names(dict(cycle.facts))}
        for recording in self.store.recordings(GOLD):
            found |= _names(dict(recording.payload))
        return found | _names(self.delivery.live())

    def look(self, before: datetime, keep_last: int, keep: Collection[str] = ()) -> Look:
        """Return what nothing needs and is older than `before`."""
        needed = {*self.needed(), *keep}
        models = self.tracking.retirable(self.model, keep_last=keep_last, before=before, keep=needed)
        data = needed | self.data_of(set(models.versions)) | self._young(before)
        return Look(models, self.datasets.collectable(data), frozenset(needed), frozenset(data))

    def data_of(self, gone: Collection[str]) -> set[str]:
        """Dataset hashes of the versions that are not `gone`."""
        kept = (ref for ref in self.tracking.versions(self.model) if ref.version not in gone)
        return {ref.tags.get("dataset_md5", "") for ref in kept}

    def _young(self, since: datetime) -> set[str]:
        """Dataset hashes of cycles that are not old enough yet."""
        cycles = self.store.cycles(limit=_MOST_CYCLES)
        return {name for cycle in cycles if cycle.updated_at >= since for name in _names(dict(cycle.facts))}


def _names(content: object) -> set[str]:
    return set(_NAMED.findall(canonical_json(content)))


class RetentionRead(Tool[ReportArgs, RetentionReport]):
    """Lists what nothing needs any more; deletes nothing."""

    spec = ToolSpec(
        "retention_report",
        "List registered models, runs and datasets that are old and needed by nothing.",
        timeout=timedelta(minutes=5),
    )
    input = ReportArgs
    output = RetentionReport

    def __init__(self, keeper: Keeper, clock: Clock) -> None:
        self._keeper = keeper
        self._clock = clock

    def run(self, args: ReportArgs, call: Call) -> RetentionReport:
        before = self._clock.now() - timedelta(days=args.keep_days)
        look = self._keeper.look(before, args.keep_last)
        known = {ref.version: ref.digest for ref in self._keeper.tracking.versions(self._keeper.model)}
        return RetentionReport(
            before=before,
            keep_last=args.keep_last,
            versions=tuple(OldVersion(version=v, digest=known.get(v, "")) for v in look.models.versions[:_MOST]),
            runs=len(look.models.runs),
            versions_kept=look.models.kept,
            datasets=tuple(ref.md5 for ref in look.datasets.datasets[:_MOST]),
            datasets_kept=look.datasets.kept,
            size=look.datasets.size,
        )


class RetireModelsAndData(Tool[RetireArgs, Retired]):
    """Deletes versions, runs and dataset contents that a report listed; never anything younger than `keep_days`."""

    spec = ToolSpec(
        "retire_models_and_data",
        "Delete registered models, their runs and the content of datasets that are old and needed by nothing.",
        effect=Effect.IRREVERSIBLE,
        effects=(EFFECT_RETIRE, EFFECT_COLLECT),
        timeout=timedelta(minutes=20),
    )
    input = RetireArgs
    output = Retired

    def __init__(self, keeper: Keeper, clock: Clock, *, keep_days: float, keep_last: int) -> None:
        self._keeper = keeper
        self._clock = clock
        self._keep_days = keep_days
        self._keep_last = keep_last

    def facts(self, args: RetireArgs) -> Mapping[str, bool]:
        named = {*(old.digest for old in args.versions), *args.datasets}
        return {"needed": not named.isdisjoint(self._keeper.needed())}

    def run(self, args: RetireArgs, call: Call) -> Retired:
        self._check_limits(args)
        keeper, listed = self._keeper, {old.version: old.digest for old in args.versions}
        there = {ref.version: ref.digest for ref in keeper.tracking.versions(keeper.model)}
        unlisted = {digest for version, digest in there.items() if version not in listed} - set(listed.values())
        look = keeper.look(args.before, args.keep_last, unlisted)
        _check_listed(args, look, there)
        models = keeper.tracking.retire(
            keeper.model,
            keep_last=args.keep_last,
            before=args.before,
            keep=look.needed,
            key=call.key,
            permit=call.permit,
        )
        spared = {ref.md5 for ref in look.datasets.datasets if ref.md5 not in args.datasets}
        # A round of the registry may end before all that was listed is gone; what is left still needs its data.
        left = keeper.data_of(models.versions)
        data = keeper.datasets.collect(keep={*look.data, *spared, *left}, key=call.key, permit=call.permit)
        return _retired(models, data)

    def observe(self, args: RetireArgs, call: Call) -> Observation:
        """Done once the data went, which go last."""
        data = self._keeper.datasets.observe(call.key).outcome.get("collected")
        if not data:
            return Observation.absent("no collection of datasets carries the key")
        models = self._keeper.tracking.observe(call.key).outcome.get("retired")
        gone = Retirable.model_validate_json(str(models)) if models else Retirable()
        return Observation.done(_retired(gone, Collectable.model_validate_json(str(data))).model_dump(mode="json"))

    def _check_limits(self, args: RetireArgs) -> None:
        if args.before > self._clock.now() - timedelta(days=self._keep_days):
            problem = f"{args.before.isoformat()} is less than {self._keep_days:g} days ago"
            raise InvalidInput("before", problem, "Name an earlier moment, or lower tracking.retention.keep_days")
        if args.keep_last < self._keep_last:
            problem = f"{args.keep_last} is less than {self._keep_last}"
            raise InvalidInput("keep_last", problem, "Keep more, or lower tracking.retention.keep_last")


def _check_listed(args: RetireArgs, look: Look, there: Mapping[str, str]) -> None:
    """What is listed may be gone already; what is there must still be needed by nothing."""
    for old in args.versions:
        if there.get(old.version) == old.digest and old.version not in look.models.versions:
            raise InvalidInput("versions", f"version {old.version} is needed, or too young", "Make a new report")
    for md5 in args.datasets:
        if md5 in look.data:
            raise InvalidInput("datasets", f"{md5} is needed, or too young", "Make a new report")


def _retired(models: Retirable, data: Collectable) -> Retired:
    return Retired(
        versions=models.versions,
        runs=len(models.runs),
        datasets=tuple(ref.md5 for ref in data.datasets),
        size=data.size,
    )
