"""How failed attempts to sign in are slowed down, for an account and for an address, across processes.

After so many in a row each costs a wait that doubles. An attempt on an account is counted before the password is looked
at, so that many at once are no more than many in a row. Whoever is made to wait learns nothing about the password.
Names and addresses are kept as digests: people type passwords into the field of the name.
"""

from __future__ import annotations

import hashlib
import ipaddress
from datetime import datetime, timedelta

from adapters.accounts.base import AccountsPort, Failures
from domain.access import TooManyAttempts
from domain.clock import Clock
from domain.people import same
from service.access_sections import ThrottleConfig

# An address of version 6 is one of very many of the same owner.
_V6_PREFIX = 64


class Throttle:
    """Counts attempts; see the module's text."""

    def __init__(self, accounts: AccountsPort, clock: Clock, section: ThrottleConfig) -> None:
        self._accounts = accounts
        self._clock = clock
        self._section = section

    def attempt(self, name: str, address: str) -> None:
        """Count an attempt on an account.

        Raises:
            TooManyAttempts: it has to wait; nothing is counted while it does.
        """
        free = self._section.free_per_account
        before = self._open(_account(name), free)
        self._open(_address(address), self._section.free_per_address)
        now = self._clock.now()
        counted = self._accounts.failed(_account(name), now, since=now - self._forget)
        raced = counted.count > (before.count if before is not None else 0) + 1
        if raced and counted.count > free:
            raise TooManyAttempts(self._wait(counted.count, free))

    def failed(self, address: str) -> None:
        """Count a failed attempt of an address."""
        now = self._clock.now()
        self._accounts.failed(_address(address), now, since=now - self._forget)

    def succeeded(self, name: str) -> None:
        """Begin to count anew for an account; the address, which may have tried others, is not forgotten."""
        self._accounts.forget(_account(name))

    @property
    def _forget(self) -> timedelta:
        return timedelta(seconds=self._section.forget_after_s)

    def _open(self, key: str, free: int) -> Failures | None:
        found = self._accounts.failures(key)
        if found is None or found.last_at < self._clock.now() - self._forget:
            return None
        left = self._until(found, free) - self._clock.now()
        if left > timedelta():
            raise TooManyAttempts(left)
        return found

    def _until(self, found: Failures, free: int) -> datetime:
        return found.last_at + self._wait(found.count, free)

    def _wait(self, count: int, free: int) -> timedelta:
        if count < free:
            return timedelta()
        doubled = self._section.first_wait_s * 2.0 ** min(count - free, 40)
        return timedelta(seconds=min(doubled, self._section.longest_wait_s))


def _account(name: str) -> str:
    return hashlib.sha256(f"account:{same(name)}".encode()).hexdigest()


def _address(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
        mapped = getattr(parsed, "ipv4_mapped", None)
        if parsed.version == 6 and mapped is None:
            address = str(ipaddress.ip_network((parsed, _V6_PREFIX), strict=False))
        else:
            address = str(mapped or parsed)
    except ValueError:
        pass
    return hashlib.sha256(f"address:{address}".encode()).hexdigest()
