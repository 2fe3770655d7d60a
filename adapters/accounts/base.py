"""The accounts port: who is known, the tokens and sessions they hold, and how often somebody failed to be them.

Contract: a name is one account, however it is spelt (`domain.people.same`). No secret is kept: passwords as argon2id
hashes, tokens and session cookies as SHA-256 digests, and what is looked up is the digest. A change of an account names
the account it was read as, and is refused when somebody was faster; one that would leave nobody who is an admin and can
sign in is refused, unless the account is an OpenID provider's. `begin` keeps the first account of all and never a
second. Nothing that was revoked comes back. What is over is deleted by `prune`, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from domain.access import AccessRole
from domain.errors import ConflictError, InvalidInput

MOST_LISTED = 1000


class AccountKind(StrEnum):
    """A person with a password here, a machine with a secret, or a person whom an OpenID provider vouches for."""

    LOCAL = "local"
    CLIENT = "client"
    OIDC = "oidc"


class Account(BaseModel):
    """An account. `secret` is the argon2id hash of its password or secret, empty where there is none here.

    `subject` is who it is at the OpenID provider (issuer and subject), `scopes` what tokens of a machine may be for at
    most. `generation` grows with every change that ends what was given out before; `version` with every change.
    """

    model_config = ConfigDict(frozen=True)

    name: str = Field(min_length=1, max_length=200)
    kind: AccountKind
    roles: frozenset[AccessRole]
    secret: str = Field(default="", repr=False)
    subject: str = ""
    scopes: frozenset[str] | None = None
    disabled: bool = False
    generation: int = 1
    version: int = 1
    created_at: datetime
    created_by: str

    @property
    def is_person(self) -> bool:
        """Whether it stands for somebody, and not for a machine."""
        return self.kind is not AccountKind.CLIENT

    @property
    def runs_the_place(self) -> bool:
        """Whether it is an admin who can sign in."""
        return AccessRole.ADMIN in self.roles and self.is_person and not self.disabled


class KeptToken(BaseModel):
    """An API token: `id` is public, `digest` the SHA-256 of the token, `scopes` the actions it was made for.

    `account` is what the spellings of the owner's name have in common (`domain.people.same`).
    """

    model_config = ConfigDict(frozen=True)

    id: str
    digest: str = Field(repr=False)
    account: str
    label: str = ""
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    used_at: datetime | None = None

    def lives(self, now: datetime) -> bool:
        """Whether it still opens anything; a time equal to the expiry is past it."""
        return self.revoked_at is None and now < self.expires_at


class KeptSession(BaseModel):
    """A browser's session: `digest` is the SHA-256 of its cookie, `expires_at` its end however busy it is."""

    model_config = ConfigDict(frozen=True)

    digest: str = Field(repr=False)
    account: str
    generation: int
    opened_at: datetime
    seen_at: datetime
    expires_at: datetime
    how: str = ""


class Failures(BaseModel):
    """How often in a row somebody failed to sign in, and when the last time was."""

    model_config = ConfigDict(frozen=True)

    count: int
    last_at: datetime


class AccountsPort(Protocol):
    """Keeps accounts. Every method raises a DependencyError when the place they are kept in cannot be used."""

    def begin(self, account: Account) -> bool:
        """Keep the very first account; False, and nothing is changed, when there is any account already."""
        ...

    def add(self, account: Account) -> None:
        """Keep an account.

        Raises:
            ConflictError: there is one of this name, or of this subject.
        """
        ...

    def account(self, name: str) -> Account | None:
        """Return the account of a name, or None."""
        ...

    def of_subject(self, subject: str) -> Account | None:
        """Return the account of a subject at the OpenID provider, or None; nobody has an empty one."""
        ...

    def accounts(self) -> Sequence[Account]:
        """Return all accounts, by name."""
        ...

    def change(self, before: Account, after: Account) -> Account:
        """Put `after` in the place of `before`, and return it with its new version.

        Raises:
            ConflictError: it is not as `before` any more, or nobody would be left who is an admin and can sign in.
            InvalidInput: there is no such account.
        """
        ...

    def give(self, token: KeptToken) -> None:
        """Keep an API token."""
        ...

    def token(self, digest: str) -> KeptToken | None:
        """Return the API token with this digest, or None."""
        ...

    def token_of(self, identity: str) -> KeptToken | None:
        """Return the API token of this public identity, or None; however many there are."""
        ...

    def tokens(self, account: str = "") -> Sequence[KeptToken]:
        """Return API tokens, newest first: all, or those of an account; at most a thousand."""
        ...

    def revoke(self, identity: str, at: datetime) -> KeptToken:
        """End an API token by its public identity; one that was ended keeps its time.

        Raises:
            InvalidInput: there is no such token.
        """
        ...

    def used(self, digest: str, at: datetime) -> None:
        """Note when an API token was last used."""
        ...

    def open(self, session: KeptSession) -> None:
        """Keep a session."""
        ...

    def session(self, digest: str) -> KeptSession | None:
        """Return the session with this digest, or None."""
        ...

    def seen(self, digest: str, at: datetime) -> None:
        """Note when a session was last used."""
        ...

    def close(self, digest: str) -> None:
        """End a session; none is ended where there is none."""
        ...

    def bar(self, identity: str, until: datetime) -> None:
        """Refuse a signed token by its identity (`jti`) until it is over."""
        ...

    def barred(self, identity: str) -> bool:
        """Whether a signed token was ended before its time."""
        ...

    def failed(self, key: str, at: datetime, *, since: datetime) -> Failures:
        """Count a failure under a key, and return how many there were in a row; what was before `since` is forgotten.

        Of two at once both are counted.
        """
        ...

    def failures(self, key: str) -> Failures | None:
        """Return the failures under a key, or None."""
        ...

    def forget(self, key: str) -> None:
        """Begin to count anew."""
        ...

    def prune(self, *, now: datetime, idle_before: datetime, failed_before: datetime) -> int:
        """Delete sessions that are over, tokens ended or over for 90 days, and what is refused or counted no longer.

        Returns how many rows those were.
        """
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...


def no_such_account(name: str) -> InvalidInput:
    """Return the error of an account that is not there."""
    return InvalidInput("name", f"there is no account {name!r}", "See `evercrew users list`")


def no_such_token(identity: str) -> InvalidInput:
    """Return the error of a token that is not there."""
    return InvalidInput("token", f"there is no token {identity!r}", "See `evercrew tokens list`")


def taken(account: Account) -> ConflictError:
    """Return the error of a second account of one name or subject."""
    return ConflictError(f"there is an account {account.name!r} already, or one of the same subject")


def leaves_nobody(found: Account, after: Account, all_of_them: Iterable[Account]) -> bool:
    """Whether a change takes the last admin away; what an OpenID provider takes back is taken all the same."""
    if found.kind is AccountKind.OIDC or not found.runs_the_place or after.runs_the_place:
        return False
    return not any(other.runs_the_place for other in all_of_them if other.name != found.name)


def changed(before: Account, found: Account, after: Account, all_of_them: Iterable[Account]) -> Account:
    """Return the account as it is to be kept; the rule of every store.

    Raises:
        ConflictError: see `AccountsPort.change`.
    """
    if found.version != before.version:
        raise ConflictError(f"the account {found.name!r} was changed meanwhile; look at it and try again")
    if leaves_nobody(found, after, all_of_them):
        raise ConflictError(f"{found.name!r} is the last admin who can sign in; make another one first")
    return after.model_copy(update={"name": found.name, "kind": found.kind, "version": found.version + 1})
