"""No alert manager is configured: nothing is silenced, and nothing pretends to be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from adapters.silences.base import EFFECT_EXPIRE, EFFECT_SILENCE, Matcher, Silence
from domain.errors import ConfigurationError
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier


class NoSilences:
    """A `SilencesPort` for where there is none; the tools that would use it are not offered."""

    configured = False

    def __init__(self, permits: PermitVerifier) -> None:
        self._permits = permits

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
        """Refuse; see `SilencesPort.silence`."""
        self._permits.spend(permit, effect=EFFECT_SILENCE, key=key)
        raise _absent()

    def expire(self, silence_id: str, *, key: str, permit: Permit | None) -> None:
        """Refuse; see `SilencesPort.expire`."""
        self._permits.spend(permit, effect=EFFECT_EXPIRE, key=key)
        raise _absent()

    def active(self) -> Sequence[Silence]:
        """See `SilencesPort.active`."""
        return ()

    def ended(self, silence_id: str) -> bool:
        """Refuse; see `SilencesPort.ended`."""
        raise _absent()

    def observe(self, key: str) -> Observation:
        """See `SilencesPort.observe`."""
        return Observation.absent("no alert manager is configured")

    def check(self) -> str:
        """See `SilencesPort.check`."""
        return "silences: none; alerts are not silenced while a change is watched (section alertmanager)"


def _absent() -> ConfigurationError:
    return ConfigurationError("alertmanager", "is not configured", "Add the section, or do not ask for silences")
