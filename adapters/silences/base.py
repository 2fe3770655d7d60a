"""The silences port.

Contract: a silence is put up and taken down with a permit; the key goes with it, and the same key is one silence. It
names labels by equality, has an end, and no two of its names are the same. Taking down what has ended already is done.
Readings need no permit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from domain.errors import InvalidInput
from domain.observation import Observation
from domain.permit import Permit

EFFECT_SILENCE = "silences.silence"
EFFECT_EXPIRE = "silences.expire"
LONGEST = timedelta(days=1)


class Matcher(BaseModel):
    """One label and the value, or the regular expression, it has to have (`equal`) or not have."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")
    value: str
    regex: bool = False
    equal: bool = True


class Silence(BaseModel):
    """What is kept quiet, from when, until when, and why."""

    model_config = ConfigDict(frozen=True)

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    comment: str = ""

    @model_validator(mode="after")
    def _ends_later(self) -> Silence:
        if self.ends_at < self.starts_at:
            raise ValueError("a silence ends after it starts")
        return self


class SilencesPort(Protocol):
    """Silences alerts. `configured` is False where there is no alert manager to be silenced."""

    configured: bool

    def silence(
        self,
        matchers: Sequence[Matcher],
        starts: datetime,
        ends: datetime,
        comment: str,
        *,
        key: str,
        permit: Permit | None,
    ) -> str:
        """Keep alerts with these labels quiet, and return the silence's id.

        Raises:
            PermitError: the permit does not cover this; nothing was silenced.
            InvalidInput: no label is named by equality, it ends before it starts, or it is longer than a day.
            DependencyUnavailable, DependencyTimeout, DependencyLied: the alert manager's trouble.
        """
        ...

    def expire(self, silence_id: str, *, key: str, permit: Permit | None) -> None:
        """Take a silence down.

        Raises:
            PermitError: the permit does not cover this; nothing was changed.
            InvalidInput: there is no such silence.
            DependencyUnavailable, DependencyTimeout, DependencyLied: the alert manager's trouble.
        """
        ...

    def active(self) -> Sequence[Silence]:
        """Return the silences that are in force or will be, whoever put them up, those that end first in front."""
        ...

    def ended(self, silence_id: str) -> bool:
        """Return whether a silence is over, by its time or because it was taken down.

        Raises:
            InvalidInput: there is no such silence.
        """
        ...

    def observe(self, key: str) -> Observation:
        """Return whether the silence of this key was put up; outcome has ``id``."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError or ConfigurationError that says how to mend it."""
        ...


def refuse_unbounded(matchers: Sequence[Matcher], starts: datetime, ends: datetime) -> None:
    """Refuse a silence that could keep quiet more, or longer, than what somebody is watching.

    Raises:
        InvalidInput: names the field.
    """
    if not any(m.equal and not m.regex and m.value for m in matchers):
        raise InvalidInput(
            "matchers", "no label is named by equality", "Name the alert, the target and the environment"
        )
    if len({m.name for m in matchers}) < len(matchers):
        raise InvalidInput("matchers", "a label is named twice", "Name each label once")
    if ends <= starts:
        raise InvalidInput("ends", f"{ends.isoformat()} is not after {starts.isoformat()}", "Give a later end")
    if ends - starts > LONGEST:
        raise InvalidInput("ends", f"{ends - starts} is longer than {LONGEST}", "Silence a watch, not an alert")
