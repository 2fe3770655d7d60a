"""The keeper of accounts: who is let in, as what, and with which tokens; every change is on the audit record first."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeVar

from adapters.accounts.base import Account, AccountKind, AccountsPort, KeptToken, leaves_nobody, no_such_account
from adapters.accounts.passwords import LEAST, MOST, Passwords
from adapters.audit.base import AuditPort
from domain.access import AccessRole, ApiAction, Caller
from domain.clock import Clock
from domain.errors import ConfigurationError, ConflictError, EvercrewError, InvalidInput
from domain.people import People, Person, same
from domain.receipt import AuditEntry, RecordKind

PREFIX = "evc_"
"""How an API token begins, so that a scanner of secrets finds one where it should not be."""

FIRST = "admin"
MOST_TOKENS = 100  # of an account that open something at a time
_LONGEST_TOKEN = timedelta(days=3650)
_T = TypeVar("_T")


def digest_of(secret: str) -> str:
    """Return the SHA-256 that a token or a cookie is kept by."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Keeper:
    """Changes accounts. `by` is who wants it; what cannot be put on record is not done."""

    def __init__(self, accounts: AccountsPort, audit: AuditPort, clock: Clock, passwords: Passwords) -> None:
        self.accounts = accounts
        self.passwords = passwords
        self._audit = audit
        self._clock = clock

    def first(self) -> str | None:
        """Make the first admin when there is no account at all, and return the password, which is kept nowhere."""
        if self.accounts.accounts():
            return None
        password = secrets.token_urlsafe(18)
        account = self._new(FIRST, AccountKind.LOCAL, [AccessRole.ADMIN], "first start", password)
        self._note("account_added", "engine", account)
        return password if self.accounts.begin(account) else None

    def add(
        self,
        name: str,
        roles: Iterable[AccessRole],
        *,
        by: str,
        password: str = "",
        machine: bool = False,
        scopes: Iterable[str] | None = None,
    ) -> tuple[Account, str]:
        """Add somebody, or a machine, and return the account and its password; a machine's secret is made here.

        Raises:
            InvalidInput: name, roles, scopes or password cannot be. ConflictError: the name is taken.
        """
        if machine and password:
            raise InvalidInput("password", "a machine has a secret that is made here", "Leave it out")
        kind = AccountKind.CLIENT if machine else AccountKind.LOCAL
        secret = password or secrets.token_urlsafe(32 if machine else 18)
        account = self._new(name, kind, roles, by, secret, None if scopes is None else known_scopes(scopes))
        if self.accounts.account(name) is not None:
            raise ConflictError(f"there is an account {name!r} already")
        self._done("account_added", by, account, lambda: self.accounts.add(account))
        return account, secret

    def welcome(self, name: str, roles: frozenset[AccessRole], subject: str) -> Account:
        """Return the account of somebody who signs in at an OpenID provider, made, or with the roles it gives now.

        Raises:
            InvalidInput: the name cannot be. ConflictError: the name is that of somebody else.
        """
        found = self.vouched_for(name, roles, subject)
        if found.roles == roles or found.disabled:
            return found
        return self._change(found, "account_roles", found.name, roles=roles)

    def vouched_for(self, name: str, roles: frozenset[AccessRole], subject: str) -> Account:
        """Return the account of a subject at an OpenID provider; made, where there is none.

        What it is may be older than a sign-in: roles of an account that is there are not touched.

        Raises:
            InvalidInput: the name cannot be. ConflictError: the name is that of somebody else.
        """
        found = self.accounts.of_subject(subject)
        if found is not None:
            return found
        made = self._new(name, AccountKind.OIDC, roles, "openid provider", "")
        account = made.model_copy(update={"subject": subject})
        try:
            if self.accounts.account(name) is not None:
                raise ConflictError(f"the name {name!r} is that of another account; an admin has to settle it")
            self._done("account_added", account.name, account, lambda: self.accounts.add(account))
        except ConflictError:
            faster = self.accounts.of_subject(subject)  # another request of the same subject
            if faster is None:
                raise
            return faster
        return account

    def set_roles(self, name: str, roles: Iterable[AccessRole], *, by: str) -> Account:
        """Give other roles; they hold from the next request on.

        Raises:
            InvalidInput: there is no such account, or no role. ConflictError: nobody would be left who is an admin.
        """
        return self._change(self._known(name), "account_roles", by, roles=_some(roles))

    def set_password(self, name: str, password: str = "", *, by: str) -> tuple[Account, str]:
        """Set a password, or a machine's new secret, made here where none is given; sessions and tokens end.

        Raises:
            InvalidInput: there is no such account, it has none here, or it is too weak.
        """
        found = self._known(name)
        if found.kind is AccountKind.OIDC:
            raise InvalidInput("name", f"{found.name} signs in at the OpenID provider", "Change the password there")
        secret = password or secrets.token_urlsafe(32 if found.kind is AccountKind.CLIENT else 18)
        kept = self._hashed(found.name, secret)
        changed = self._change(found, "account_secret", by, secret=kept, generation=found.generation + 1)
        return changed, secret

    def disable(self, name: str, *, by: str, disabled: bool = True) -> Account:
        """Shut somebody out, or let them in again; sessions and signed tokens that were given out do not come back.

        Raises:
            InvalidInput: there is no such account. ConflictError: nobody would be left who is an admin.
        """
        found = self._known(name)
        status = "account_disabled" if disabled else "account_enabled"
        return self._change(found, status, by, disabled=disabled, generation=found.generation + 1)

    def rehash(self, account: Account, password: str) -> None:
        """Keep the hash of a password, just proved, at the cost of today; if somebody was faster, the next time."""
        try:
            self.accounts.change(account, account.model_copy(update={"secret": self.passwords.hashed(password)}))
        except ConflictError:
            return

    def give_token(
        self, owner: Account, label: str, scopes: Iterable[str], lasts: timedelta, *, by: Caller
    ) -> tuple[KeptToken, str]:
        """Make an API token and return it; the text is kept nowhere.

        Raises:
            InvalidInput: a scope is none, or more than the caller has; it lasts too long, or is already over; or it
                would make a person of a machine, as whom it could vote; or the account has as many as it may have.
        """
        if owner.is_person and by.person is None and by.via != "local":
            remedy = "Let it get its tokens where it got this one, or add a machine: `evercrew users add --machine`"
            raise InvalidInput("account", f"{by.name} is a machine of the OpenID provider", remedy)
        wanted = known_scopes(scopes)
        beyond = sorted(wanted - by.scopes) if by.scopes is not None else []
        if beyond:
            raise InvalidInput("scopes", f"you have no {', '.join(beyond)} yourself", "Ask for less")
        if not timedelta() < lasts <= _LONGEST_TOKEN:
            raise InvalidInput("lasts", "is no time a token could last", "Give days between 1 and 3650")
        if len(label) > 200:
            raise InvalidInput("label", "is longer than 200 characters", "Shorten it")
        identity, now = secrets.token_hex(6), self._clock.now()
        if sum(kept.lives(now) for kept in self.accounts.tokens(owner.name)) >= MOST_TOKENS:
            remedy = "Revoke one that is not needed: `evercrew tokens revoke`, or the page /access"
            raise InvalidInput("account", f"{owner.name} has {MOST_TOKENS} API tokens, which is all", remedy)
        text = f"{PREFIX}{identity}_{secrets.token_urlsafe(32)}"
        token = KeptToken(
            id=identity,
            digest=digest_of(text),
            account=same(owner.name),
            label=label,
            scopes=wanted,
            created_at=now,
            expires_at=now + lasts,
        )
        self._note("token_given", by.name, owner, {"token": identity, "scopes": sorted(wanted), "label": label})
        self.accounts.give(token)
        return token, text

    def revoke_token(self, token: KeptToken, *, by: str) -> KeptToken:
        """End an API token.

        Raises:
            InvalidInput: there is none of this identity.
        """
        self._note("token_revoked", by, None, {"token": token.id, "account": token.account})
        return self.accounts.revoke(token.id, self._clock.now())

    def note_sign_in(self, account: Account, how: str) -> None:
        """Put on record that somebody signed in."""
        self._note("signed_in", account.name, account, {"how": how})

    # -- helpers ------------------------------------------------------------------------------------------------------

    def _new(
        self,
        name: str,
        kind: AccountKind,
        roles: Iterable[AccessRole],
        by: str,
        password: str,
        scopes: frozenset[str] | None = None,
    ) -> Account:
        called = " ".join(name.split())
        if not called or len(called) > 200 or not called.isprintable():
            raise InvalidInput("name", "is empty, longer than 200 characters, or cannot be printed", "Use another one")
        try:
            People({called: Person(name=called)})
        except ConfigurationError as problem:
            raise InvalidInput("name", problem.problem, "Use the name of a person, or of the machine") from problem
        return Account(
            name=called,
            kind=kind,
            roles=_some(roles),
            secret=self._hashed(called, password) if password else "",
            scopes=scopes,
            created_at=self._clock.now(),
            created_by=by,
        )

    def _hashed(self, name: str, password: str) -> str:
        if not LEAST <= len(password) <= MOST or same(password) == same(name):
            raise InvalidInput("password", f"has fewer than {LEAST} characters, or is the name", "Choose a longer one")
        return self.passwords.hashed(password)

    def _known(self, name: str) -> Account:
        found = self.accounts.account(name)
        if found is None:
            raise no_such_account(name)
        return found

    def _change(self, before: Account, status: str, by: str, **fields: Any) -> Account:
        after = before.model_copy(update=fields)
        if leaves_nobody(before, after, self.accounts.accounts()):
            raise ConflictError(f"{before.name!r} is the last admin who can sign in; make another one first")
        return self._done(status, by, after, lambda: self.accounts.change(before, after))

    def _done(self, status: str, by: str, account: Account, change: Callable[[], _T]) -> _T:
        """Note a change and make it; one that was noted and failed is noted as that too."""
        self._note(status, by, account)
        try:
            return change()
        except EvercrewError as problem:
            self._note(f"{status}_failed", by, account, {"problem": str(problem)})
            raise

    def _note(self, status: str, by: str, account: Account | None, more: dict[str, Any] | None = None) -> None:
        body: dict[str, Any] = {}
        if account is not None:
            body = {
                "account": account.name,
                "kind": account.kind.value,
                "roles": sorted(role.value for role in account.roles),
                "disabled": account.disabled,
            }
        entry = AuditEntry(kind=RecordKind.NOTE, cycle_id="", actor=by, status=status, body={**body, **(more or {})})
        self._audit.append(entry)


def known_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """Return scopes as a set.

    Raises:
        InvalidInput: one is none, or there is none at all.
    """
    wanted = frozenset(scopes)
    known = {action.value for action in ApiAction}
    unknown = sorted(wanted - known)
    if unknown or not wanted:
        raise InvalidInput("scopes", f"{', '.join(unknown) or 'none'} is no scope", f"Use: {', '.join(sorted(known))}")
    return wanted


def known_roles(names: Iterable[str]) -> frozenset[AccessRole]:
    """Return roles by their names.

    Raises:
        InvalidInput: one is none.
    """
    known = {role.value for role in AccessRole}
    unknown = sorted(set(names) - known)
    if unknown:
        raise InvalidInput("roles", f"{', '.join(unknown)} is no role", f"Use: {', '.join(sorted(known))}")
    return frozenset(AccessRole(name) for name in names)


def _some(roles: Iterable[AccessRole]) -> frozenset[AccessRole]:
    wanted = frozenset(roles)
    if not wanted:
        raise InvalidInput("roles", "there is none", f"Use: {', '.join(role.value for role in AccessRole)}")
    return wanted
