"""One HTTP client for the adapters of REST services: authentication, TLS, timeouts, safe retries and clear errors.

Reads (GET, HEAD) are tried again when the connection fails, the answer is late or the service says 429, 502, 503, 504;
a request that changes something is sent once, unless the caller says that repeating it is safe. Credentials go into
headers and never into an error.
"""

from __future__ import annotations

import json as json_format
import ssl
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from adapters.meter import metered
from domain.clock import Clock
from domain.errors import (
    ConfigurationError,
    ConflictError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    InvalidInput,
)

_AGAIN = frozenset({429, 502, 503, 504})
_SAFE = frozenset({"GET", "HEAD"})
_SHOWN = 300


class NotFound(InvalidInput):
    """What was asked for by its path is not there."""


class Refused(DependencyUnavailable):
    """The service knows who asks, or does not want to, and says no (401, 403)."""


class Endpoint(BaseModel):
    """Where a service answers and how it is spoken to.

    `token` is sent as a bearer token, `username` and `password` as basic authentication; `ca` is a file of certificates
    to trust besides the system's, `cert` and `key` are the client's own. `timeout` is for one attempt.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(pattern=r"^https?://[^@\s]+$")
    token: SecretStr | None = None
    username: str = ""
    password: SecretStr | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True
    timeout: timedelta = timedelta(seconds=10)
    attempts: int = Field(default=3, ge=1, le=10)


class RestClient:
    """Asks one service. `name` stands in errors and metrics, `field` is its section of the configuration."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        name: str,
        field: str,
        clock: Clock,
        headers: Mapping[str, str] | None = None,
        pause: timedelta = timedelta(milliseconds=200),
        most_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self.name = name
        self.field = field
        self._clock = clock
        self._attempts = endpoint.attempts
        self._pause = pause
        self._most_bytes = most_bytes
        seconds = endpoint.timeout.total_seconds()
        self._client = httpx.Client(
            base_url=endpoint.url.rstrip("/"),
            headers={**_bearer(endpoint), **(headers or {})},
            auth=_basic(endpoint),
            verify=tls_context(endpoint, field),
            timeout=httpx.Timeout(seconds, connect=min(seconds, 5.0)),
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON of a read; see `request` for what is raised."""
        return self.request("GET", path, params=params)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        repeatable: bool = False,
    ) -> Any:
        """Send a request and return the JSON of the answer (None when it has no body).

        Raises:
            Refused: 401 or 403. NotFound: 404. ConflictError: 409.
            InvalidInput: 400 or 422, with the service's own words.
            DependencyTimeout: no answer in time. DependencyUnavailable: no connection, TLS refused, or a 5xx.
            DependencyLied: the answer is no JSON, or is longer than allowed.
        """
        body = self.text(method, path, params=params, json=json, repeatable=repeatable)
        if not body.strip():
            return None
        try:
            return json_format.loads(body)
        except ValueError as error:
            raise DependencyLied(
                self.name, f"{path} answered with something that is not JSON", f"Check {self.field}.url"
            ) from error

    def text(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
    ) -> str:
        """Send a request and return the answer's text; raises as `request`."""
        with metered(self.name):
            attempts = self._attempts if method in _SAFE or repeatable else 1
            for attempt in range(1, attempts + 1):
                try:
                    return self._once(method, path, params=params, json=json, content=content, headers=headers)
                except (DependencyTimeout, _TryAgain):
                    if attempt == attempts:
                        raise
                self._clock.sleep(self._pause * 2 ** (attempt - 1))
        raise DependencyUnavailable(self.name, f"{path} was not asked")

    def _once(self, method: str, path: str, **sent: Any) -> str:
        asked = {name: value for name, value in sent.items() if value is not None}
        try:
            with self._client.stream(method, path, **asked) as response:
                body = self._bounded(response, path)
                status = response.status_code
        except httpx.TimeoutException as error:
            raise DependencyTimeout(self.name, f"{path} did not answer in time") from error
        except httpx.TransportError as error:
            raise _TryAgain(self.name, f"{path}: {_transport(error)}", self._remedy(error)) from error
        except httpx.HTTPError as error:
            raise DependencyUnavailable(self.name, f"{path}: {type(error).__name__}: {error}") from error
        self._raise_for(status, path, body)
        return body

    def _bounded(self, response: httpx.Response, path: str) -> str:
        chunks: list[bytes] = []
        seen = 0
        for chunk in response.iter_bytes():
            seen += len(chunk)
            if seen > self._most_bytes:
                raise DependencyLied(self.name, f"the answer of {path} is longer than {self._most_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks).decode("utf-8", "replace")

    def _remedy(self, error: httpx.TransportError) -> str:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return f"Name the certificate authority in {self.field}.ca"
        return f"Check that it runs, and {self.field}.url"

    def _raise_for(self, status: int, path: str, body: str) -> None:
        if 200 <= status < 300:
            return
        detail = f"{path} answered {status}: {' '.join(body.split())[:_SHOWN]}"
        if status in _AGAIN:
            raise _TryAgain(self.name, detail, f"Check {self.field}.url and the service's own log")
        if status in (401, 403):
            raise Refused(self.name, detail, f"Check the credentials of {self.field} and what they may do")
        if status == 404:
            raise NotFound(self.field, detail, "Check the name and the address")
        if status == 409:
            raise ConflictError(f"{self.name}: {detail}")
        if status in (400, 422):
            raise InvalidInput(self.field, detail, "Mend the request")
        raise DependencyUnavailable(self.name, detail, f"Check {self.field}.url and the service's own log")


class _TryAgain(DependencyUnavailable):
    """It may answer the next time; for the caller it is a service that is not available."""


def tls_context(endpoint: Endpoint, field: str) -> ssl.SSLContext | bool:
    """Return how certificates are checked, and the client's own.

    Raises:
        ConfigurationError: a file cannot be read or is no certificate; names the field.
    """
    if not endpoint.verify and endpoint.cert is None:
        return False
    if (endpoint.cert is None) != (endpoint.key is None):
        raise ConfigurationError(f"{field}.cert", "and the key go together", "Name both files, or neither")
    context = ssl.create_default_context()
    if not endpoint.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if endpoint.ca is not None:
        _loaded(f"{field}.ca", lambda: context.load_verify_locations(cafile=endpoint.ca))
    if endpoint.cert is not None and endpoint.key is not None:
        cert, key = endpoint.cert, endpoint.key
        _loaded(f"{field}.cert", lambda: context.load_cert_chain(cert, key))
    return context


def _loaded(field: str, load: Any) -> None:
    try:
        load()
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(field, f"cannot be used: {error}", "Name a readable PEM file") from error


def _bearer(endpoint: Endpoint) -> dict[str, str]:
    return {"Authorization": f"Bearer {endpoint.token.get_secret_value()}"} if endpoint.token else {}


def _basic(endpoint: Endpoint) -> httpx.BasicAuth | None:
    if not endpoint.username:
        return None
    return httpx.BasicAuth(endpoint.username, endpoint.password.get_secret_value() if endpoint.password else "")


def _transport(error: httpx.TransportError) -> str:
    return f"{type(error).__name__}: {error}"[:_SHOWN]
