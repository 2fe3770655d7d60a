"""The requests session that prometheus-api-client speaks through: credentials, TLS and retries of an endpoint."""

from __future__ import annotations

import ssl
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from adapters.rest import Endpoint, tls_context

_AGAIN = (429, 502, 503, 504)


def session_of(endpoint: Endpoint, field: str) -> requests.Session:
    """Return a session that sends the endpoint's credentials and trusts what it names, and nothing of the environment.

    Raises:
        ConfigurationError: a certificate's file cannot be used; names the field.
    """
    session = requests.Session()
    session.trust_env = False
    session.verify = endpoint.verify
    if endpoint.token is not None:
        session.headers["Authorization"] = f"Bearer {endpoint.token.get_secret_value()}"
    elif endpoint.username:
        session.auth = (endpoint.username, endpoint.password.get_secret_value() if endpoint.password else "")
    context = tls_context(endpoint, field)
    session.mount("https://", _Tls(context if isinstance(context, ssl.SSLContext) else None, endpoint))
    session.mount("http://", HTTPAdapter(max_retries=_retry(endpoint)))
    return session


class _Tls(HTTPAdapter):
    """Connections with a TLS context of ours: its authorities besides those that are known, and the client's own."""

    def __init__(self, context: ssl.SSLContext | None, endpoint: Endpoint) -> None:
        self._context = context
        super().__init__(max_retries=_retry(endpoint))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        if self._context is not None:
            kwargs["ssl_context"] = self._context
        super().init_poolmanager(*args, **kwargs)


def _retry(endpoint: Endpoint) -> Retry:
    """A connection that fails, and an answer that says to come back, are tried again; a slow answer is not."""
    again = endpoint.attempts - 1
    return Retry(
        total=again,
        connect=again,
        read=False,
        status=again,
        status_forcelist=_AGAIN,
        backoff_factor=0.1,
        raise_on_status=False,
    )
