"""Feature flags and kill switches: who sets them, why, and what is on; every change is on the audit record first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from adapters.audit.base import AuditPort
from adapters.store.base import FlagChange, FlagRow, StorePort
from domain.actor import Role
from domain.clock import Clock
from domain.errors import DependencyError, InvalidInput
from domain.receipt import AuditEntry, RecordKind
from policies.flags import EVERYWHERE, FEATURES, KILL_SWITCH, ROLE_SWITCH, TOOL_SWITCH, FeatureFlag, FlagSet
from policies.packaged import ENVIRONMENTS
from policies.profiles import Profile

# How often, at most, a process asks the store on behalf of its sleeping cycles.
EVERY = timedelta(seconds=1)


def flags_of(store: StorePort, profile: Profile) -> FlagSet:
    """Return the flags as they are now, the profile's features where the table has no row."""
    return flag_set(store.flags(), profile)


def flag_set(rows: Iterable[FlagRow], profile: Profile) -> FlagSet:
    """Return rows of the table as flags, the profile's features where there is no row."""
    flags = (FeatureFlag(name=r.name, enabled=r.enabled, environment=r.environment, details=r.details) for r in rows)
    return FlagSet(flags, defaults=profile.flag_defaults())


def kill_name(*, agent: str = "", tool: str = "", tools: Sequence[str] = (), safe: Sequence[str] = ()) -> str:
    """Return the name of a kill switch: that of everybody, of a role, or of a tool.

    Args:
        tools: the tools there are. safe: those that lead to a safe state, which no switch stops.

    Raises:
        InvalidInput: both are named, or one that there is not, or one that no switch stops.
    """
    if agent and tool:
        raise InvalidInput(
            "tool", "a role and a tool were named", "Throw two switches, one with --agent, one with --tool"
        )
    if agent:
        roles = [role.value for role in Role]
        if agent not in roles:
            raise InvalidInput("agent", f"{agent!r} is not a role", f"Use one of: {', '.join(roles)}")
        return f"{ROLE_SWITCH}{agent}"
    if not tool:
        return KILL_SWITCH
    if tool not in tools:
        raise InvalidInput("tool", f"{tool!r} is not a tool", f"Use one of: {', '.join(sorted(tools))}")
    if tool in safe:
        raise InvalidInput(
            "tool",
            f"{tool} leads to a safe state, and no kill switch stops it",
            "Ask people first with `evercrew flags set auto_rollback off`",
        )
    return f"{TOOL_SWITCH}{tool}"


class Switchboard:
    """Sets flags. A change that cannot be put on record is not made."""

    def __init__(self, store: StorePort, audit: AuditPort, clock: Clock) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock

    def set_feature(
        self,
        name: str,
        enabled: bool,
        *,
        environment: str,
        by: str,
        reason: str,
        details: Mapping[str, Any] | None = None,
        seen: Sequence[FlagRow] | None = None,
    ) -> FlagRow:
        """Switch a feature on or off in an environment, or in all.

        Args:
            seen: the rows of the feature that this was decided by, which have to stand still.

        Raises:
            InvalidInput: there is no such flag or environment, or name or reason is missing.
            ConflictError: other rows stand there; nothing was changed, and nothing put on record.
        """
        if name not in FEATURES:
            said = "is thrown with `evercrew kill`" if name.startswith(KILL_SWITCH) else "is not a flag"
            raise InvalidInput("flag", f"{name!r} {said}", f"Use one of: {', '.join(FEATURES)}")
        return self._set(name, enabled, environment, by, reason, details or {}, status="flag_set", seen=seen)

    def kill(
        self,
        name: str,
        on: bool,
        *,
        environment: str,
        by: str,
        reason: str,
        details: Mapping[str, Any] | None = None,
    ) -> FlagRow:
        """Throw or lift a kill switch by the name that `kill_name` gives.

        Raises:
            InvalidInput: there is no such environment, or name or reason is missing.
        """
        return self._set(name, on, environment, by, reason, details or {}, status="kill_on" if on else "kill_off")

    def history(self, name: str = "", *, limit: int = 100) -> Sequence[FlagChange]:
        """Return the changes, newest first."""
        return self._store.flag_history(name, limit=limit)

    def _set(
        self,
        name: str,
        enabled: bool,
        environment: str,
        by: str,
        reason: str,
        details: Mapping[str, Any],
        *,
        status: str,
        seen: Sequence[FlagRow] | None = None,
    ) -> FlagRow:
        if environment not in (EVERYWHERE, *ENVIRONMENTS):
            known = ", ".join((EVERYWHERE, *ENVIRONMENTS))
            raise InvalidInput("env", f"{environment!r} is not an environment", f"Use one of: {known}")
        for field, value in (("by", by), ("reason", reason)):
            if not value.strip():
                raise InvalidInput(field, "is empty", "Say who switches it, and why")
        row = FlagRow(
            name=name, enabled=enabled, environment=environment, details={**details, "by": by, "reason": reason}
        )
        entry = AuditEntry(
            kind=RecordKind.NOTE,
            cycle_id="",
            actor=by,
            status=status,
            body={"flag": name, "environment": environment, "enabled": enabled, "details": dict(row.details)},
        )
        at, noted = self._clock.now(), partial(self._audit.append, entry)
        self._store.set_flag(row, by=by, at=at, seen=seen, first=noted)
        return row


class KillWatch:
    """Tells sleeping cycles that the kill switch of their environment was thrown or lifted.

    Hundreds of them share it: the store is asked once a second at most.
    """

    def __init__(self, store: StorePort, profile: Profile, clock: Clock, *, every: timedelta = EVERY) -> None:
        self._store = store
        self._profile = profile
        self._clock = clock
        self._every = every.total_seconds()
        self._lock = threading.Lock()
        self._killed = False
        self._next = float("-inf")

    def killed(self) -> bool:
        """Whether it is on, as of a second ago at most; what it said before where the store does not answer."""
        if self._clock.monotonic() >= self._next and self._lock.acquire(blocking=False):
            try:
                self._killed = flags_of(self._store, self._profile).killed(self._profile.name)
            except DependencyError:
                return self._killed
            finally:
                self._next = self._clock.monotonic() + self._every
                self._lock.release()
        return self._killed

    def differs(self, from_: bool) -> Callable[[], bool]:
        """Return what says whether the switch is no longer as it was."""
        return lambda: self.killed() is not from_
