"""Which cycles somebody asks for: what is named has to fit, what is not named is not asked about."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from domain.cycle import Cycle
from domain.ids import check_cycle_id


class Wanted(BaseModel):
    """A filter of cycles. `since` is included, `until` is not; both are about when a cycle was opened."""

    model_config = ConfigDict(frozen=True)

    open: bool | None = None
    target: str = ""
    environment: str = ""
    stage: str = ""
    action: str = ""
    outcome: str = ""
    signal: str = ""
    fingerprint: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def fits(self, cycle: Cycle) -> bool:
        """Whether a cycle is one of them."""
        told = {
            "target": cycle.target,
            "environment": cycle.environment,
            "stage": cycle.stage.value,
            "action": cycle.action.value if cycle.action else "",
            "outcome": cycle.outcome.value if cycle.outcome else "",
            "signal": cycle.alert.signal,
            "fingerprint": cycle.alert.fingerprint,
        }
        named = all(getattr(self, name) in ("", value) for name, value in told.items())
        open_or_not = self.open is None or self.open is not cycle.stage.terminal
        begun = self.since is None or cycle.opened_at >= self.since
        return named and open_or_not and begun and (self.until is None or cycle.opened_at < self.until)


def place_of(cycle_id: str) -> tuple[str, int]:
    """Return what cycles are ordered by: the day, as it is written, and the number.

    Raises:
        InvalidInput: it is not the identity of a cycle.
    """
    day, _, number = check_cycle_id(cycle_id).removeprefix("si_").rpartition("_")
    return day.replace("_", "-"), int(number)
