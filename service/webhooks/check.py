"""One line for `doctor` about senders of alerts: what they can prove themselves by, and whether TLS would begin."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from cycles.bodies import Form
from domain.errors import ConfigurationError

if TYPE_CHECKING:
    from service.wiring import App


def serve_check(app: App) -> str:
    """Return how `evercrew serve` would take alerts.

    Raises:
        ConfigurationError: an endpoint wants what no secret is set for, or the certificate cannot be used.
    """
    settings, config = app.settings, app.config.serve
    there = {"bearer": bool(settings.webhook_token), "signature": bool(settings.webhook_secret)}
    if not any(there.values()):
        return "no secret of senders is set: `evercrew serve` would take no alerts (EVERCREW_WEBHOOK_TOKEN)"
    said = []
    for form in Form:
        auth = getattr(config.webhooks, form.value).auth
        if auth != "either" and not there[auth]:
            name = "EVERCREW_WEBHOOK_TOKEN" if auth == "bearer" else "EVERCREW_WEBHOOK_SECRET"
            raise ConfigurationError(f"serve.webhooks.{form.value}.auth", f"wants a {auth}", f"Set {name}")
        by = [way for way, set_ in there.items() if set_ and auth in (way, "either")]
        said.append(f"{form.value} by {' or '.join(by)}")
    return f"{', '.join(said)}; {_tls(app)}"


def _tls(app: App) -> str:
    tls = app.config.serve.tls
    if tls is None:
        return "without TLS of its own"
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(tls.cert, tls.key, password="")
    except (OSError, ValueError) as problem:
        remedy = "Name PEM files that this user may read; the key has no passphrase"
        raise ConfigurationError("serve.tls", f"cannot be used: {problem}", remedy) from None
    return f"TLS by {tls.cert.name}"
