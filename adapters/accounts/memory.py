"""Accounts in memory, for tests and for what lives as long as its process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

from adapters.accounts.base import (
    MOST_LISTED,
    Account,
    Failures,
    KeptSession,
    KeptToken,
    changed,
    no_such_account,
    no_such_token,
    taken,
)
from domain.people import same

TOKENS_KEPT = timedelta(days=90)


class MemoryAccounts:
    """An `AccountsPort` on dictionaries."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._accounts: dict[str, Account] = {}
        self._tokens: dict[str, KeptToken] = {}
        self._sessions: dict[str, KeptSession] = {}
        self._barred: dict[str, datetime] = {}
        self._failures: dict[str, Failures] = {}

    def begin(self, account: Account) -> bool:
        """See `AccountsPort.begin`."""
        with self._lock:
            if self._accounts:
                return False
            self._accounts[same(account.name)] = account
            return True

    def add(self, account: Account) -> None:
        """See `AccountsPort.add`."""
        with self._lock:
            if same(account.name) in self._accounts or self.of_subject(account.subject) is not None:
                raise taken(account)
            self._accounts[same(account.name)] = account

    def account(self, name: str) -> Account | None:
        """See `AccountsPort.account`."""
        return self._accounts.get(same(name))

    def of_subject(self, subject: str) -> Account | None:
        """See `AccountsPort.of_subject`."""
        with self._lock:
            return next((a for a in self._accounts.values() if subject and a.subject == subject), None)

    def accounts(self) -> Sequence[Account]:
        """See `AccountsPort.accounts`."""
        with self._lock:
            return [self._accounts[key] for key in sorted(self._accounts)]

    def change(self, before: Account, after: Account) -> Account:
        """See `AccountsPort.change`."""
        with self._lock:
            found = self.account(before.name)
            if found is None:
                raise no_such_account(before.name)
            kept = changed(before, found, after, self._accounts.values())
            self._accounts[same(kept.name)] = kept
            return kept

    def give(self, token: KeptToken) -> None:
        """See `AccountsPort.give`."""
        with self._lock:
            self._tokens[token.digest] = token

    def token(self, digest: str) -> KeptToken | None:
        """See `AccountsPort.token`."""
        return self._tokens.get(digest)

    def token_of(self, identity: str) -> KeptToken | None:
        """See `AccountsPort.token_of`."""
        with self._lock:
            return next((token for token in self._tokens.values() if token.id == identity), None)

    def tokens(self, account: str = "") -> Sequence[KeptToken]:
        """See `AccountsPort.tokens`."""
        with self._lock:
            found = [t for t in self._tokens.values() if not account or t.account == same(account)]
        return sorted(found, key=lambda token: (token.created_at, token.id), reverse=True)[:MOST_LISTED]

    def revoke(self, identity: str, at: datetime) -> KeptToken:
        """See `AccountsPort.revoke`."""
        with self._lock:
            found = self.token_of(identity)
            if found is None:
                raise no_such_token(identity)
            ended = found if found.revoked_at else found.model_copy(update={"revoked_at": at})
            self._tokens[ended.digest] = ended
            return ended

    def used(self, digest: str, at: datetime) -> None:
        """See `AccountsPort.used`."""
        with self._lock:
            found = self._tokens.get(digest)
            if found is not None:
                self._tokens[digest] = found.model_copy(update={"used_at": at})

    def open(self, session: KeptSession) -> None:
        """See `AccountsPort.open`."""
        with self._lock:
            self._sessions[session.digest] = session

    def session(self, digest: str) -> KeptSession | None:
        """See `AccountsPort.session`."""
        return self._sessions.get(digest)

    def seen(self, digest: str, at: datetime) -> None:
        """See `AccountsPort.seen`."""
        with self._lock:
            found = self._sessions.get(digest)
            if found is not None:
                self._sessions[digest] = found.model_copy(update={"seen_at": at})

    def close(self, digest: str) -> None:
        """See `AccountsPort.close`."""
        with self._lock:
            self._sessions.pop(digest, None)

    def bar(self, identity: str, until: datetime) -> None:
        """See `AccountsPort.bar`."""
        with self._lock:
            self._barred[identity] = until

    def barred(self, identity: str) -> bool:
        """See `AccountsPort.barred`."""
        return identity in self._barred

    def failed(self, key: str, at: datetime, *, since: datetime) -> Failures:
        """See `AccountsPort.failed`."""
        with self._lock:
            before = self._failures.get(key)
            count = before.count if before is not None and before.last_at >= since else 0
            self._failures[key] = Failures(count=count + 1, last_at=at)
            return self._failures[key]

    def failures(self, key: str) -> Failures | None:
        """See `AccountsPort.failures`."""
        return self._failures.get(key)

    def forget(self, key: str) -> None:
        """See `AccountsPort.forget`."""
        with self._lock:
            self._failures.pop(key, None)

    def prune(self, *, now: datetime, idle_before: datetime, failed_before: datetime) -> int:
        """See `AccountsPort.prune`."""
        with self._lock:
            old = now - TOKENS_KEPT
            sessions = [k for k, s in self._sessions.items() if s.expires_at <= now or s.seen_at < idle_before]
            tokens = [k for k, t in self._tokens.items() if min(t.expires_at, t.revoked_at or t.expires_at) < old]
            barred = [k for k, until in self._barred.items() if until <= now]
            failures = [k for k, f in self._failures.items() if f.last_at < failed_before]
            for key in sessions:
                del self._sessions[key]
            for key in tokens:
                del self._tokens[key]
            for key in barred:
                del self._barred[key]
            for key in failures:
                del self._failures[key]
            return len(sessions) + len(tokens) + len(barred) + len(failures)

    def check(self) -> str:
        """See `AccountsPort.check`."""
        return f"accounts: in memory, {len(self._accounts)} accounts"
