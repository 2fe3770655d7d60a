"""The notification port. Contract: the key goes with the message, and the same key is sent once."""

from __future__ import annotations

from typing import Protocol

from pydantic import BaseModel, ConfigDict

from domain.observation import Observation
from domain.permit import Permit

EFFECT_SEND = "notify.send"


class Message(BaseModel):
    """One message; severity ``info``, ``warning`` or ``critical``."""

    model_config = ConfigDict(frozen=True)

    title: str
    body: str
    severity: str = "info"
    cycle_id: str = ""


class NotifyPort(Protocol):
    """Tells people."""

    def send(self, message: Message, *, key: str, permit: Permit | None) -> None:
        """Send the message once."""
        ...

    def observe(self, key: str) -> Observation:
        """Return whether it was sent."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
