"""Releases by git, each one commit to the values file.

`ab_start`, `ab_stop`, `promote`, `apply_tuning` and `roll_back`.
"""

from __future__ import annotations

import tempfile
import threading
from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import Field

from adapters.tracking.base import TrackingPort
from adapters.vcs.base import EFFECT_COMMIT, EFFECT_REVERT, VcsPort
from domain.candidate import ModelRef
from domain.clock import Clock, SystemClock
from domain.decision import Effect
from domain.errors import ConflictError, DependencyTimeout, InvalidInput
from domain.observation import Observation, Seen
from domain.untrusted import one_line
from tools.deliver.values import (
    DEFAULT_LAYOUT,
    ValuesLayout,
    only,
    parse_values,
    patch_values,
    release_of,
    split,
    values_diff,
)
from tools.tool import Arguments, Call, Result, Tool, ToolSpec

DIGEST = r"^sha256:[0-9a-f]{64}$"
REVISION = r"^[0-9a-f]{40}$"
# Of a registered model and its version; goes into the values file and a commit's message.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}$"
_TIMEOUT = timedelta(minutes=2)
# A release that has to have the model's bundle in its hands first.
_TIMEOUT_WITH_MODEL = timedelta(minutes=10)
# Commits read at once while one is looked for, and how far apart the clocks of those who commit may be.
_PAGE = 50
_SKEW = timedelta(hours=1)
# So many calls whose bundle was found to be the evaluated one are remembered.
_MOST_FOUND = 300


class Released(Result):
    """The commit, the one before it, and their difference."""

    revision: str
    previous: str
    patch: str


class _Release(Tool[Any, Released]):
    """One commit to the values file, found again by its key."""

    output = Released

    def __init__(self, vcs: VcsPort, layout: ValuesLayout = DEFAULT_LAYOUT) -> None:
        self._vcs = vcs
        self.layout = layout

    @abstractmethod
    def changes(self, args: Any, text: str) -> Mapping[str, Any]:
        """Return the values to set in `text`, by their role in the layout."""

    @abstractmethod
    def message(self, args: Any, call: Call) -> str:
        """Return the commit's message."""

    def run(self, args: Any, call: Call) -> Released:
        head = self._vcs.head()
        text = self._vcs.read(head)
        revision = self._vcs.commit(
            text=patch_values(text, self.changes(args, text), self.layout),
            message=self.message(args, call),
            expected_head=head,
            cycle_id=call.scope.cycle_id,
            key=call.key,
            permit=call.permit,
        )
        # Asked again after somebody merged it, `head` is the commit itself: the history knows the one before it.
        done = released(self._vcs, revision, call.scope.opened_at)
        if done.previous:
            return done
        return Released(revision=revision, previous=head, patch=self._vcs.diff(head, revision))

    def preview(self, args: Any, call: Call) -> str:
        text = self._vcs.read(self._vcs.head())
        return values_diff(text, patch_values(text, self.changes(args, text), self.layout), self.layout)

    def observe(self, args: Any, call: Call) -> Observation:
        return observed(self._vcs, call)


def released(vcs: VcsPort, revision: str, began: datetime) -> Released:
    """Return a commit to the values file with the one before it and their difference; a commit that says the file as it
    was once more (to undo what was switched at run time) has neither.

    However many others were pushed since, it is looked for back to when its cycle `began`, and no further: it cannot be
    older.
    """
    previous = _before(vcs, revision, began - _SKEW)
    return Released(revision=revision, previous=previous, patch=vcs.diff(previous, revision) if previous else "")


def _before(vcs: VcsPort, revision: str, oldest: datetime) -> str:
    """Return the commit to the file before `revision`, or nothing where it is not among those since `oldest`."""
    seen, limit = 0, _PAGE
    while True:
        commits = vcs.history(limit)
        revisions = [commit.revision for commit in commits]
        place = revisions.index(revision) if revision in revisions else -1
        if 0 <= place < len(revisions) - 1:
            return revisions[place + 1]
        # One commit with a wrong clock among the others ends nothing.
        over = place < 0 and all(commit.at < oldest for commit in commits[seen:])
        if over or len(commits) < limit:
            return ""
        seen, limit = len(commits), 4 * limit


