"""`mark_gold` and `restore_values`: keeping what was well, and going back to it.

A baseline is on record once everything that makes it can be had again under its name: the tag on the model version, the
tag on the dataset version, the alias `gold`, and the record in the store, in this order. Killed in between, the record
is missing and doing it again under the same key changes nothing that was done: the name is kept under the key before
the first tag is made, so that it is the same one also when the day has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import count

from pydantic import Field

from adapters.datasets.base import EFFECT_TAG as EFFECT_TAG_DATASET
from adapters.datasets.base import DatasetsPort
from adapters.store.base import Recording, StorePort
from adapters.tracking.base import EFFECT_ALIAS, TrackingPort
from adapters.tracking.base import EFFECT_TAG as EFFECT_TAG_MODEL
from adapters.vcs.base import EFFECT_COMMIT, VcsPort
from domain.candidate import ModelRef
from domain.clock import Clock
from domain.dataset import DatasetRef
from domain.decision import Effect
from domain.errors import ConflictError, InvalidInput
from domain.gold import GOLD, GoldBaseline, gold_name
from domain.observation import Observation
from tools.deliver.release import DIGEST, REVISION, Released, observed
from tools.deliver.values import DEFAULT_LAYOUT, ValuesLayout, parse_values, values_diff
from tools.tool import Arguments, Call, Result, Tool, ToolSpec

_KEY = "key"
_NAMES = "gold_names"


class GoldArgs(Arguments):
    """What is live and well: the model's digest, the dataset it was trained on, and the revision that released it."""

    digest: str = Field(pattern=DIGEST)
    values_revision: str = Field(pattern=REVISION)
    dataset: DatasetRef | None = None


class Marked(Result):
    baseline: GoldBaseline


class MarkGold(Tool[GoldArgs, Marked]):
    """Keeps the present state as a gold baseline."""

    spec = ToolSpec(
        "mark_gold",
        "Keep model, dataset and values revision as a gold baseline, for ever.",
        effect=Effect.WRITE,
        effects=(EFFECT_TAG_MODEL, EFFECT_TAG_DATASET, EFFECT_ALIAS),
        timeout=timedelta(minutes=2),
    )
    input = GoldArgs
    output = Marked

    def __init__(
        self,
        tracking: TrackingPort,
        datasets: DatasetsPort,
        vcs: VcsPort,
        store: StorePort,
        clock: Clock,
        *,
        model: str,
        layout: ValuesLayout = DEFAULT_LAYOUT,
    ) -> None:
        self._tracking = tracking
        self._datasets = datasets
        self._vcs = vcs
        self._store = store
        self._clock = clock
        self._model = model
        self._layout = layout

    def run(self, args: GoldArgs, call: Call) -> Marked:
        ref = restorable(self._tracking, self._store, self._model, args.digest)
        values = parse_values(self._vcs.read(args.values_revision), self._layout)
        if values.model.digest != args.digest:
            problem = f"the values of {args.values_revision[:12]} name {values.model.digest}"
            raise InvalidInput("values_revision", problem, "Name the revision that released the digest")
        baseline = GoldBaseline(
            name=self._name(args.dataset, call.key),
            at=self._clock.now(),
            cycle_id=call.scope.cycle_id,
            target=call.scope.target,
            environment=call.scope.environment,
            model=ref.name,
            version=ref.version,
            digest=ref.digest,
            values_revision=args.values_revision,
            index_generation=values.index.generation,
            dataset=args.dataset,
        )
        self._tag(baseline, call)
        payload = {_KEY: call.key, "baseline": baseline.model_dump(mode="json")}
        if not self._store.claim(Recording(cycle_id=GOLD, place=baseline.name, kind=GOLD, payload=payload)):
            raise ConflictError(f"{baseline.name} was taken by another cycle meanwhile; mark it again")
        return Marked(baseline=baseline)

    def observe(self, args: GoldArgs, call: Call) -> Observation:
        for recording in self._store.recordings(GOLD):
            if recording.payload[_KEY] == call.key:
                baseline = GoldBaseline.model_validate(recording.payload["baseline"])
                return Observation.done(Marked(baseline=baseline).model_dump(mode="json"))
        return Observation.absent("no baseline was recorded under the key")

    def _tag(self, baseline: GoldBaseline, call: Call) -> None:
        model, version, key, permit = baseline.model, baseline.version, call.key, call.permit
        self._tracking.tag(
            model=model, version=version, tag=baseline.name, value=baseline.cycle_id, key=key, permit=permit
        )
        if baseline.dataset is not None:
            self._datasets.tag(ref=baseline.dataset, tag=baseline.name, key=key, permit=permit)
        self._tracking.set_alias(model=model, alias=GOLD, version=version, key=key, permit=permit)

    def _name(self, dataset: DatasetRef | None, key: str) -> str:
        """The name an earlier attempt chose, or the next one of today; one that is another's is passed over."""
        taken = {recording.place for recording in self._store.recordings(GOLD)}

        def free(name: str) -> bool:
            return name not in taken and self._datasets.tagged(name) in (None, dataset)

        for earlier in self._store.recordings(_NAMES, key):
            if earlier.place == key and free(chosen := str(earlier.payload["name"])):
                return chosen
        day = self._clock.now().date()
        name = next(name for number in count(1) if free(name := gold_name(day, number)))
        self._store.record(Recording(cycle_id=_NAMES, place=key, kind=_NAMES, payload={"name": name}))
        return name


