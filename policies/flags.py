"""Feature flags and the kill switch, as the context of a policy decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

EVERYWHERE = "all"
KILL_SWITCH = "kill_switch"
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

    def killed(self, environment: str) -> bool:
        """Whether the kill switch is on in `environment` or everywhere."""
        rows = (self._flags.get((KILL_SWITCH, where)) for where in (environment, EVERYWHERE))
        return self._defaults.get(KILL_SWITCH, False) or any(row is not None and row.enabled for row in rows)

    def context(self, environment: str) -> dict[str, bool]:
        """Return the part of a policy decision's context that flags decide."""
        return {KILL_SWITCH: self.killed(environment), **{name: self.enabled(name, environment) for name in FEATURES}}
