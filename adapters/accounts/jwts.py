"""Signed tokens of our own (JWT), and those of an OpenID provider, checked against a fixed list of algorithms.

RFC 7519; RFC 9068 for what an access token says; RFC 8725 for what to refuse: any algorithm but those expected, keys
that come with the token, `crit`, a token of another kind. Times are compared by our clock, and only whole numbers are
times.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from domain.access import Unauthenticated
from domain.clock import Clock

if TYPE_CHECKING:
    from jwt.types import Options

    from adapters.accounts.keys import AccessKeys

MOST_CHARACTERS = 8192
LEEWAY = timedelta(seconds=30)
OURS = ("EdDSA",)
KIND = "at+jwt"
AUDIENCE = "evercrew-api"
_NEVER_IN_A_HEADER = ("crit", "jku", "jwk", "x5u", "x5c", "b64")
_TIMES = ("exp", "nbf", "iat")


class Claims(BaseModel):
    """What a token of our own says: whose it is, for what, and which generation of the account it was made for."""

    model_config = ConfigDict(frozen=True)

    subject: str
    scopes: frozenset[str]
    generation: int
    identity: str
    issued_at: datetime
    expires_at: datetime


class SignedTokens:
    """Makes tokens under an Ed25519 key, and checks them under that or the one before; `issuer` is who says so."""

    def __init__(self, keys: AccessKeys, clock: Clock, *, issuer: str) -> None:
        self._keys = keys
        self._clock = clock
        self._issuer = issuer

    def made(self, subject: str, scopes: frozenset[str], generation: int, lasts: timedelta) -> tuple[str, Claims]:
        """Return a token, and what it says."""
        import jwt

        key, now = self._keys.valid()[0], self._clock.now().replace(microsecond=0)
        claims = Claims(
            subject=subject,
            scopes=scopes,
            generation=generation,
            identity=secrets.token_hex(16),
            issued_at=now,
            expires_at=now + lasts,
        )
        body = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": subject,
            "scope": " ".join(sorted(scopes)),
            "gen": generation,
            "jti": claims.identity,
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int(claims.expires_at.timestamp()),
        }
        text = jwt.encode(body, key.private, algorithm=OURS[0], headers={"typ": KIND, "kid": key.id})
        return text, claims

    def read(self, token: str) -> Claims:
        """Return what a token says.

        Raises:
            Unauthenticated: it is none of ours, altered, over, not begun, or meant for somebody else.
        """
        header = header_of(token)
        if header.get("typ") != KIND:
            raise Unauthenticated("the token is no access token")
        named = next((key for key in self._keys.valid() if key.id == header.get("kid")), None)
        if named is None:
            raise Unauthenticated("the token names a key that is not ours, or not any more")
        public = named.private.public_key()
        said = checked(token, public, OURS, issuer=self._issuer, audience=AUDIENCE, now=self._clock.now())
        scope, generation, identity = said.get("scope"), said.get("gen"), said.get("jti")
        whole = isinstance(generation, int) and not isinstance(generation, bool)
        if not isinstance(scope, str) or not whole or not isinstance(identity, str) or not identity:
            raise Unauthenticated("the token does not say what it is for")
        return Claims(
            subject=said["sub"],
            scopes=frozenset(scope.split()),
            generation=int(str(generation)),
            identity=identity,
            issued_at=_time(said["iat"]),
            expires_at=_time(said["exp"]),
        )


def header_of(token: str) -> Mapping[str, Any]:
    """Return the header of a token, of which nothing is proved yet.

    Raises:
        Unauthenticated: it is none, too long, or tells us how it wants to be checked.
    """
    import jwt

    if len(token) > MOST_CHARACTERS:
        raise Unauthenticated(f"the token has more than {MOST_CHARACTERS} characters")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, ValueError, TypeError) as error:
        raise Unauthenticated("the token cannot be read") from error
    if any(name in header for name in _NEVER_IN_A_HEADER):
        raise Unauthenticated("the token says how it is to be checked, which is not up to it")
    return header


def issuer_of(token: str) -> str:
    """Return who a token says it is of, which is not proved; empty where it does not say."""
    import jwt

    header_of(token)
    try:
        said = jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, TypeError) as error:
        raise Unauthenticated("the token cannot be read") from error
    issuer = said.get("iss")
    return issuer if isinstance(issuer, str) else ""


def checked(
    token: str, key: Any, algorithms: Sequence[str], *, issuer: str, audience: str, now: datetime
) -> dict[str, Any]:
    """Return the claims of a token under exactly this key.

    Raises:
        Unauthenticated: see `SignedTokens.read`; the message does not say more than the sender may know.
    """
    import jwt

    options: Options = {
        "require": ["iss", "aud", "sub", "iat", "exp"],
        "verify_exp": False,
        "verify_nbf": False,
        "verify_iat": False,
    }
    try:
        said = jwt.decode(token, key, list(algorithms), options, audience=audience, issuer=issuer)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        raise Unauthenticated(_WORDS.get(type(error).__name__, "the token is not signed by whom we trust")) from error
    if not isinstance(said.get("sub"), str) or not said["sub"]:
        raise Unauthenticated("the token does not say whose it is")
    _in_time(said, now)
    return dict(said)


_WORDS = {
    "InvalidAudienceError": "the token is meant for somebody else",
    "InvalidIssuerError": "the token is of another issuer",
    "MissingRequiredClaimError": "the token does not say all that it has to",
}


def _in_time(said: Mapping[str, Any], now: datetime) -> None:
    for name in _TIMES:
        value = said.get(name)
        if name == "nbf" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
            raise Unauthenticated(f"{name} of the token is no time")
    if now >= _time(said["exp"]) + LEEWAY:
        raise Unauthenticated("the token is over")
    if now + LEEWAY < max(_time(said["iat"]), _time(said.get("nbf", said["iat"]))):
        raise Unauthenticated("the token does not hold yet")


def _time(value: float) -> datetime:
    return datetime.fromtimestamp(value, UTC)


def challenge_of(verifier: str) -> str:
    """Return the PKCE challenge of a verifier (S256, RFC 7636)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
