"""An OpenID provider: what it says of itself, its keys, and whose word it gives.

OpenID Connect Core 1.0; RFC 7636 (PKCE), RFC 9207 (the issuer in the answer), RFC 8725.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from adapters.accounts.jwts import challenge_of, checked, header_of
from adapters.accounts.oidc_facts import FIELD, FITTING, NAME, THEIRS, ProviderFacts, object_in
from adapters.rest import Endpoint, RestClient
from domain.access import AccessRole, Unauthenticated
from domain.clock import Clock
from domain.errors import DependencyLied, InvalidInput

_MOST_BYTES = 256 * 1024


@dataclass(frozen=True)
class OidcClient:
    """Who we are at the provider, and what we make of what it says."""

    issuer: str
    client_id: str
    secret: str
    audience: str
    scopes: tuple[str, ...]
    name_claim: str
    groups_claim: str
    groups: Mapping[str, AccessRole]
    algorithms: tuple[str, ...]
    keys_last: timedelta


class Vouched(BaseModel):
    """Somebody the provider vouches for; `subject` is theirs for ever, the name may change.

    `scopes` is what an access token was made for, `machine` that it is a client's own and nobody's.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    subject: str
    roles: frozenset[AccessRole]
    scopes: frozenset[str] = frozenset()
    machine: bool = False


class Errand(BaseModel):
    """What has to be remembered between sending somebody to the provider and their coming back."""

    model_config = ConfigDict(frozen=True)

    state: str
    nonce: str
    verifier: str
    back_to: str
    redirect_uri: str


