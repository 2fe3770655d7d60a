"""What somebody shows to be known: a password or a machine's secret, a session's cookie, a token.

Whatever is shown, the account is read now: who was shut out, or lost a role, has lost it with the next request.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from adapters.accounts.base import Account, AccountKind, AccountsPort, KeptSession
from adapters.accounts.jwts import Claims, SignedTokens, issuer_of
from adapters.accounts.oidc import OidcProvider
from domain.access import ApiAction, Caller, TooManyAttempts, Unauthenticated, Via
from domain.clock import Clock
from domain.errors import ConflictError, InvalidInput
from domain.people import same
from service.access.keeper import PREFIX, Keeper, digest_of, known_scopes
from service.access.throttle import Throttle
from service.access_sections import AccessConfig

# A hash takes 64 MiB: so many are made at once, and whoever comes then waits, this long at most.
_HASHES_AT_ONCE = 4
_PATIENCE = timedelta(seconds=5)
# A use of a token or a session is written down once in this time.
_NOTED_EVERY = timedelta(minutes=1)
_PRUNED_EVERY = timedelta(minutes=10)
_EVERY_SCOPE = frozenset(action.value for action in ApiAction)


class Credentials:
    """Knows people and machines by what they show; raises a DependencyError when that cannot be found out."""

    def __init__(
        self,
        keeper: Keeper,
        throttle: Throttle,
        signed: SignedTokens,
        clock: Clock,
        section: AccessConfig,
        oidc: OidcProvider | None = None,
    ) -> None:
        self.keeper = keeper
        self.oidc = oidc
        self._accounts: AccountsPort = keeper.accounts
        self._throttle = throttle
        self._signed = signed
        self._clock = clock
        self._section = section
        self._next_prune = float("-inf")
        self._hashing = threading.BoundedSemaphore(_HASHES_AT_ONCE)

    # -- secrets ------------------------------------------------------------------------------------------------------

    def proved(self, name: str, secret: str, address: str, *, machine: bool = False) -> Account:
        """Return the account of a name, where the secret is its own.

        Raises:
            Unauthenticated: it is not, or there is no such account; which of them is not said, and takes as long.
            TooManyAttempts: there were too many before.
        """
        self._prune_now_and_then()
        self._throttle.attempt(name, address)
        # What cannot be printed is no name, and not every database takes it as one.
        found = self._accounts.account(name) if name.isprintable() else None
        kind = AccountKind.CLIENT if machine else AccountKind.LOCAL
        kept = found.secret if found is not None and found.kind is kind else ""
        with self._one_hash():
            fits = self.keeper.passwords.fits(kept, secret[:2048])
        if found is None or not fits or found.disabled:
            self._throttle.failed(address)
            raise Unauthenticated("name and secret do not fit")
        self._throttle.succeeded(name)
        if self.keeper.passwords.outdated(kept):
            with self._one_hash():
                self.keeper.rehash(found, secret)
        return found

    @contextmanager
    def _one_hash(self) -> Iterator[None]:
        if not self._hashing.acquire(timeout=_PATIENCE.total_seconds()):
            raise TooManyAttempts(_PATIENCE)
        try:
            yield
        finally:
            self._hashing.release()

    # -- tokens -------------------------------------------------------------------------------------------------------

    def token_for(self, account: Account, wanted: frozenset[str] | None) -> tuple[str, Claims]:
        """Return a signed token for an account, for the scopes that were asked for (None: all it may have).

        Raises:
            InvalidInput: a scope is none, or more than the account may have.
        """
        most = account.scopes if account.scopes is not None else _EVERY_SCOPE
        scopes = most if wanted is None else known_scopes(wanted)
        if not scopes <= most:
            problem = f"{account.name} may not have {', '.join(sorted(scopes - most))}"
            raise InvalidInput("scope", problem, f"Ask for some of: {', '.join(sorted(most))}")
        lasts = timedelta(minutes=self._section.token_minutes)
        return self._signed.made(account.name, scopes, account.generation, lasts)

    def bearer(self, token: str) -> Caller:
        """Return who shows a bearer token: an API token, a signed one of ours, or one of the OpenID provider.

        Raises:
            Unauthenticated: it opens nothing.
        """
        if token.startswith(PREFIX):
            return self._by_api_token(token)
        if self.oidc is not None and self.oidc.takes_bearers and issuer_of(token) == self.oidc.issuer:
            return self._by_provider(token)
        claims = self._signed.read(token)
        if self._accounts.barred(claims.identity):
            raise Unauthenticated("the token was revoked")
        account = self._living(claims.subject, claims.generation)
        return caller_of(account, "jwt", claims.scopes & (account.scopes or _EVERY_SCOPE))

    def revoke(self, token: str, by: Caller) -> bool:
        """End a token of one's own before its time, and say whether there was one (RFC 7009 does not tell the client).

        Raises:
            AuditUnavailable: it could not be put on record.
        """
        try:
            if token.startswith(PREFIX):
                kept = self._accounts.token(digest_of(token))
                if kept is None or kept.account != same(by.name):
                    return False
                self.keeper.revoke_token(kept, by=by.name)
                return True
            claims = self._signed.read(token)
        except Unauthenticated:
            return False
        if claims.subject != by.name:
            return False
        self._accounts.bar(claims.identity, claims.expires_at + timedelta(minutes=5))
        return True

    def _by_api_token(self, text: str) -> Caller:
        now = self._clock.now()
        kept = self._accounts.token(digest_of(text))
        if kept is None or not kept.lives(now):
            raise Unauthenticated("the token is not known, over or revoked")
        account = self._living(kept.account)
        if kept.used_at is None or now - kept.used_at >= _NOTED_EVERY:
            self._accounts.used(kept.digest, now)
        return caller_of(account, "token", kept.scopes & (account.scopes or _EVERY_SCOPE))

    def _by_provider(self, token: str) -> Caller:
        assert self.oidc is not None
        who = self.oidc.bearer(token)
        try:
            account = self.keeper.vouched_for(who.name, who.roles, who.subject)
        except (ConflictError, InvalidInput) as problem:
            raise Unauthenticated("the name in the token cannot be an account here") from problem
        if account.disabled:
            raise Unauthenticated("the account is disabled")
        caller = caller_of(account.model_copy(update={"roles": who.roles}), "jwt", (who.scopes & _EVERY_SCOPE) or None)
        return caller.model_copy(update={"person": None}) if who.machine else caller

    def _living(self, name: str, generation: int | None = None) -> Account:
        account = self._accounts.account(name)
        if account is None or account.disabled or generation not in (None, account.generation):
            raise Unauthenticated("the account is disabled, or its secret was changed since")
        return account

    # -- sessions -----------------------------------------------------------------------------------------------------

    def begin(self, account: Account, how: str) -> str:
        """Begin a session, which is put on record, and return its cookie; it is kept nowhere.

        Raises:
            AuditUnavailable: it could not be put on record.
        """
        cookie, now = secrets.token_urlsafe(32), self._clock.now()
        self.keeper.note_sign_in(account, how)
        session = KeptSession(
            digest=digest_of(cookie),
            account=account.name,
            generation=account.generation,
            opened_at=now,
            seen_at=now,
            expires_at=now + timedelta(hours=self._section.session_hours),
            how=how,
        )
        self._accounts.open(session)
        return cookie

    def session(self, cookie: str) -> Caller:
        """Return whose session a cookie is of.

        Raises:
            Unauthenticated: it is over, was not used for too long, or never was.
        """
        now = self._clock.now()
        kept = self._accounts.session(digest_of(cookie))
        if kept is None or now >= kept.expires_at or now - kept.seen_at >= self._idle:
            raise Unauthenticated("the session is over")
        account = self._living(kept.account, kept.generation)
        if now - kept.seen_at >= min(_NOTED_EVERY, self._idle / 4):
            self._accounts.seen(kept.digest, now)
        return caller_of(account, "session", None)

    def end(self, cookie: str) -> None:
        """End a session."""
        self._accounts.close(digest_of(cookie))

    def prune(self) -> int:
        """Delete what is over, and return how many rows that was."""
        now = self._clock.now()
        forget = timedelta(seconds=self._section.throttle.forget_after_s)
        return self._accounts.prune(now=now, idle_before=now - self._idle, failed_before=now - forget)

    def _prune_now_and_then(self) -> None:
        """Once in ten minutes, on the back of an attempt: whoever tries many names does not fill the table."""
        now = self._clock.monotonic()
        if now >= self._next_prune:
            self._next_prune = now + _PRUNED_EVERY.total_seconds()
            self.prune()

    @property
    def _idle(self) -> timedelta:
        return timedelta(minutes=self._section.session_idle_minutes)


def caller_of(account: Account, via: Via, scopes: frozenset[str] | None) -> Caller:
    """Return the caller an account is."""
    person = account.name if account.is_person else None
    return Caller(name=account.name, roles=account.roles, scopes=scopes, via=via, person=person)


def csrf_of(cookie: str) -> str:
    """Return the token that only a page of ours, shown to the holder of this cookie, can know."""
    return hmac.new(cookie.encode(), b"evercrew csrf", hashlib.sha256).hexdigest()
