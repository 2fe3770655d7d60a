"""Passwords as argon2id hashes.

Biryukov, Dinu and Khovratovich, "Argon2: new generation of memory-hard functions for password hashing and other
applications", EuroS&P 2016; RFC 9106, whose second recommended option (64 MiB, three passes) is the default here.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher

LEAST = 12
MOST = 1024


@dataclass(frozen=True)
class Cost:
    """What one hash costs: passes over so many KiB of memory, in so many lanes."""

    passes: int = 3
    memory_kib: int = 65_536
    lanes: int = 4


class Passwords:
    """Makes and checks hashes; a check takes as long for somebody who is not there as for somebody who is."""

    def __init__(self, cost: Cost | None = None) -> None:
        self._cost = cost or Cost()

    def hashed(self, password: str) -> str:
        """Return the hash of a password, with its salt and cost."""
        return self._hasher.hash(password)

    def fits(self, kept: str, password: str) -> bool:
        """Whether a password is the one that was hashed; without a hash (empty) it is not, and that takes as long."""
        from argon2.exceptions import InvalidHashError, VerificationError

        try:
            self._hasher.verify(kept or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return bool(kept)

    def outdated(self, kept: str) -> bool:
        """Whether a hash was made at another cost than hashes are made now."""
        return self._hasher.check_needs_rehash(kept)

    @cached_property
    def _hasher(self) -> PasswordHasher:
        from argon2 import PasswordHasher
        from argon2.low_level import Type

        cost = self._cost
        return PasswordHasher(time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes, type=Type.ID)

    @cached_property
    def _nobody(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe(32))