class OidcProvider:
    """Asks one provider; threads share it."""

    def __init__(self, client: OidcClient, endpoint: Endpoint, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._rest = RestClient(endpoint, name=NAME, field=FIELD, clock=clock, most_bytes=_MOST_BYTES)
        self._facts = ProviderFacts(client.issuer, self._rest, clock, client.keys_last)

    @property
    def issuer(self) -> str:
        """Who it is."""
        return self._client.issuer

    @property
    def takes_bearers(self) -> bool:
        """Whether its tokens are taken as bearer tokens."""
        return bool(self._client.audience)

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        return f"{self.issuer}: {len(self._facts.keys())} keys"

    def send(self, back_to: str, redirect_uri: str) -> tuple[str, Errand]:
        """Return where to send a browser, and what to remember of it.

        Raises:
            DependencyError: the provider does not say where.
        """
        errand = Errand(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            back_to=back_to,
            redirect_uri=redirect_uri,
        )
        asked = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self._client.scopes),
            "state": errand.state,
            "nonce": errand.nonce,
            "code_challenge": challenge_of(errand.verifier),
            "code_challenge_method": "S256",
        }
        place = self._facts.about().authorization_endpoint
        return f"{place}{'&' if urlsplit(place).query else '?'}{urlencode(asked)}", errand

    def came_back(self, errand: Errand, answer: Mapping[str, str]) -> Vouched:
        """Return who came back from the provider, by the code in its answer.

        Raises:
            Unauthenticated: the answer is not to this errand, the provider refused, or its token does not hold.
            DependencyError: the provider does not answer.
        """
        if not _same(answer.get("state", ""), errand.state):
            raise Unauthenticated("the answer is not to what this browser asked")
        if answer.get("iss", self.issuer) != self.issuer:
            raise Unauthenticated("the answer is of another provider")
        if "error" in answer or not answer.get("code"):
            raise Unauthenticated("the provider did not let you in")
        token = self._exchanged(errand, answer["code"])
        said = self._verified(token, audience=self._client.client_id)
        nonce = said.get("nonce")
        if not isinstance(nonce, str) or not _same(nonce, errand.nonce):
            raise Unauthenticated("the provider's token is of another errand")
        audience = said["aud"]
        several = isinstance(audience, list) and len(audience) > 1
        if said.get("azp", self._client.client_id) != self._client.client_id or (several and "azp" not in said):
            raise Unauthenticated("the provider's token was made for another client")
        return self._vouched(said)

    def bearer(self, token: str) -> Vouched:
        """Return whose access token of the provider this is.

        Raises:
            Unauthenticated: it does not hold, or is no access token for us. DependencyError: keys cannot be had.
        """
        if not self.takes_bearers:
            raise Unauthenticated("tokens of the provider are no bearer tokens here")
        kind = str(header_of(token).get("typ", "")).lower().removeprefix("application/")
        said = self._verified(token, audience=self._client.audience)
        if kind not in ("at+jwt", "jwt", "") or "nonce" in said:
            raise Unauthenticated("the provider's token is no access token")
        scope = said.get("scope")
        scopes = frozenset(scope.split()) if isinstance(scope, str) else frozenset()
        machine = said["sub"] in (said.get("client_id"), said.get("azp"))
        return self._vouched(said).model_copy(update={"scopes": scopes, "machine": machine})

    # -- helpers ------------------------------------------------------------------------------------------------------

    def _exchanged(self, errand: Errand, code: str) -> str:
        about, client = self._facts.about(), self._client
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": errand.redirect_uri,
            "client_id": client.client_id,
            "code_verifier": errand.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if client.secret and about.secret_in_form:
            form["client_secret"] = client.secret
        elif client.secret:
            shown = f"{quote_plus(client.client_id)}:{quote_plus(client.secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(shown.encode()).decode()}"
        try:
            content = urlencode(form).encode()
            answered = self._rest.text("POST", about.token_endpoint, content=content, headers=headers)
        except InvalidInput as error:
            raise Unauthenticated("the provider does not take the code") from error
        token = object_in(answered, "the answer of the token endpoint").get("id_token")
        if not isinstance(token, str):
            raise DependencyLied(NAME, "it answered a code without an id_token", f"Check {FIELD}.scopes")
        return token

    def _verified(self, token: str, *, audience: str) -> dict[str, Any]:
        import jwt

        header = header_of(token)
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in self._client.algorithms:
            raise Unauthenticated("the token is signed by an algorithm that is not trusted here")
        key = self._facts.key(key_id)
        if algorithm not in FITTING.get(str(key.get("kty")), ()) or key.get("alg", algorithm) != algorithm:
            raise Unauthenticated("the token is signed by another algorithm than its key is for")
        try:
            public = jwt.PyJWK.from_dict(key, algorithm=str(algorithm)).key
        except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
            raise DependencyLied(NAME, "one of its keys cannot be read", THEIRS) from error
        now = self._clock.now()
        return checked(token, public, (str(algorithm),), issuer=self.issuer, audience=audience, now=now)

    def _vouched(self, said: Mapping[str, Any]) -> Vouched:
        groups = said.get(self._client.groups_claim)
        held = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
        known = self._client.groups
        roles = frozenset(known[group] for group in held if isinstance(group, str) and group in known)
        if not roles:
            raise Unauthenticated("you are in none of the groups that may come in")
        name = said.get(self._client.name_claim)
        if not isinstance(name, str) or not name.strip():
            raise Unauthenticated(f"the provider does not say your {self._client.name_claim}")
        return Vouched(name=name.strip()[:200], subject=f"{self.issuer} {said['sub']}"[:600], roles=roles)


def _same(given: str, ours: str) -> bool:
    """Whether two texts are the same, in the time that takes for any; what is given may be any text at all."""
    return hmac.compare_digest(given.encode(errors="replace"), ours.encode())


def provider_of(client: OidcClient, *, ca: Any, timeout: timedelta, clock: Clock) -> OidcProvider:
    """Return the provider; nothing is asked yet.

    Raises:
        ConfigurationError: the file of certificates cannot be read.
    """
    endpoint = Endpoint(url=client.issuer, ca=ca, timeout=timeout, token=None, password=SecretStr(""))
    return OidcProvider(client, endpoint, clock)
