"""One wait for a revision through Argo CD: what each look means.

The order of the questions is the argument: whose commit it is, whether it can be read, whether it was applied, whether
its Rollout, where there is one, took it everywhere, whether it is well, and last whether the platform itself serves it.
Only the last answer ends the wait well.

A refresh makes Argo CD resolve the branch anew. What it names after that, and is not the commit waited for (which was
pushed before), is a later commit: believed when two looks in a row say so, for a mirror of the repository can lag.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from adapters.delivery.argocd_client import NAME, PermissionDenied, Unauthenticated
from adapters.delivery.argocd_state import Application, Condition, Resource, RevisionMetadata, unwell
from adapters.delivery.base import (
    ComparisonFailed,
    Degraded,
    DeliveryFailed,
    NotLive,
    NotSynced,
    OperationFailed,
    RolloutPort,
    StillProgressing,
    Superseded,
)
from adapters.delivery.local import LiveSource
from adapters.delivery.waiting import wanted
from domain.candidate import LiveState
from domain.clock import Clock
from domain.errors import DependencyError, DependencyTimeout, EvercrewError, InvalidInput

_HOOK_OVER = frozenset({"Failed", "Error"})
_OPERATION_OVER = frozenset({"Failed", "Error"})
_LOOKS_TO_BELIEVE = 2
_UNSEEN: tuple[type[DependencyTimeout], str] = (DependencyTimeout, "See the application's page in Argo CD")


class Reader(Protocol):
    """What of Argo CD a watch asks."""

    def application(self, *, refresh: bool = False) -> Application: ...

    def resources(self) -> Sequence[Resource]: ...

    def metadata(self, revision: str) -> RevisionMetadata: ...

    def place(self, app: Application) -> int: ...


class Watch:
    """Looks, and remembers what it takes more than one look to know."""

    def __init__(
        self,
        reader: Reader,
        platform: LiveSource,
        clock: Clock,
        revision: str,
        digest: str | None,
        timeout: timedelta,
        grace: timedelta,
        refresh: timedelta,
        rollout: RolloutPort | None = None,
    ) -> None:
        self._reader = reader
        self._platform = platform
        self._clock = clock
        self._revision = revision
        self._digest = digest
        self._timeout = timeout
        self._grace = grace
        self._refresh = refresh
        self._rollout = rollout
        self._refreshed: float | None = None
        self._seen = False
        self._others: list[str] = []
        self._order: dict[str, timedelta | None] = {}
        self._ill_since: float | None = None
        self._illness: ComparisonFailed | Degraded | None = None
        self._ending = _UNSEEN

    def look(self) -> LiveState | str:
        """Return the live state once it is there, otherwise the reason why not.

        Raises:
            Superseded, DeliveryFailed: it will not come. PermissionDenied, Unauthenticated, ConfigurationError.
        """
        self._illness, self._ending = None, _UNSEEN
        try:
            fresh = self._due()
            app = self._reader.application(refresh=fresh)
            reason = self._unreadable(app) or self._not_ours(app, fresh) or self._unapplied(app)
            reason = reason or self._unshifted() or self._unhealthy(app)
        except (PermissionDenied, Unauthenticated, DeliveryFailed):
            raise
        except DependencyError as error:
            return f"Argo CD cannot be asked: {error}"
        if self._illness is None:
            self._ill_since = None
        return reason or self._served()

    def late(self, reason: str) -> EvercrewError:
        """Return the error of a wait that ended with this reason."""
        if self._illness is not None:
            return self._illness
        kind, remedy = self._ending
        after = f"after {self._timeout.total_seconds():g} s {wanted(self._revision, self._digest)} is not live"
        return kind(NAME, f"{after}; {reason}{'' if kind is NotLive else self._lives()}", remedy)

    # -- the questions, in their order -----------------------------------------------------------------------------

    def _unreadable(self, app: Application) -> str:
        """The desired state cannot be read or compared."""
        broken = [c for c in app.status.conditions if c.type.endswith("Error")]
        if not broken:
            return ""
        said = "; ".join(f"{c.type}: {c.message}" for c in broken)
        error = ComparisonFailed(NAME, said, _mend(broken[0]))
        return self._lasting(error, said)

    def _not_ours(self, app: Application, fresh: bool) -> str:
        """The application is at another commit: an older one for a while, or somebody else's."""
        at = app.status.sync.at(self._reader.place(app))
        if at == self._revision:
            self._seen = True
            self._others.clear()
            return ""
        if fresh:
            self._others.append(at)
        if self._newer(app, at):
            raise Superseded(
                f"{NAME}: {self._revision[:12]} is superseded by {at[:12]}: somebody else's commit is the newest now. "
                "Look at what it changed before going on"
            )
        return f"Argo CD is at {at[:12] or 'no revision'} and has not seen {self._revision[:12]} yet"

    def _newer(self, app: Application, at: str) -> bool:
        place = self._reader.place(app)
        if not at:
            return False
        if self._seen or self._revision in [entry.at(place) for entry in app.status.history[:-1]]:
            return True
        if self._others[-_LOOKS_TO_BELIEVE:] != [at] * _LOOKS_TO_BELIEVE:
            return False
        later = self._later(at)
        # Where the dates are not known: the commit of the first look is an older one, what follows it is not.
        return at != self._others[0] if later is None else later > timedelta()

    def _later(self, other: str) -> timedelta | None:
        """How much later than ours the other commit was made; None where Argo CD does not know both, or at once."""
        if other not in self._order:
            try:
                theirs, ours = self._reader.metadata(other).date, self._reader.metadata(self._revision).date
            except (DependencyError, InvalidInput):
                theirs = ours = None
            self._order[other] = theirs - ours if theirs is not None and ours is not None else None
        return self._order[other] or None

    def _unapplied(self, app: Application) -> str:
        """The sync of our revision runs, failed, or was never begun."""
        state, place = app.status.state, self._reader.place(app)
        about_ours = self._revision in (state.result.at(place), state.operation.sync.at(place))
        if about_ours and state.phase in _OPERATION_OVER:
            hooks = [r for r in state.result.resources if r.hook_phase in _HOOK_OVER]
            said = "".join(f"; hook {hook} ({hook.hook_type}): {hook.message or hook.hook_phase}" for hook in hooks)
            raise OperationFailed(
                NAME,
                f"the sync of {self._revision[:12]} failed: {state.message}{said}",
                "Mend the hook, then change the desired state by git" if hooks else "See the sync's result in Argo CD",
            )
        if about_ours and state.phase in ("Running", "Terminating"):
            return self._note(
                StillProgressing, f"the sync runs: {state.message or state.phase}", "See what it waits for"
            )
        if app.status.sync.status == "Synced":
            return ""
        if app.automated:
            return self._note(NotSynced, f"it is {app.status.sync.status}, and not applied yet", "See its sync windows")
        return self._note(
            NotSynced,
            f"it is {app.status.sync.status} and automated sync is off: somebody has to sync it",
            "Allow Evercrew to sync the application, or switch automated sync on",
        )

    def _unhealthy(self, app: Application) -> str:
        """Our revision is applied, and not well."""
        health = app.status.health.status
        if health == "Healthy":
            return ""
        which = unwell(self._reader.resources(), health) or app.status.health.message
        said = f"it is {health}: {which or 'no resource says why'}"
        if health == "Degraded":
            return self._lasting(Degraded(NAME, said, "See the events and logs of that resource"), said)
        return self._note(StillProgressing, said, "See the events and logs of that resource")

    def _unshifted(self) -> str:
        """Our revision is applied, and its Rollout has not given it all traffic, or never will."""
        if self._rollout is None:
            return ""
        try:
            status = self._rollout.status()
        except DependencyError as error:
            return self._note(StillProgressing, f"its Rollout cannot be asked: {error}", "Run `evercrew doctor`")
        if status.failure:
            said = f"its Rollout is {status.failure}"
            return self._lasting(Degraded(NAME, said, "See the Rollout and its AnalysisRuns"), said)
        if status.pending:
            return self._note(StillProgressing, f"its Rollout is {status.pending}", "See what the Rollout waits for")
        return ""

    def _served(self) -> LiveState | str:
        """Synced and Healthy is Argo CD's word; the platform's own decides."""
        try:
            live = self._platform.live()
        except DependencyError as error:
            return self._note(NotLive, f"Synced and Healthy, but the platform cannot be asked: {error}", "Look at it")
        if live.revision == self._revision and self._digest in (None, live.digest):
            return live
        said = f"Argo CD says Synced and Healthy, but the platform serves {wanted(live.revision, live.digest)}"
        return self._note(NotLive, said, "Look at the platform's log, and at what the application really applies")

    def _due(self) -> bool:
        """Whether this look makes Argo CD look at the repository too; not every one does, for its sake."""
        now = self._clock.monotonic()
        if self._refreshed is not None and now - self._refreshed < self._refresh.total_seconds():
            return False
        self._refreshed = now
        return True

    # -- what takes more than one look -----------------------------------------------------------------------------

    def _note(self, kind: type[DependencyTimeout], said: str, remedy: str) -> str:
        """Keep how the wait ends if this stays so."""
        self._ending = (kind, remedy)
        return said

    def _lasting(self, error: ComparisonFailed | Degraded, said: str) -> str:
        """Raise the error once the trouble has lasted; it may pass."""
        now = self._clock.monotonic()
        self._ill_since = now if self._ill_since is None else self._ill_since
        self._illness = error
        if now - self._ill_since >= self._grace.total_seconds():
            raise error
        return said

    def _lives(self) -> str:
        """What the platform serves, for the end of a sentence."""
        try:
            live = self._platform.live()
        except DependencyError:
            return ""
        return f"; live is {wanted(live.revision, live.digest)}"


def _mend(condition: Condition) -> str:
    if condition.type == "ComparisonError":
        return "Mend the manifests or Argo CD's access to the repository; see the application's conditions"
    return "See the application's conditions in Argo CD"