def observed(vcs: VcsPort, call: Call) -> Observation:
    """Return whether a commit with the key of this call was pushed."""
    seen = vcs.observe(call.key)
    if seen.seen is not Seen.DONE:
        return seen
    return Observation.done(released(vcs, str(seen.outcome["revision"]), call.scope.opened_at).model_dump())


class AbArgs(Arguments):
    """The candidate's digest and its share of the users (0-1)."""

    candidate: str = Field(pattern=DIGEST)
    share: float = Field(gt=0, lt=1)


class AbStart(_Release):
    """Gives a share of the users the candidate."""

    spec = ToolSpec(
        "ab_start",
        "Start an A/B test: serve the candidate to a share of the users, by a stable hash of their id.",
        effect=Effect.WRITE,
        effects=(EFFECT_COMMIT,),
        timeout=_TIMEOUT,
    )
    input = AbArgs

    def changes(self, args: AbArgs, text: str) -> Mapping[str, Any]:
        champion = parse_values(text, self.layout).model.digest
        if champion == args.candidate:
            raise InvalidInput("candidate", "it is already live", "Test a model that differs from the champion")
        return {"variants": split(champion, args.candidate, args.share)}

    def message(self, args: AbArgs, call: Call) -> str:
        return f"A/B: {args.candidate[:19]} to {args.share:.0%} of users ({call.scope.cycle_id})"


class AbStopArgs(Arguments):
    """Why the test ends."""

    reason: str = Field(min_length=1, max_length=200)


class AbStop(_Release):
    """Gives everybody the champion again."""

    spec = ToolSpec(
        "ab_stop",
        "End an A/B test: serve the champion to everybody.",
        effect=Effect.WRITE,
        effects=(EFFECT_COMMIT,),
        timeout=_TIMEOUT,
    )
    input = AbStopArgs

    def changes(self, args: AbStopArgs, text: str) -> Mapping[str, Any]:
        return {"variants": only(parse_values(text, self.layout).model.digest)}

    def message(self, args: AbStopArgs, call: Call) -> str:
        return f"A/B ended: {one_line(args.reason)} ({call.scope.cycle_id})"


class PromoteArgs(Arguments):
    """The registered model to serve to everybody."""

    name: str = Field(pattern=NAME)
    version: str = Field(pattern=NAME)
    digest: str = Field(pattern=DIGEST)


