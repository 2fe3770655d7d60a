"""How a cycle ended, in words that cannot be mistaken for one another."""

from __future__ import annotations

from enum import StrEnum


class OutcomeKind(StrEnum):
    """How a cycle ended.

    `improved`, `restored`, `repaired`, `tuned` and `rolled_back` rest on measurements; the others claim nothing.
    `resolved` is an alert that ended before anything was done about it.
    """

    IMPROVED = "improved"
    RESTORED = "restored"
    REPAIRED = "repaired"
    TUNED = "tuned"
    LEFT_ALONE = "left_alone"
    ROLLED_BACK = "rolled_back"
    NOT_PROMOTED = "not_promoted"
    UNVERIFIED = "unverified"
    HANDED_OFF = "handed_off"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    RESOLVED = "resolved"
    NO_CYCLE = "no_cycle"

    @property
    def verified(self) -> bool:
        """Whether it rests on a measurement that passed, or on a decision to leave a healthy platform alone."""
        return self in _VERIFIED


_VERIFIED = frozenset(
    {
        OutcomeKind.IMPROVED,
        OutcomeKind.RESTORED,
        OutcomeKind.REPAIRED,
        OutcomeKind.TUNED,
        OutcomeKind.ROLLED_BACK,
        OutcomeKind.LEFT_ALONE,
        OutcomeKind.NO_CYCLE,
    }
)
