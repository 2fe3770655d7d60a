"""Accounts on a `Database`: SQLite or PostgreSQL.

Accounts are few and what holds of all of them is held too (one admin at least, one first account), so a change takes
the table: on SQLite by the write lock of its transaction, on PostgreSQL by a lock that lets others read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from adapters.accounts.base import (
    MOST_LISTED,
    Account,
    AccountKind,
    Failures,
    KeptSession,
    KeptToken,
    changed,
    no_such_account,
    no_such_token,
    taken,
)
from adapters.accounts.memory import TOKENS_KEPT
from adapters.accounts.models import AccessSessionRow, AccessTokenRow, AccountRow, BarredTokenRow, SignInFailureRow
from adapters.database import Database
from domain.access import AccessRole
from domain.people import same


class SqlAccounts:
    """An `AccountsPort` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert: Any = postgresql.insert if database.is_postgresql else sqlite.insert

    def begin(self, account: Account) -> bool:
        """See `AccountsPort.begin`."""
        with self._database.session(write=True) as session:
            self._take(session)
            if session.scalar(select(func.count()).select_from(AccountRow)):
                return False
            session.add(_row(account))
            return True

    def add(self, account: Account) -> None:
        """See `AccountsPort.add`."""
        with self._database.session(write=True) as session:
            self._take(session)
            known = session.get(AccountRow, same(account.name)) is not None
            if known or (account.subject and _of_subject(session, account.subject) is not None):
                raise taken(account)
            session.add(_row(account))

    def account(self, name: str) -> Account | None:
        """See `AccountsPort.account`."""
        with self._database.session() as session:
            row = session.get(AccountRow, same(name))
            return None if row is None else _account(row)

    def of_subject(self, subject: str) -> Account | None:
        """See `AccountsPort.of_subject`."""
        if not subject:
            return None
        with self._database.session() as session:
            row = _of_subject(session, subject)
            return None if row is None else _account(row)

    def accounts(self) -> Sequence[Account]:
        """See `AccountsPort.accounts`."""
        with self._database.session() as session:
            return [_account(row) for row in session.scalars(select(AccountRow).order_by(AccountRow.key))]

    def change(self, before: Account, after: Account) -> Account:
        """See `AccountsPort.change`."""
        with self._database.session(write=True) as session:
            self._take(session)
            row = session.get(AccountRow, same(before.name))
            if row is None:
                raise no_such_account(before.name)
            everybody = [_account(each) for each in session.scalars(select(AccountRow))]
            kept = changed(before, _account(row), after, everybody)
            session.merge(_row(kept))
            return kept

    def give(self, token: KeptToken) -> None:
        """See `AccountsPort.give`."""
        fields = token.model_dump(exclude={"scopes"})
        with self._database.session(write=True) as session:
            session.add(AccessTokenRow(**fields, scopes=sorted(token.scopes)))

    def token(self, digest: str) -> KeptToken | None:
        """See `AccountsPort.token`."""
        with self._database.session() as session:
            row = session.get(AccessTokenRow, digest)
            return None if row is None else _token(row)

    def token_of(self, identity: str) -> KeptToken | None:
        """See `AccountsPort.token_of`."""
        with self._database.session() as session:
            row = session.scalar(select(AccessTokenRow).where(AccessTokenRow.id == identity))
            return None if row is None else _token(row)

    def tokens(self, account: str = "") -> Sequence[KeptToken]:
        """See `AccountsPort.tokens`."""
        wanted = select(AccessTokenRow).order_by(AccessTokenRow.created_at.desc(), AccessTokenRow.id.desc())
        if account:
            wanted = wanted.where(AccessTokenRow.account == same(account))
        with self._database.session() as session:
            return [_token(row) for row in session.scalars(wanted.limit(MOST_LISTED))]

    def revoke(self, identity: str, at: datetime) -> KeptToken:
        """See `AccountsPort.revoke`."""
        first = func.coalesce(AccessTokenRow.revoked_at, at)
        with self._database.session(write=True) as session:
            session.execute(update(AccessTokenRow).where(AccessTokenRow.id == identity).values(revoked_at=first))
            row = session.scalar(select(AccessTokenRow).where(AccessTokenRow.id == identity))
            if row is None:
                raise no_such_token(identity)
            return _token(row)

    def used(self, digest: str, at: datetime) -> None:
        """See `AccountsPort.used`."""
        with self._database.session(write=True) as session:
            session.execute(update(AccessTokenRow).where(AccessTokenRow.digest == digest).values(used_at=at))

    def open(self, session: KeptSession) -> None:
        """See `AccountsPort.open`."""
        with self._database.session(write=True) as writing:
            writing.add(AccessSessionRow(**session.model_dump()))

    def session(self, digest: str) -> KeptSession | None:
        """See `AccountsPort.session`."""
        with self._database.session() as session:
            row = session.get(AccessSessionRow, digest)
            return None if row is None else KeptSession.model_validate(row, from_attributes=True)

    def seen(self, digest: str, at: datetime) -> None:
        """See `AccountsPort.seen`."""
        with self._database.session(write=True) as session:
            session.execute(update(AccessSessionRow).where(AccessSessionRow.digest == digest).values(seen_at=at))

    def close(self, digest: str) -> None:
        """See `AccountsPort.close`."""
        with self._database.session(write=True) as session:
            session.execute(delete(AccessSessionRow).where(AccessSessionRow.digest == digest))

    def bar(self, identity: str, until: datetime) -> None:
        """See `AccountsPort.bar`."""
        values = {"id": identity, "until": until}
        with self._database.session(write=True) as session:
            session.execute(self._insert(BarredTokenRow).values(values).on_conflict_do_nothing(index_elements=["id"]))

    def barred(self, identity: str) -> bool:
        """See `AccountsPort.barred`."""
        with self._database.session() as session:
            return session.get(BarredTokenRow, identity) is not None

    def failed(self, key: str, at: datetime, *, since: datetime) -> Failures:
        """See `AccountsPort.failed`. One statement counts, so of two at once none is lost."""
        row = SignInFailureRow
        more = case((row.last_at >= since, row.count + 1), else_=1)
        counted = (
            self._insert(row)
            .values({"key": key, "count": 1, "last_at": at})
            .on_conflict_do_update(index_elements=["key"], set_={"count": more, "last_at": at})
            .returning(row.count)
        )
        with self._database.session(write=True) as session:
            return Failures(count=int(session.scalar(counted) or 1), last_at=at)

    def failures(self, key: str) -> Failures | None:
        """See `AccountsPort.failures`."""
        with self._database.session() as session:
            row = session.get(SignInFailureRow, key)
            return None if row is None else Failures(count=row.count, last_at=row.last_at)

    def forget(self, key: str) -> None:
        """See `AccountsPort.forget`."""
        with self._database.session(write=True) as session:
            session.execute(delete(SignInFailureRow).where(SignInFailureRow.key == key))

    def prune(self, *, now: datetime, idle_before: datetime, failed_before: datetime) -> int:
        """See `AccountsPort.prune`."""
        old = now - TOKENS_KEPT
        kept, token = AccessSessionRow, AccessTokenRow
        over = (
            delete(kept).where((kept.expires_at <= now) | (kept.seen_at < idle_before)),
            delete(token).where((token.expires_at < old) | (token.revoked_at < old)),
            delete(BarredTokenRow).where(BarredTokenRow.until <= now),
            delete(SignInFailureRow).where(SignInFailureRow.last_at < failed_before),
        )
        with self._database.session(write=True) as session:
            results: list[Any] = [session.execute(each) for each in over]
            return sum(int(result.rowcount) for result in results)

    def check(self) -> str:
        """See `AccountsPort.check`."""
        with self._database.session() as session:
            count = session.scalar(select(func.count()).select_from(AccountRow)) or 0
        return f"accounts: {count} accounts"

    def _take(self, session: Session) -> None:
        if self._database.is_postgresql:
            session.execute(text("LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE"))


def _of_subject(session: Session, subject: str) -> AccountRow | None:
    return session.scalar(select(AccountRow).where(AccountRow.subject == subject))


def _row(account: Account) -> AccountRow:
    fields = account.model_dump(exclude={"kind", "roles", "subject", "scopes"})
    return AccountRow(
        **fields,
        key=same(account.name),
        kind=account.kind.value,
        roles=sorted(role.value for role in account.roles),
        subject=account.subject or None,
        scopes=None if account.scopes is None else sorted(account.scopes),
    )


def _account(row: AccountRow) -> Account:
    return Account(
        name=row.name,
        kind=AccountKind(row.kind),
        roles=frozenset(AccessRole(role) for role in row.roles),
        secret=row.secret,
        subject=row.subject or "",
        scopes=None if row.scopes is None else frozenset(row.scopes),
        disabled=row.disabled,
        generation=row.generation,
        version=row.version,
        created_at=row.created_at,
        created_by=row.created_by,
    )


def _token(row: AccessTokenRow) -> KeptToken:
    return KeptToken.model_validate(row, from_attributes=True)
