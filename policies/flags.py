"""Feature flags and the kill switch, as the context of a policy decision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

EVERYWHERE = "all"
KILL_SWITCH = "kill_switch"
# The kill switch of one role, or of one tool: the same flag with a path behind it.
ROLE_SWITCH = f"{KILL_SWITCH}/agent/"
TOOL_SWITCH = f"{KILL_SWITCH}/tool/"
FEATURES = ("self_improvement_enabled", "auto_promote", "auto_rollback", "ab_testing", "cost_optimization")


class FeatureFlag(BaseModel):
    """A row of the table of flags: on or off, in one environment or in all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    enabled: bool
    environment: str = EVERYWHERE
    details: Mapping[str, Any] = Field(default_factory=dict)


class FlagSet:
    """Flags by name and environment.

    A flag of the environment wins over one of `all`; flags given later win over earlier ones; an unknown flag is off.
    The kill switch is the exception: it is on where any row says so, because nobody should be able to switch it off by
    accident.
    """

    def __init__(self, flags: Iterable[FeatureFlag] = (), *, defaults: Mapping[str, bool] | None = None) -> None:
        self._flags = {(flag.name, flag.environment): flag for flag in flags}
        self._defaults = dict(defaults or {})

    def find(self, name: str, environment: str) -> FeatureFlag | None:
        """Return the flag that counts in `environment`, or None when there is none."""
        return self._flags.get((name, environment)) or self._flags.get((name, EVERYWHERE))

    def enabled(self, name: str, environment: str) -> bool:
        """Whether the flag is on in `environment`; without any row, what the profile's features say; else off."""
        flag = self.find(name, environment)
        return flag.enabled if flag is not None else self._defaults.get(name, False)

    def thrown(self, environment: str, *, role: str = "", tool: str = "") -> list[str]:
        """Return the kill switches that are on for whoever asks, in words; of everybody when nobody is named."""
        said = ["the profile's kill switch"] if self._defaults.get(KILL_SWITCH, False) else []
        return [*said, *(_worded(flag) for flag in self._on(environment, role, tool))]

    def killed(self, environment: str, *, role: str = "", tool: str = "") -> bool:
        """Whether a kill switch is on there: that of everybody, or of this role or tool."""
        return bool(self.thrown(environment, role=role, tool=tool))

    def context(self, environment: str, *, role: str = "", tool: str = "") -> dict[str, bool]:
        """Return the part of a policy decision's context that flags decide, for this role and tool."""
        switched = self.killed(environment, role=role, tool=tool)
        return {KILL_SWITCH: switched, **{name: self.enabled(name, environment) for name in FEATURES}}

    def _on(self, environment: str, role: str, tool: str) -> Iterator[FeatureFlag]:
        names = [KILL_SWITCH]
        names += [f"{ROLE_SWITCH}{role}"] if role else []
        names += [f"{TOOL_SWITCH}{tool}"] if tool else []
        for name in names:
            for where in (EVERYWHERE, environment):
                row = self._flags.get((name, where))
                if row is not None and row.enabled:
                    yield row


def _worded(flag: FeatureFlag) -> str:
    what = flag.name.removeprefix(KILL_SWITCH).strip("/").replace("/", " ")
    where = "everywhere" if flag.environment == EVERYWHERE else f"in {flag.environment}"
    by, reason = flag.details.get("by"), flag.details.get("reason")
    said = f"the kill switch{f' of {what}' if what else ''} is on {where}"
    return said + (f" ({reason}; thrown by {by})" if by else "")
