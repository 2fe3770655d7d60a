"""Posting to an address that is a secret itself: no error, metric or log line has more of it than its host."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from adapters.meter import metered
from adapters.notify.base import Busy
from adapters.rest import Endpoint, Refused, tls_context
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable, InvalidInput

_SHOWN = 200
_MOST_BYTES = 64 * 1024
_LONGEST_WAIT = timedelta(hours=1)


class Poster:
    """Posts to one address; `field` is its section of the configuration, `setting` where the address comes from."""

    def __init__(self, address: SecretStr, reached: Endpoint, *, name: str, field: str, setting: str) -> None:
        parts = urlsplit(address.get_secret_value())
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ConfigurationError(setting, "is no http(s) address", "Give the address as the service shows it")
        self.name = name
        self.where = parts.netloc
        self._field = field
        self._setting = setting
        self._address = address
        self._root = f"{parts.scheme}://{parts.netloc}/"
        seconds = reached.timeout.total_seconds()
        self._client = httpx.Client(
            verify=tls_context(reached, field),
            timeout=httpx.Timeout(seconds, connect=min(seconds, 5.0)),
            trust_env=False,
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def post(self, body: bytes, headers: Mapping[str, str]) -> str:
        """Post, and return the answer's text.

        Raises:
            InvalidInput: the service will not take this message (400, 413, 422).
            Refused: it does not take anything of ours (401, 403, 404, 410).
            Busy: it wants fewer messages (429, 503 with Retry-After).
            DependencyTimeout: it did not answer in time; it may have taken it.
            DependencyUnavailable: it does not answer, or answers with another error. DependencyLied: endless answer.
        """
        with metered(self.name):
            status, text, said = self._asked("POST", self._address.get_secret_value(), body, headers)
            self._raise_for(status, text, said)
            return text

    def reach(self) -> None:
        """Return when the host answers at all; nothing is posted.

        Raises:
            DependencyError: it does not.
        """
        self._asked("GET", self._root, None, {})

    def _asked(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, str, Mapping[str, str]]:
        try:
            with self._client.stream(method, url, content=body, headers=dict(headers)) as response:
                return response.status_code, self._bounded(response), response.headers
        except httpx.TimeoutException as error:
            raise DependencyTimeout(self.name, f"{self.where} did not answer in time") from error
        except httpx.TransportError as error:
            said = f"{type(error).__name__}: {error}".replace(url, self.where)[:_SHOWN]
            remedy = f"Check {self._setting}, and that {self.where} can be reached from here"
            if "CERTIFICATE_VERIFY_FAILED" in said:
                remedy = f"Name the certificate authority in {self._field}.ca"
            raise DependencyUnavailable(self.name, f"{self.where}: {said}", remedy) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DependencyUnavailable(self.name, f"{self.where}: {type(error).__name__}") from None

    def _bounded(self, response: httpx.Response) -> str:
        seen = b""
        for chunk in response.iter_bytes():
            seen += chunk
            if len(seen) > _MOST_BYTES:
                raise DependencyLied(self.name, f"the answer of {self.where} has no end", f"Check {self._setting}")
        return seen.decode("utf-8", "replace")

    def _raise_for(self, status: int, text: str, headers: Mapping[str, str]) -> None:
        if 200 <= status < 300:
            return
        said = f"{self.where} answered {status}: {' '.join(text.split())[:_SHOWN]}"
        after = _seconds(headers.get("retry-after", ""))
        if status == 429 or (status == 503 and after is not None):
            raise Busy(self.name, said, "Nothing: it is sent later. Lower notify.rate when this is often", after)
        if status in (400, 413, 422):
            raise InvalidInput(self._field, said, "Mend the message, or the settings of the receiver")
        if status in (401, 403, 404, 410):
            raise Refused(self.name, said, f"Make a new address or secret, and set {self._setting}")
        if 300 <= status < 400:
            raise DependencyLied(self.name, f"{self.where} sends us elsewhere ({status})", f"Mend {self._setting}")
        raise DependencyUnavailable(self.name, said, f"Check {self._setting} and the service's own log")


def _seconds(text: str) -> timedelta | None:
    return min(timedelta(seconds=int(text)), _LONGEST_WAIT) if text.strip().isdigit() else None
