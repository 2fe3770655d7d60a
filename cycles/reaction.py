"""How long a cycle took from its signal to its first remedy, told by the chain, beside what the contract allows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from domain.receipt import AuditRecord, RecordKind

# Effects that tell somebody something and remedy nothing.
REMARKS = frozenset(
    {
        "notify",
        "annotate",
        "silence_alerts",
        "lift_silence",
        "record_pipeline",
        "describe_model",
        "withdraw_change",
    }
)
STATUS = "reaction"


class Reaction(BaseModel):
    """The first remedy of a cycle, `seconds` after its alert began; `in_time` when that is less than `allowed_s`."""

    model_config = ConfigDict(frozen=True)

    signal: str
    action: str
    signal_at: datetime
    acted_at: datetime
    seconds: float
    allowed_s: float
    in_time: bool

    def said(self) -> str:
        """Return the reaction in a sentence."""
        word = "within" if self.in_time else "BEYOND"
        return (
            f"{self.action} {self.seconds:.1f} s after {self.signal}, {word} the {self.allowed_s:g} s of the contract"
        )


def reaction(records: Sequence[AuditRecord], signal: str, signal_at: datetime, allowed: timedelta) -> Reaction | None:
    """Return the reaction of a cycle by its records, or None while nothing was remedied.

    The remedy's moment is that of its intent, which is on record before anything happens.
    """
    done = {r.entry.key for r in records if r.entry.kind is RecordKind.OUTCOME and r.entry.status == "done"}
    intents = [r for r in records if r.entry.kind is RecordKind.INTENT and r.entry.key in done]
    first = next((r for r in intents if r.entry.tool not in REMARKS), None)
    if first is None:
        return None
    seconds = (first.at - signal_at).total_seconds()
    return Reaction(
        signal=signal,
        action=first.entry.tool,
        signal_at=signal_at,
        acted_at=first.at,
        seconds=seconds,
        allowed_s=allowed.total_seconds(),
        in_time=seconds < allowed.total_seconds(),
    )
