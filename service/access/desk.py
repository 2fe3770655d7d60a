"""The desk where it is decided who may use the service for what, by the policy set in force."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from domain.access import AccessRequest, ApiAction, Caller
from domain.clock import Clock
from domain.decision import Decision
from service.access.credentials import Credentials
from service.access.keeper import Keeper
from service.access.throttle import Throttle
from service.access_sections import AccessConfig, OidcConfig

if TYPE_CHECKING:
    from adapters.accounts.base import AccountsPort
    from adapters.accounts.keys import AccessKeys
    from adapters.accounts.oidc import OidcProvider
    from adapters.accounts.passwords import Passwords
    from adapters.audit.base import AuditPort
    from adapters.database import Database
    from policies.access import AccessPoint
    from service.config import Config
    from service.settings import Settings

ISSUER = "evercrew"


@dataclass(frozen=True)
class Access:
    """Everything about who may use the service.

    `keeper` changes accounts, `credentials` knows callers, `keys` sign tokens and keep what a client carries for us.
    """

    accounts: AccountsPort
    keeper: Keeper
    credentials: Credentials
    policies: AccessPoint
    environment: str
    section: AccessConfig
    keys: AccessKeys

    def secrets(self) -> list[bytes]:
        """Return what texts are sealed under that a client carries for us, the present one first.

        Raises:
            ConfigurationError: the keys cannot be read.
        """
        return [key.secret for key in self.keys.valid()]

    def allowed(self, caller: Caller, action: ApiAction) -> Decision:
        """Answer, by the policy set in force, whether a caller may ask for something; never raises.

        No answer, or an error, is a deny; the answer names the policies that made it.
        """
        return self.policies.permits(AccessRequest(caller=caller, action=action, environment=self.environment))

    def first_admin(self) -> str | None:
        """Make the first admin when there is no account at all; returns the password, once, to whoever started it.

        Raises:
            AuditUnavailable, DependencyError: it could not be put on record, or kept.
        """
        return self.keeper.first()

    def close(self) -> None:
        """Close what is open."""
        if self.credentials.oidc is not None:
            self.credentials.oidc.close()


def access_of(
    database: Database,
    policies: AccessPoint,
    settings: Settings,
    config: Config,
    clock: Clock,
    audit: AuditPort,
    *,
    passwords: Passwords | None = None,
) -> Access:
    """Return the desk on a database; `passwords` says what a hash costs, where it is not the usual.

    Raises:
        ConfigurationError: the key, or section `access`, cannot be used.
    """
    from adapters.accounts.keys import access_keys
    from adapters.accounts.sqlalchemy import SqlAccounts

    return access_on(
        SqlAccounts(database),
        policies,
        config.access,
        clock,
        audit,
        environment=config.environment,
        keys=access_keys(config.state, clock, settings.access_key, settings.access_key_previous),
        oidc=oidc_of(config.access.oidc, settings.access_oidc_secret, clock),
        passwords=passwords,
    )


def access_on(
    accounts: AccountsPort,
    policies: AccessPoint,
    section: AccessConfig,
    clock: Clock,
    audit: AuditPort,
    *,
    environment: str,
    keys: AccessKeys,
    oidc: OidcProvider | None = None,
    passwords: Passwords | None = None,
) -> Access:
    """Return the desk on accounts that are there."""
    from adapters.accounts.jwts import SignedTokens
    from adapters.accounts.passwords import Passwords as Usual

    keeper = Keeper(accounts, audit, clock, passwords or Usual())
    signed = SignedTokens(keys, clock, issuer=f"{ISSUER}/{environment}")
    throttle = Throttle(accounts, clock, section.throttle)
    credentials = Credentials(keeper, throttle, signed, clock, section, oidc)
    return Access(accounts, keeper, credentials, policies, environment, section, keys)


def oidc_of(section: OidcConfig | None, secret: str, clock: Clock) -> OidcProvider | None:
    """Return the OpenID provider of the configuration, or None.

    Raises:
        ConfigurationError: its file of certificates cannot be read.
    """
    if section is None:
        return None
    from adapters.accounts.oidc import OidcClient, provider_of

    client = OidcClient(
        issuer=section.issuer,
        client_id=section.client_id,
        secret=secret,
        audience=section.audience,
        scopes=section.scopes,
        name_claim=section.name_claim,
        groups_claim=section.groups_claim,
        groups=section.groups,
        algorithms=section.algorithms,
        keys_last=timedelta(seconds=section.keys_last_s),
    )
    return provider_of(client, ca=section.ca, timeout=timedelta(seconds=section.timeout_s), clock=clock)
