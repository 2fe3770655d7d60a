"""What specialists find out for an operator: claims with the calls they rest on, a summary, and what is not known."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from domain.alert import Alert, AlertStatus
from domain.brief import Brief
from domain.diagnosis import Claim


class OperatorQuestion(BaseModel):
    """A question of an operator; `text` is what was written and is untrusted, the rest was parsed.

    Calls made for it stand on record under `scope_id`, which is no cycle.
    """

    model_config = ConfigDict(frozen=True)

    scope_id: str
    text: str = Field(max_length=4000)
    signal: str
    target: str
    environment: str
    since: datetime
    asked_at: datetime

    def brief(self) -> Brief:
        """Return it as the context of a crew: what the operator wrote is where an alert's text would be."""
        alert = Alert(
            fingerprint=f"question-{self.scope_id}",
            name="OperatorQuestion",
            status=AlertStatus.FIRING,
            signal=self.signal,
            target=self.target,
            environment=self.environment,
            starts_at=self.since,
            annotations={"question": self.text},
            source="chat",
        )
        return Brief(
            cycle_id=self.scope_id,
            stage="chat",
            target=self.target,
            environment=self.environment,
            alert=alert,
            opened_at=self.asked_at.isoformat(),
        )


class Finding(BaseModel):
    """One specialist's answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    summary: str = Field(min_length=1, max_length=2000)
    claims: tuple[Claim, ...] = Field(default=(), max_length=24)
    unknown: tuple[str, ...] = Field(default=(), max_length=12)


class Findings(BaseModel):
    """The answer of them all: claims that a program has checked, and how many did not hold."""

    model_config = ConfigDict(frozen=True)

    summary: str
    claims: tuple[Claim, ...] = ()
    unknown: tuple[str, ...] = ()
    unsupported: int = 0
    specialists: tuple[str, ...] = ()
