"""Flags and the kill switch as they are shown and set, at a terminal and over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from adapters.store.base import FlagRow, StorePort
from cycles.switches import Switchboard, flags_of, kill_name
from policies.flags import EVERYWHERE, FEATURES, KILL_SWITCH
from policies.profiles import Profile

MOST_OPEN = 1000


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Feature(_Frozen):
    """A feature as it counts in an environment, and what says so."""

    flag: str
    environment: str
    enabled: bool
    said_by: str
    details: Mapping[str, Any]


class KillStatus(_Frozen):
    """Whether an environment is stopped and why, the kill switches that are on, and the cycles they hold."""

    environment: str
    killed: bool
    because: tuple[str, ...]
    switches: tuple[FlagRow, ...]
    held: tuple[str, ...]


class Switched(_Frozen):
    """A kill switch that was thrown or lifted, what keeps this environment stopped all the same, and all that are on.

    `switches` are those of every environment, role and tool.
    """

    switch: FlagRow
    still_on: tuple[str, ...]
    switches: tuple[FlagRow, ...] = ()


def features(store: StorePort, profile: Profile) -> tuple[Feature, ...]:
    """Return every feature as it counts in the profile's environment."""
    environment, found = profile.name, flags_of(store, profile)

    def of(name: str) -> Feature:
        row = found.find(name, environment)
        said = "by the profile" if row is None else f"by the row of {row.environment}"
        details = {} if row is None else dict(row.details)
        return Feature(
            flag=name,
            environment=environment,
            enabled=found.enabled(name, environment),
            said_by=said,
            details=details,
        )

    return tuple(of(name) for name in FEATURES)


def kill_status(store: StorePort, profile: Profile) -> KillStatus:
    """Return how the kill switch stands for the profile's environment."""
    thrown = flags_of(store, profile).thrown(profile.name)
    rows = _thrown(store)
    held = tuple(c.id for c in store.cycles(open_only=True, limit=MOST_OPEN) if c.facts.get("held"))
    return KillStatus(environment=profile.name, killed=bool(thrown), because=tuple(thrown), switches=rows, held=held)


def switched(
    board: Switchboard,
    store: StorePort,
    profile: Profile,
    on: bool,
    *,
    by: str,
    reason: str,
    environment: str = EVERYWHERE,
    agent: str = "",
    tool: str = "",
    details: Mapping[str, Any] | None = None,
) -> Switched:
    """Throw or lift a kill switch: that of everybody, of a role, or of a tool; `details` are kept beside it.

    Raises:
        InvalidInput: there is no such role, tool or environment, or the tool is one that no switch stops.
    """
    tools, safe = tools_there_are() if tool else ((), ())
    name = kill_name(agent=agent, tool=tool, tools=tools, safe=safe)
    row = board.kill(name, on, environment=environment, by=by, reason=reason, details=details)
    here = environment in (EVERYWHERE, profile.name)
    still = flags_of(store, profile).thrown(profile.name, role=agent, tool=tool) if not on and here else []
    return Switched(switch=row, still_on=tuple(still), switches=_thrown(store))


def _thrown(store: StorePort) -> tuple[FlagRow, ...]:
    return tuple(row for row in store.flags() if row.enabled and row.name.split("/")[0] == KILL_SWITCH)


def tools_there_are() -> tuple[Sequence[str], Sequence[str]]:
    """Return all tools, and those that lead to a safe state, by the packaged schema."""
    from policies.packaged import packaged_policy_files
    from policies.pdp import PolicyDecisionPoint
    from service.rulings import every_tool

    actions = PolicyDecisionPoint.from_files(packaged_policy_files()).actions
    return tuple(every_tool()), tuple(name for name, groups in actions.items() if "safe" in groups)