class Promote(_Release):
    """Makes a model the champion, when the registry still holds it as it was evaluated.

    That it does is remembered by the key of the call: one that waits for a merge asks again and again, and would have
    the whole bundle each time. Safe for threads.
    """

    spec = ToolSpec(
        "promote",
        "Serve a registered model to everybody, by a commit to the values file.",
        effect=Effect.IRREVERSIBLE,
        effects=(EFFECT_COMMIT,),
        timeout=_TIMEOUT_WITH_MODEL,
    )
    input = PromoteArgs

    def __init__(
        self,
        vcs: VcsPort,
        tracking: TrackingPort,
        layout: ValuesLayout = DEFAULT_LAYOUT,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(vcs, layout)
        self._tracking = tracking
        # The door gives up by the machine's time, whatever time the cycle lives in.
        self._clock = clock or SystemClock()
        self._found: dict[str, None] = {}
        self._finding = threading.Lock()

    def run(self, args: PromoteArgs, call: Call) -> Released:
        """Release the model.

        Raises:
            DigestMismatch: the version holds another bundle than the one of that digest, which is what was evaluated.
            DependencyTimeout: it was had so late that the door may give up before the commit is made; none was. Asked
                again, the call goes on from here.
            InvalidInput, DependencyError: it cannot be had, so nobody can say; besides what a release raises.
        """
        began = self._clock.monotonic()
        if call.key not in self._found:
            ref = ModelRef(name=args.name, version=args.version, digest=args.digest)
            with tempfile.TemporaryDirectory(prefix="evercrew-promote-") as scratch:
                self._tracking.download(ref, Path(scratch))
            self._remember(call.key)
        if self._clock.monotonic() - began > (_TIMEOUT_WITH_MODEL - _TIMEOUT).total_seconds():
            left = "too long to release it in time; nothing was committed"
            raise DependencyTimeout("tracking", f"the bundle of {args.name} version {args.version} took {left}")
        return super().run(args, call)

    def _remember(self, key: str) -> None:
        with self._finding:
            self._found[key] = None
            if len(self._found) > _MOST_FOUND:
                del self._found[next(iter(self._found))]

    def changes(self, args: PromoteArgs, text: str) -> Mapping[str, Any]:
        return release_of(args.digest, args.name, args.version, self.layout)

    def message(self, args: PromoteArgs, call: Call) -> str:
        return f"Promote {args.name} version {args.version} ({call.scope.cycle_id})"


class Rehearsed(Result):
    """The revert of the promotion applies and gives back the present text, whose digest is `restores`."""

    restores: str


class RehearseRollback(Tool[PromoteArgs, Rehearsed]):
    """Commits the promotion and its revert in a scratch copy; nothing is pushed."""

    spec = ToolSpec("rehearse_rollback", "Rehearse promotion and revert in a scratch copy: it must apply and validate.")
    input = PromoteArgs
    output = Rehearsed

    def __init__(self, vcs: VcsPort, layout: ValuesLayout = DEFAULT_LAYOUT) -> None:
        self._vcs = vcs
        self._layout = layout

    def run(self, args: PromoteArgs, call: Call) -> Rehearsed:
        text = self._vcs.read(self._vcs.head())
        changes = release_of(args.digest, args.name, args.version, self._layout)
        undone = self._vcs.rehearse_change(patch_values(text, changes, self._layout))
        restored = parse_values(undone, self._layout)
        if restored != parse_values(text, self._layout):
            raise ConflictError("reverting the promotion would not give back the present values")
        return Rehearsed(restores=restored.model.digest)


class TuningArgs(Arguments):
    """Settings of the platform to set; those left None stay."""

    mode: str | None = Field(default=None, pattern=r"^[a-z]+$")
    tier: str | None = Field(default=None, pattern=r"^[a-z]+$")
    index_generation: int | None = Field(default=None, ge=1)
    candidates: int | None = Field(default=None, ge=20, le=5000)
    title_chars: int | None = Field(default=None, ge=20, le=1000)
    etl_workers: int | None = Field(default=None, ge=1, le=32)
    etl_batch: int | None = Field(default=None, ge=1, le=2000)


class ApplyTuning(_Release):
    """Sets runtime settings by git, so that what runs is what git says."""

    spec = ToolSpec(
        "apply_tuning",
        "Set search mode, tier, index generation, candidates, title length, or the workers and batch of the intake.",
        effect=Effect.WRITE,
        effects=(EFFECT_COMMIT,),
        timeout=_TIMEOUT,
    )
    input = TuningArgs

    def changes(self, args: TuningArgs, text: str) -> Mapping[str, Any]:
        chosen = args.model_dump(exclude_none=True)
        if not chosen:
            raise InvalidInput("arguments", "nothing to set", f"Give one of {', '.join(TuningArgs.model_fields)}")
        return dict(chosen)

    def message(self, args: TuningArgs, call: Call) -> str:
        chosen = ", ".join(f"{k} {v}" for k, v in args.model_dump(exclude_none=True).items())
        return f"Tune: {chosen} ({call.scope.cycle_id})"


class RollBackArgs(Arguments):
    """The commit whose change is taken back, and why."""

    revision: str = Field(pattern=REVISION)
    reason: str = Field(min_length=1, max_length=300)


class RollBack(Tool[RollBackArgs, Released]):
    """Reverts a commit of the values file."""

    spec = ToolSpec(
        "roll_back",
        "Revert a commit of the values file, by a revert commit.",
        effect=Effect.IRREVERSIBLE,
        effects=(EFFECT_REVERT,),
        timeout=_TIMEOUT,
    )
    input = RollBackArgs
    output = Released

    def __init__(self, vcs: VcsPort) -> None:
        self._vcs = vcs

    def run(self, args: RollBackArgs, call: Call) -> Released:
        revision = self._vcs.revert(
            revision=args.revision,
            message=f"Roll back {args.revision[:12]}: {one_line(args.reason, 300)} ({call.scope.cycle_id})",
            cycle_id=call.scope.cycle_id,
            key=call.key,
            permit=call.permit,
        )
        return released(self._vcs, revision, call.scope.opened_at)

    def preview(self, args: RollBackArgs, call: Call) -> str:
        return values_diff(self._vcs.read(self._vcs.head()), self._vcs.rehearse_revert(args.revision))

    def observe(self, args: RollBackArgs, call: Call) -> Observation:
        return observed(self._vcs, call)
