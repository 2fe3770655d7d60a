"""What deletes old models and data by the clock, of an application's parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cycles.retention import Retirement

if TYPE_CHECKING:
    from service.wiring import App


def retirement_of(built: App) -> Retirement:
    """Return the job of the schedule `retention`."""
    config = built.config
    return Retirement(
        built.gate,
        built.audit,
        built.clock,
        keep_days=config.tracking.retention.keep_days,
        keep_last=config.tracking.retention.keep_last,
        target=config.target,
        environment=config.environment,
    )
