"""What an OpenID provider says of itself, and its keys: fetched when they are needed, and kept for a while.

A key nobody knows makes us ask again, once in a minute at most; a provider that fails is left alone for a moment,
whoever wants to be known meanwhile. OpenID Connect Discovery 1.0; RFC 7517.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from adapters.rest import RestClient
from domain.access import Unauthenticated
from domain.clock import Clock
from domain.errors import ConflictError, DependencyError, DependencyLied, DependencyUnavailable, InvalidInput

NAME = "oidc"
FIELD = "access.oidc"
THEIRS = "Ask who runs the provider"
# The algorithms that a kind of key can be for; a kind that is not here is never used.
FITTING: Mapping[str, tuple[str, ...]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
_MOST_KEYS = 50
_AGAIN_AFTER = timedelta(minutes=1)
_REST = timedelta(seconds=5)
_DISCOVERY = "/.well-known/openid-configuration"


@dataclass(frozen=True)
class About:
    """Where a provider wants to be asked for what."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    secret_in_form: bool


class ProviderFacts:
    """Description and keys of one provider; threads share it."""

    def __init__(self, issuer: str, rest: RestClient, clock: Clock, keys_last: timedelta) -> None:
        self._issuer = issuer
        self._client = rest
        self._clock = clock
        self._keys_last = keys_last
        self._lock = threading.Lock()
        self._about: tuple[datetime, About] | None = None
        self._keys: tuple[datetime, dict[str, dict[str, Any]]] | None = None
        self._failed: tuple[datetime, DependencyError] | None = None

    def about(self) -> About:
        """Return what the provider says of itself.

        Raises:
            DependencyError: it does not answer, or says that it is another.
        """
        with self._lock:
            return self._described()

    def key(self, key_id: object) -> dict[str, Any]:
        """Return the public key of a name.

        Raises:
            Unauthenticated: there is none. DependencyError: keys cannot be had.
        """
        if not isinstance(key_id, str) or not key_id:
            raise Unauthenticated("the token does not name its key")
        found = self.keys().get(key_id) or self.keys(unknown=True).get(key_id)
        if found is None:
            raise Unauthenticated("the token names a key the provider does not have")
        return found

    def keys(self, *, unknown: bool = False) -> dict[str, dict[str, Any]]:
        """Return the keys by name, anew where they are old, or where one is asked for that is `unknown`.

        Raises:
            DependencyError: they cannot be had.
        """
        now = self._clock.now()
        with self._lock:
            last = _AGAIN_AFTER if unknown else self._keys_last
            if self._keys is not None and now - self._keys[0] < last:
                return self._keys[1]
            found = self._fetched(self._described().jwks_uri, "its keys").get("keys")
            if not isinstance(found, list) or len(found) > _MOST_KEYS:
                raise DependencyLied(NAME, "its keys are no list, or too many", THEIRS)
            usable = [k for k in found if isinstance(k, dict) and k.get("use", "sig") == "sig" and "d" not in k]
            keys = {str(k["kid"]): k for k in usable if k.get("kid") and k.get("kty") in FITTING}
            self._keys = (now, keys)
            return keys

    def _described(self) -> About:
        """Return what the provider says of itself; the caller holds the lock."""
        now = self._clock.now()
        if self._about is not None and now - self._about[0] < self._keys_last:
            return self._about[1]
        said = self._fetched(f"{self._issuer.rstrip('/')}{_DISCOVERY}", "its description")
        if said.get("issuer") != self._issuer:
            remedy = f"Write {FIELD}.issuer exactly as the provider does"
            raise DependencyLied(NAME, "it says that it is another issuer", remedy)
        methods = said.get("token_endpoint_auth_methods_supported")
        about = About(
            authorization_endpoint=self._place(said, "authorization_endpoint"),
            token_endpoint=self._place(said, "token_endpoint"),
            jwks_uri=self._place(said, "jwks_uri"),
            secret_in_form=isinstance(methods, list) and "client_secret_basic" not in methods,
        )
        self._about = (now, about)
        return about

    def _place(self, said: Mapping[str, Any], name: str) -> str:
        place = str(said.get(name, ""))
        try:
            parts = urlsplit(place)
        except ValueError:
            parts = urlsplit("")
        if not parts.netloc or parts.scheme not in {"https", urlsplit(self._issuer).scheme}:
            raise DependencyLied(NAME, f"its {name} is no address, or not safe", THEIRS)
        return place

    def _fetched(self, place: str, what: str) -> dict[str, Any]:
        """Return an object; after a failure the provider is left alone for a moment, whoever wants to be known."""
        now = self._clock.now()
        if self._failed is not None and now - self._failed[0] < _REST:
            raise DependencyUnavailable(NAME, self._failed[1].problem, self._failed[1].remedy)
        try:
            return object_in(self._client.text("GET", place), what)
        except DependencyError as problem:
            self._failed = (now, problem)
            raise
        except (InvalidInput, ConflictError) as problem:
            raise DependencyLied(NAME, f"{what} cannot be had: {problem}", f"Check {FIELD}.issuer") from problem


def object_in(text: str, what: str) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        DependencyLied: it is none.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DependencyLied(NAME, f"{what} is not JSON", f"Check {FIELD}.issuer") from error
    if not isinstance(found, dict):
        raise DependencyLied(NAME, f"{what} is no object", f"Check {FIELD}.issuer")
    return found
