"""What an office in tests is made of: its alerts and what is wrong with its platform, by what is to be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain.alert import Alert, AlertStatus
from domain.brief import Answered, Brief
from domain.clock import Clock
from domain.diagnosis import Action
from evals.simulated import Fault
from evals.simulated_office import contract, profile, signal_reader
from evals.simulated_rows import MODEL

__all__ = ["FAULTS", "MODEL", "Say", "alert_of", "contract", "profile", "signal_reader"]

FAULTS: Mapping[Action, Fault] = {
    Action.RETRAIN: Fault.SHIFT,
    Action.ROLLBACK: Fault.BAD_RELEASE,
    Action.DATA_FIX: Fault.LABELS,
    Action.TUNE: Fault.LATENCY,
    Action.NOISE: Fault.NOISE,
    Action.MONITOR: Fault.NOISE,
}
Say = Mapping[str, Callable[[Brief], Answered[Any]]]


def alert_of(action: Action, clock: Clock) -> Alert:
    """Return the alert that opens a cycle of this kind."""
    return Alert(
        fingerprint=f"f-{action.value}",
        name="SignalBreached",
        status=AlertStatus.FIRING,
        signal=FAULTS.get(action, Fault.SHIFT).signal,
        target="search",
        environment="dev",
        starts_at=clock.now(),
    )
