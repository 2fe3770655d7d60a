"""An override: for a while, an admin's number stands in place of one of the contract's."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.canonical import canonical_hash

Kind = Literal["gate", "limit", "rollback"]
Meaning = Literal["", "absolute", "relative_to_baseline", "min_relative_delta", "max_relative_delta", "min", "max"]
MOST_UNIT = 20


class Override(BaseModel):
    """One override of one environment, in force from `at` until `expires`, or until it was ended.

    `kind` says what `name` names: a ``gate`` (its threshold), the ``limit`` of a signal, or the limit of its
    ``rollback``; `of` says what the number is: which limit (absolute, or relative to the baseline), or of which kind
    the gate was when it was given. `unit` is that of a level; a share has none. Gates of earlier releases have no `of`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: str
    kind: Kind
    name: str
    of: Meaning = ""
    unit: str = ""
    threshold: float
    environment: str
    by: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    at: datetime
    expires: datetime
    ended_at: datetime | None = None
    ended_by: str = ""

    def in_force(self, now: datetime) -> bool:
        """Whether it counts at that moment."""
        ended = self.ended_at is not None and self.ended_at <= now
        return self.at <= now < self.expires and not ended

    def said(self) -> str:
        """Return it in a sentence."""
        what = f"{self.kind} {self.name}{f' ({self.of})' if self.of else ''}"
        number = f"{self.threshold:g}{f' {self.unit}' if self.unit else ''}"
        return f"{what} is {number} until {self.expires:%Y-%m-%d %H:%M} UTC by {self.by}: {self.reason}"


def override(
    kind: Kind,
    name: str,
    threshold: float,
    *,
    of: Meaning = "",
    environment: str,
    by: str,
    reason: str,
    at: datetime,
    lasts: timedelta,
) -> Override:
    """Return a new override with an identity of its own."""
    identity = canonical_hash([kind, name, of, repr(threshold), environment, by, at.isoformat()])[:10]
    return Override(
        id=f"ov_{identity}",
        kind=kind,
        name=name,
        of=of,
        threshold=threshold,
        environment=environment,
        by=by,
        reason=reason,
        at=at,
        expires=at + lasts,
    )
