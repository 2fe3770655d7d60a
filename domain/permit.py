"""Permits: single-use, sealed, expiring.

The gate mints them; an adapter's effectful method spends one before it acts.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from domain.canonical import canonical_json
from domain.clock import Clock
from domain.errors import PermitAltered, PermitExpired, PermitMissing, PermitSpent


class Permit(BaseModel):
    """Leave to perform the named effects once, for one key, until `expires_at`."""

    model_config = ConfigDict(frozen=True)

    tool: str
    effects: tuple[str, ...]
    args_hash: str
    actor: str
    cycle_id: str
    key: str
    nonce: str
    expires_at: datetime
    seal: str = ""

    def body(self) -> str:
        """Return what the seal is over: everything but the seal."""
        return canonical_json({name: value for name, value in self.__dict__.items() if name != "seal"})


class PermitVerifier(Protocol):
    """What an adapter holds: it can spend a permit, never mint one."""

    def spend(self, permit: Permit | None, *, effect: str, key: str) -> None:
        """Use the permit up for `effect` under idempotency key `key`.

        Raises:
            PermitMissing: there is none, or it is for another effect or key.
            PermitAltered: its seal does not match.
            PermitExpired: it is too old.
            PermitSpent: it was used for this effect before.
        """
        ...


def _nothing() -> None:
    """There is nothing in the way."""


class PermitOffice:
    """Mints and verifies permits with a secret that lives and dies with the process.

    The seal is HMAC-SHA256 (RFC 2104) over the canonical JSON of the permit's fields.
    """

    def __init__(self, clock: Clock, *, lifetime: timedelta = timedelta(minutes=30)) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._secret = secrets.token_bytes(32)
        self._spent: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        # Asked before a permit is spent: it raises where this process may not act any more.
        self.guard: Callable[[], None] = _nothing

    def mint(
        self, *, tool: str, effects: tuple[str, ...], args_hash: str, actor: str, cycle_id: str, key: str
    ) -> Permit:
        """Return a fresh permit."""
        permit = Permit(
            tool=tool,
            effects=effects,
            args_hash=args_hash,
            actor=actor,
            cycle_id=cycle_id,
            key=key,
            nonce=secrets.token_hex(16),
            expires_at=self._clock.now() + self._lifetime,
        )
        return permit.model_copy(update={"seal": self._seal(permit)})

    def spend(self, permit: Permit | None, *, effect: str, key: str) -> None:
        """See `PermitVerifier.spend`."""
        self.guard()
        if not isinstance(permit, Permit):
            raise PermitMissing(f"{effect} needs a permit from the gate and got none")
        if not hmac.compare_digest(permit.seal, self._seal(permit)):
            raise PermitAltered(f"the permit for {permit.tool} was altered after it was minted, or minted elsewhere")
        if effect not in permit.effects or key != permit.key:
            raise PermitMissing(
                f"the permit for {permit.tool} covers {', '.join(permit.effects)} under another key, not {effect}"
            )
        if self._clock.now() >= permit.expires_at:
            raise PermitExpired(f"the permit for {permit.tool} expired at {permit.expires_at.isoformat()}")
        use = (permit.nonce, effect)
        with self._lock:
            if use in self._spent:
                raise PermitSpent(f"the permit for {permit.tool} was already used for {effect}")
            self._spent.add(use)

    def _seal(self, permit: Permit) -> str:
        return hmac.new(self._secret, permit.body().encode(), hashlib.sha256).hexdigest()
