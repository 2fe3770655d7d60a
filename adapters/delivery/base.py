"""The delivery port: what is live, by the platform's own word, and waiting until it is what git says.

Contract: "synced" is not "live": only the digest and revision the platform itself reports count. Read-only: desired
state changes by git.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from domain.candidate import LiveState


class DeliveryPort(Protocol):
    """Looks at what is live."""

    def live(self) -> LiveState:
        """Return what the platform serves now.

        Raises:
            DependencyUnavailable, DependencyTimeout, DependencyLied.
        """
        ...

    def wait_until(self, revision: str, *, digest: str | None, timeout: timedelta, poll: timedelta) -> LiveState:
        """Return the live state once it reports `revision` (and `digest`, where one is given).

        Raises:
            DependencyTimeout: it did not come; the message says what is live instead.
        """
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