class RestoreArgs(Arguments):
    """The revision whose values are to stand again, the model's digest in them, and why."""

    revision: str = Field(pattern=REVISION)
    digest: str = Field(pattern=DIGEST)
    reason: str = Field(min_length=1, max_length=300)


class RestoreValues(Tool[RestoreArgs, Released]):
    """Commits the values of an earlier revision on top of the present one; history is never rewritten."""

    spec = ToolSpec(
        "restore_values",
        "Commit the values of an earlier revision again, as a new commit.",
        effect=Effect.IRREVERSIBLE,
        effects=(EFFECT_COMMIT,),
        timeout=timedelta(minutes=2),
    )
    input = RestoreArgs
    output = Released

    def __init__(
        self,
        vcs: VcsPort,
        tracking: TrackingPort,
        store: StorePort,
        *,
        model: str,
        layout: ValuesLayout = DEFAULT_LAYOUT,
    ) -> None:
        self._vcs = vcs
        self._tracking = tracking
        self._store = store
        self._model = model
        self._layout = layout

    def run(self, args: RestoreArgs, call: Call) -> Released:
        head = self._vcs.head()
        text = self._vcs.read(args.revision)
        named = parse_values(text, self._layout).model.digest
        if named != args.digest:
            problem = f"the values of {args.revision[:12]} name {named}"
            raise InvalidInput("digest", problem, "Name the digest of that revision")
        restorable(self._tracking, self._store, self._model, args.digest)
        if text == self._vcs.read(head):
            raise InvalidInput("revision", "the values are what they were then", "There is nothing to restore")
        revision = self._vcs.commit(
            text=text,
            message=f"Restore the values of {args.revision[:12]}: {args.reason} ({call.scope.cycle_id})",
            expected_head=head,
            cycle_id=call.scope.cycle_id,
            key=call.key,
            permit=call.permit,
        )
        return Released(revision=revision, previous=head, patch=self._vcs.diff(head, revision))

    def preview(self, args: RestoreArgs, call: Call) -> str:
        return values_diff(self._vcs.read(self._vcs.head()), self._vcs.read(args.revision), self._layout)

    def observe(self, args: RestoreArgs, call: Call) -> Observation:
        return observed(self._vcs, call)


def baselines(store: StorePort, target: str, environment: str) -> Sequence[GoldBaseline]:
    """Return the gold baselines of a target, oldest first."""
    found = [GoldBaseline.model_validate(r.payload["baseline"]) for r in store.recordings(GOLD)]
    return [b for b in found if (b.target, b.environment) == (target, environment)]


def restorable(tracking: TrackingPort, store: StorePort, model: str, digest: str) -> ModelRef:
    """Return the registered version with this digest, when it may be served.

    Raises:
        InvalidInput: the registry does not have it any more, or it was rolled back and stays dead.
    """
    stone = store.tombstone(digest)
    if stone is not None:
        problem = f"{digest[:19]} was rolled back by {stone.cycle_id} and stays dead: {stone.reason}"
        raise InvalidInput("digest", problem, "Go back to another revision, or to gold")
    ref = tracking.by_digest(model, digest)
    if ref is None:
        problem = f"the registry has no version of {model} with {digest} any more"
        raise InvalidInput("digest", problem, "Restore the registry from a backup, or go back to another revision")
    return ref
