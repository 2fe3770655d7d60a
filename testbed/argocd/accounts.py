"""Who may ask for what: fixed tokens, and sessions opened with a password."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from testbed.argocd.errors import PERMISSION_DENIED, UNAUTHENTICATED, Problem

EVERYTHING = frozenset({"get", "sync", "override"})


@dataclass(frozen=True)
class Account:
    """One account; `rights` are the actions it has on applications. A token or password left empty cannot be used."""

    name: str
    token: str = ""
    password: str = ""
    rights: frozenset[str] = EVERYTHING


class Accounts:
    """Knows the accounts and the open sessions."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self._accounts = tuple(accounts)
        self._sessions: dict[str, Account] = {}
        self._lock = threading.Lock()

    def open(self, username: str, password: str) -> str:
        """Return the token of a fresh session; raises `Problem`."""
        for account in self._accounts:
            if account.password and account.name == username and secrets.compare_digest(account.password, password):
                token = f"session-{secrets.token_hex(16)}"
                with self._lock:
                    self._sessions[token] = account
                return token
        raise Problem(UNAUTHENTICATED, "Invalid username or password")

    def expire(self) -> None:
        """End all sessions."""
        with self._lock:
            self._sessions.clear()

    def who(self, header: str) -> Account:
        """Return the account of an `Authorization` header; raises `Problem`."""
        token = header.removeprefix("Bearer ").strip()
        if not token:
            raise Problem(UNAUTHENTICATED, "no session information")
        with self._lock:
            found = self._sessions.get(token)
        found = found or next((account for account in self._accounts if account.token == token), None)
        if found is None:
            raise Problem(UNAUTHENTICATED, "invalid session: token is unknown or expired")
        return found

    @staticmethod
    def demand(account: Account, action: str) -> None:
        """Raise `Problem` unless the account has the right."""
        if action not in account.rights:
            raise Problem(PERMISSION_DENIED, "permission denied")
