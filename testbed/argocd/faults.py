"""What can be wrong with the stand-in, switched at run time from outside its API."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """One way to misbehave.

    `lie` says Synced and Healthy without having applied anything; `stale` does not see new commits.
    """

    DEGRADED = "degraded"
    PROGRESSING = "progressing"
    HOOK_FAILED = "hook_failed"
    HOOK_WAITING = "hook_waiting"
    COMPARISON_ERROR = "comparison_error"
    LIE = "lie"
    STALE = "stale"
    SLOW = "slow"
    BROKEN_JSON = "broken_json"
