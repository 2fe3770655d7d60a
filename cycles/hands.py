"""Cycles that a person works by hand: whoever runs cycles leaves them alone while they are being worked on."""

from __future__ import annotations

from datetime import datetime, timedelta

from cycles.approvals import OPERATOR
from domain.cycle import Cycle
from policies.profiles import Profile

BY_HAND = "OperatorRollback"
"""Name of the alert that a rollback by hand is recorded as."""

# Beyond the time that a delivery may take: the commit before it, and the registry after it.
_MARGIN = timedelta(minutes=2)


def in_hand(cycle: Cycle, profile: Profile, now: datetime) -> bool:
    """Whether a person is at work on it.

    When the time of that is over, the process it was done in has died, and the crew goes on with the cycle.
    """
    by_hand = (cycle.alert.source, cycle.alert.name) == (OPERATOR, BY_HAND)
    return by_hand and now - cycle.opened_at < profile.poll.delivery_timeout + _MARGIN
