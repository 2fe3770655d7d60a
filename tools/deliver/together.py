"""What belongs to a release besides its values, moved with it and back with it.

`release_state`, `point_dataset` and `restore_flags`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from adapters.datasets.base import EFFECT_POINT, DatasetsPort
from adapters.store.base import FlagRow, StorePort
from adapters.tracking.base import TrackingPort
from domain.candidate import ModelRef
from domain.clock import Clock
from domain.dataset import DatasetRef
from domain.decision import Effect
from domain.errors import InvalidInput
from domain.observation import Observation, Seen
from domain.permit import PermitVerifier
from tools.deliver.release import DIGEST, REVISION
from tools.tool import Arguments, Call, Result, Tool, ToolSpec

# The pointer that names the data of the model that is live.
LIVE = "live"
# In a flag's metadata: the cycle or the commit it was switched together with.
RELEASE = "release"
# In a flag's metadata: the key of the call that switched it back.
RESTORED = "restored"
EFFECT_FLAGS = "flags.restore"
_KILL_SWITCH = "kill_switch"


class StateArgs(Arguments):
    """The digest of a model, e.g. of the one that is live."""

    digest: str = Field(pattern=DIGEST)


class ReleaseView(Result):
    """The registry's champion, the data the pointer `live` names, and the data the model was trained on."""

    champion: ModelRef | None
    pointed: DatasetRef | None
    trained_on: DatasetRef | None


class ReleaseState(Tool[StateArgs, ReleaseView]):
    """Reads what belongs to a release besides its values."""

    spec = ToolSpec("release_state", "Read the champion, the data pointer `live`, and a model's data.")
    input = StateArgs
    output = ReleaseView

    def __init__(self, tracking: TrackingPort, datasets: DatasetsPort, *, model: str) -> None:
        self._tracking = tracking
        self._datasets = datasets
        self._model = model

    def run(self, args: StateArgs, call: Call) -> ReleaseView:
        return ReleaseView(
            champion=self._tracking.by_alias(self._model, "champion"),
            pointed=self._datasets.pointed(LIVE),
            trained_on=_trained_on(self._tracking.by_digest(self._model, args.digest)),
        )


def _trained_on(model: ModelRef | None) -> DatasetRef | None:
    tags = model.tags if model is not None else {}
    path, md5, revision = (tags.get(f"dataset_{part}", "") for part in ("path", "md5", "rev"))
    return DatasetRef(name=path, path=path, md5=md5, revision=revision) if path and md5 and revision else None


class PointArgs(Arguments):
    """The dataset version the live model was trained on; None where it was made elsewhere."""

    dataset: DatasetRef | None = None


class Pointed(Result):
    dataset: DatasetRef | None


class PointDataset(Tool[PointArgs, Pointed]):
    """Lets the pointer `live` of the dataset repository name a version."""

    spec = ToolSpec(
        "point_dataset",
        "Let the pointer `live` of the dataset repository name the data of the live model.",
        effect=Effect.WRITE,
        effects=(EFFECT_POINT,),
    )
    input = PointArgs
    output = Pointed

    def __init__(self, datasets: DatasetsPort) -> None:
        self._datasets = datasets

    def run(self, args: PointArgs, call: Call) -> Pointed:
        self._datasets.point(pointer=LIVE, ref=args.dataset, key=call.key, permit=call.permit)
        return Pointed(dataset=args.dataset)

    def observe(self, args: PointArgs, call: Call) -> Observation:
        seen = self._datasets.observe(call.key)
        if seen.seen is not Seen.DONE:
            return seen
        return Observation.done(Pointed(dataset=args.dataset).model_dump(mode="json"))


class RestoreFlagsArgs(Arguments):
    """The commit that is taken back. What its flags were before is not an argument: the record of the cycle says it."""

    revision: str = Field(pattern=REVISION)


class FlagsRestored(Result):
    """The flags that went back, as ``name@environment``."""

    restored: tuple[str, ...]


class RestoreFlags(Tool[RestoreFlagsArgs, FlagsRestored]):
    """Switches the flags that came with a release back to what they were before it; others are people's and stay.

    A flag came with a release when its metadata names the release's commit, or the cycle that made it, as `release`.
    The kill switch never does.
    """

    spec = ToolSpec(
        "restore_flags",
        "Switch the flags that came with a release back to what they were before it.",
        effect=Effect.WRITE,
        effects=(EFFECT_FLAGS,),
    )
    input = RestoreFlagsArgs
    output = FlagsRestored

    def __init__(self, store: StorePort, permits: PermitVerifier, clock: Clock) -> None:
        self._store = store
        self._permits = permits
        self._clock = clock

    def run(self, args: RestoreFlagsArgs, call: Call) -> FlagsRestored:
        self._permits.spend(call.permit, effect=EFFECT_FLAGS, key=call.key)
        before = {(row.name, row.environment): row for row in self._before(call)}
        came = released_with(self._store, call.scope.cycle_id, args.revision)
        for row in came:
            old = before.get((row.name, row.environment))
            details = {**(old.details if old else {}), RESTORED: call.key}
            enabled = old.enabled if old else False
            self._store.set_flag(
                FlagRow(name=row.name, enabled=enabled, environment=row.environment, details=details),
                by=f"cycle {call.scope.cycle_id}",
                at=self._clock.now(),
            )
        return FlagsRestored(restored=tuple(f"{row.name}@{row.environment}" for row in came))

    def observe(self, args: RestoreFlagsArgs, call: Call) -> Observation:
        if released_with(self._store, call.scope.cycle_id, args.revision):
            return Observation.absent("flags of the release are as the release set them")
        mine = [row for row in self._store.flags() if row.details.get(RESTORED) == call.key]
        if not mine:
            return Observation.absent("no flag was switched back under the key")
        names = tuple(f"{row.name}@{row.environment}" for row in mine)
        return Observation.done(FlagsRestored(restored=names).model_dump(mode="json"))

    def _before(self, call: Call) -> Sequence[FlagRow]:
        cycle = self._store.cycle(call.scope.cycle_id)
        point = (cycle.facts if cycle else {}).get("undo_point")
        if point is None:
            raise InvalidInput(
                "cycle_id", "the cycle has no record of what was before", "Switch the flags by hand: evercrew flags set"
            )
        return [FlagRow.model_validate(row) for row in point["flags"]]


def released_with(store: StorePort, *releases: str) -> list[FlagRow]:
    """Return the flags whose metadata names one of the releases (a cycle, or a commit); never the kill switch."""
    named = (row for row in store.flags() if row.details.get(RELEASE) in releases)
    return [row for row in named if not row.name.startswith(_KILL_SWITCH)]
