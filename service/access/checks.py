"""What `doctor` says of who may use the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import ConfigurationError

if TYPE_CHECKING:
    from service.wiring import App


def access_check(app: App) -> str:
    """Return in a line who may sign in, and how.

    Raises:
        ConfigurationError: the key cannot be used, or there are accounts and none of them is an admin.
        DependencyError: the accounts or the OpenID provider cannot be asked.
    """
    from adapters.accounts.keys import KEY, access_keys
    from service.access.desk import oidc_of
    from service.vendors import accounts_of

    accounts = accounts_of(app.database)
    said = [accounts.check()]
    known = accounts.accounts()
    if known and not any(account.runs_the_place for account in known):
        remedy = "Run `evercrew users roles NAME --role admin`, or `evercrew users add`"
        raise ConfigurationError("access", "nobody is an admin who can sign in", remedy)
    if app.settings.access_key or (app.config.state / KEY).exists():
        keys = access_keys(app.config.state, app.clock, app.settings.access_key, app.settings.access_key_previous)
        said.append("the key of tokens is there" + (", and the one before" if len(keys.valid()) > 1 else ""))
    else:
        said.append("`evercrew serve` makes the key of tokens")
    provider = oidc_of(app.config.access.oidc, app.settings.access_oidc_secret, app.clock)
    if provider is not None:
        try:
            said.append(provider.check())
        finally:
            provider.close()
    return "; ".join(said)
