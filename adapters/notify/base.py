"""The notification port. Contract: the key goes with the message, and the same key is sent once.

A channel that cannot say itself what it was sent (an incoming webhook, a mail server) keeps a register of its own.
Where a message was begun and no answer came, `observe` says unknown, and sending it again sends it again: a person who
is told twice loses less than one who is not told at all.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from domain.errors import DependencyUnavailable
from domain.observation import Observation
from domain.permit import Permit

EFFECT_SEND = "notify.send"


class Busy(DependencyUnavailable):
    """The channel wants to be left alone for a while: `after`, where it says how long."""

    def __init__(self, dependency: str, problem: str, remedy: str, after: timedelta | None = None) -> None:
        super().__init__(dependency, problem, remedy)
        self.after = after


class Message(BaseModel):
    """One message; severity ``info``, ``warning`` or ``critical``.

    `link` is where to look and act, `facts` are names and values beside the body, `kind` says what it is about.
    """

    model_config = ConfigDict(frozen=True)

    title: str
    body: str
    severity: str = "info"
    cycle_id: str = ""
    kind: str = ""
    link: str = ""
    facts: tuple[tuple[str, str], ...] = ()


class NotifyPort(Protocol):
    """Tells people."""

    def send(self, message: Message, *, key: str, permit: Permit | None) -> None:
        """Send the message once.

        Raises:
            PermitError: the permit does not cover this; nothing was sent.
            InvalidInput: the channel will never take this message, or it could not be sent safely.
            DependencyError: it could not be sent now.
        """
        ...

    def observe(self, key: str) -> Observation:
        """Return whether it was sent."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
