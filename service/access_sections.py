"""Section `access` of `evercrew.yaml`: how long what is given out lasts, how failed attempts are slowed down, and the
OpenID provider whose word is taken.

Secrets are settings: EVERCREW_ACCESS_KEY signs tokens, EVERCREW_ACCESS_OIDC_SECRET is that of the client at the
provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from domain.access import AccessRole
from service.sections import URL, Section

_HERE = frozenset({"127.0.0.1", "::1", "localhost"})


class ThrottleConfig(Section):
    """How failed attempts are slowed down: after so many in a row each costs a wait that doubles up to the longest."""

    free_per_account: int = Field(default=5, ge=1, le=100)
    free_per_address: int = Field(default=20, ge=1, le=10_000)
    first_wait_s: float = Field(default=2, gt=0, le=60)
    longest_wait_s: float = Field(default=300, gt=0, le=86_400)
    forget_after_s: float = Field(default=3600, gt=0)


class OidcConfig(Section):
    """An OpenID provider, by its issuer, which answers under `/.well-known/openid-configuration`.

    `audience` is what a bearer token of the provider has to be for; without one, its tokens are no bearer tokens here.
    `groups` gives roles by the values of the claim `groups_claim`; who is in none of them may not come in. `name_claim`
    is what the account is called.
    """

    issuer: str = Field(pattern=URL)
    client_id: str = Field(min_length=1)
    audience: str = ""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    groups: Mapping[str, AccessRole] = Field(min_length=1)
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    ca: Path | None = None
    timeout_s: float = Field(default=10, gt=0, le=60)
    keys_last_s: float = Field(default=600, ge=10, le=86_400)

    @model_validator(mode="after")
    def _safe(self) -> Self:
        parts = urlsplit(self.issuer)
        if parts.scheme != "https" and (parts.hostname or "") not in _HERE:
            raise ValueError("issuer: use https, or what is meant to be secret is not")
        weak = [name for name in self.algorithms if name == "none" or name.startswith("HS")]
        if weak or not self.algorithms:
            raise ValueError(f"algorithms: {', '.join(weak) or 'none'} cannot be trusted; use e.g. RS256")
        if "openid" not in self.scopes:
            raise ValueError("scopes: openid has to be among them")
        return self


class AccessConfig(Section):
    """Who may use the service. A token lasts minutes, a session hours, an API token days."""

    token_minutes: float = Field(default=30, gt=0, le=24 * 60)
    session_hours: float = Field(default=12, gt=0, le=30 * 24)
    session_idle_minutes: float = Field(default=60, gt=0, le=30 * 24 * 60)
    api_token_days: float = Field(default=90, gt=0, le=3650)
    throttle: ThrottleConfig = ThrottleConfig()
    oidc: OidcConfig | None = None
