"""What both machines share: results as plain JSON, durable sleeps as recorded wake times, errors in words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from domain.canonical import json_ready
from domain.clock import Clock
from domain.errors import DependencyError, DependencyTimeout, DependencyUnavailable, InvalidInput

DONE, FAILED, CANCELLED, PENDING, ABSENT = "done", "failed", "cancelled", "pending", "absent"


def plain_result(name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run the work and return its result as a replay would see it.

    Raises:
        InvalidInput: the result is no plain JSON.
    """
    result = work()
    try:
        return json_ready(result)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"result of step {name}", str(error), "Return plain JSON: no NaN, no objects") from error


def wake_time(clock: Clock, duration: timedelta) -> dict[str, Any]:
    """Return what a sleep records: when it is over."""
    return {"until": (clock.now() + duration).isoformat()}


def left(clock: Clock, recorded: dict[str, Any]) -> timedelta:
    """Return how much of a recorded sleep is left; zero or less when it is over."""
    return datetime.fromisoformat(recorded["until"]) - clock.now()


def holds(until: Callable[[], bool]) -> bool:
    """Return what the condition of a sleep says; not when something it asks does not answer."""
    try:
        return until()
    except DependencyError:
        return False


def describe(error: BaseException) -> str:
    """Return an error's type and text."""
    return f"{type(error).__name__}: {error}"


def no_such(workflow_id: str) -> InvalidInput:
    """Return the error for an identity nobody started."""
    return InvalidInput("workflow_id", f"there is no workflow {workflow_id}", "Start it first")


def too_late(workflow_id: str, status: str, timeout: timedelta) -> DependencyTimeout:
    """Return the error for a result that did not come in time."""
    return DependencyTimeout("workflow", f"{workflow_id} is still {status} after {timeout.total_seconds():g} s")


def no_result(workflow_id: str, status: str, problem: str) -> DependencyUnavailable:
    """Return the error for a workflow that ended without a result."""
    told = f"{workflow_id} was cancelled" if status == CANCELLED else f"{workflow_id} failed: {problem}"
    return DependencyUnavailable(
        "workflow", told, f"Run `evercrew cycles resume {workflow_id}` once the cause is mended"
    )
