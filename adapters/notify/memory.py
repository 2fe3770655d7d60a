"""Notifications in memory."""

from __future__ import annotations

import threading

from adapters.notify.base import EFFECT_SEND, Message
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier


class MemoryNotify:
    """A `NotifyPort` that keeps what was sent, by key, in order."""

    def __init__(self, permits: PermitVerifier) -> None:
        self._permits = permits
        self._lock = threading.Lock()
        self.sent: dict[str, Message] = {}

    def send(self, message: Message, *, key: str, permit: Permit | None) -> None:
        """See `NotifyPort.send`."""
        self._permits.spend(permit, effect=EFFECT_SEND, key=key)
        with self._lock:
            self.sent.setdefault(key, message)

    def observe(self, key: str) -> Observation:
        """See `NotifyPort.observe`."""
        return Observation.done({}) if key in self.sent else Observation.absent()

    def check(self) -> str:
        """See `NotifyPort.check`."""
        return f"notify: in memory, {len(self.sent)} messages"
