"""How a sender proves that it may send: a bearer, or a signature over the time and the body.

A signature is HMAC-SHA256 with a shared secret over ``TIMESTAMP:BODY``, in hexadecimal digits; it counts while its
time is within the window of our clock, and once: the same one again is a repetition, which is answered and does
nothing. The time is in seconds since 1970; a sender's clock may be off by as much as the window. Of each secret two are
valid, so that it can be changed without losing an alert. Comparisons take the same time whatever is compared.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from domain.clock import Clock
from service.serve_sections import Auth

SIGNATURE, TIMESTAMP = "x-evercrew-signature", "x-evercrew-timestamp"
# Grafana sends its own names unless it is told others.
_SIGNATURES = (SIGNATURE, "x-grafana-alerting-signature")
_TIMESTAMPS = (TIMESTAMP, "x-grafana-alerting-timestamp")
_PREFIX = "sha256="
# Timestamps in milliseconds have so many digits.
_MILLIS = 13
_MOST_SEEN = 200_000
_BEARER = "bearer "


class Standing(StrEnum):
    """What a proof comes to."""

    PROVEN = "proven"
    REPEATED = "repeated"
    MISSING = "missing"
    FORGED = "forged"
    LATE = "late"
    UNSET = "unset"


@dataclass(frozen=True)
class Proof:
    """How a sender stands, and in words; `seal` is the signature, to be kept once its body is on disk."""

    standing: Standing
    said: str = ""
    seal: str = ""


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a body at a time."""
    return hmac.new(secret.encode(), timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()


class Seen:
    """Signatures that were accepted, for as long as they would count again."""

    def __init__(self, clock: Clock, window: timedelta, most: int = _MOST_SEEN) -> None:
        self._clock = clock
        self._keep = 2 * window.total_seconds()
        self._most = most
        self._until: OrderedDict[str, float] = OrderedDict()

    def add(self, seal: str) -> None:
        """Remember a signature."""
        now = self._clock.monotonic()
        self._until[seal] = now + self._keep
        while self._until and (len(self._until) > self._most or next(iter(self._until.values())) < now):
            self._until.popitem(last=False)

    def __contains__(self, seal: str) -> bool:
        return self._until.get(seal, float("-inf")) >= self._clock.monotonic()


class Prover:
    """Looks at what a request proves.

    Args:
        tokens: bearers that count, the present one first. secrets: shared secrets, the same.
        window: how far the time of a signature may be from ours, either way.
    """

    def __init__(
        self, clock: Clock, *, tokens: Sequence[str] = (), secrets: Sequence[str] = (), window: timedelta
    ) -> None:
        self._clock = clock
        self._tokens = [token.encode() for token in tokens if token]
        self._secrets = [secret for secret in secrets if secret]
        self._window = window
        self._seen = Seen(clock, window)

    def before_body(self, headers: Mapping[str, str], auth: Auth) -> Proof | None:
        """Return what is known before the body was read; None where the body decides."""
        signed = _first(headers, _SIGNATURES)
        bearers, signatures = auth in ("bearer", "either"), auth in ("signature", "either")
        if not ((bearers and self._tokens) or (signatures and self._secrets)):
            return Proof(Standing.UNSET, f"no secret is set that `{auth}` could be checked by")
        if signed and signatures and self._secrets:
            return self._in_time(headers)
        given = headers.get("authorization", "")
        if bearers and self._tokens and given:
            return self._of_bearer(given)
        return Proof(Standing.MISSING, "there is no proof of who sends this")

    def of_body(self, headers: Mapping[str, str], body: bytes) -> Proof:
        """Return what a signature over the body is worth."""
        given = _first(headers, _SIGNATURES).removeprefix(_PREFIX).lower().encode()
        timestamp = _first(headers, _TIMESTAMPS)
        # All of them are compared, so that the time taken does not tell which one it was.
        fits = [hmac.compare_digest(signature(secret, timestamp, body).encode(), given) for secret in self._secrets]
        if not any(fits):
            return Proof(Standing.FORGED, "the signature is not that of this body and time")
        seal = given.decode()
        return Proof(Standing.REPEATED if seal in self._seen else Standing.PROVEN, seal=seal)

    def accepted(self, proof: Proof) -> None:
        """Note that what was proven is on disk: the same again is a repetition."""
        if proof.seal:
            self._seen.add(proof.seal)

    def _in_time(self, headers: Mapping[str, str]) -> Proof | None:
        given = _first(headers, _TIMESTAMPS)
        if not (given.isascii() and given.isdigit() and len(given) <= _MILLIS):
            return Proof(Standing.FORGED, f"{TIMESTAMP} is missing, or no time in seconds since 1970")
        told = int(given) / 1000 if len(given) == _MILLIS else int(given)
        off = told - self._clock.now().timestamp()
        if abs(off) > self._window.total_seconds():
            said = f"{abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} our clock"
            limit = f"{self._window.total_seconds():g} s"
            return Proof(Standing.LATE, f"the signature was made {said}, and {limit} are allowed")
        return None

    def _of_bearer(self, given: str) -> Proof:
        token = given[len(_BEARER) :].strip().encode() if given.lower().startswith(_BEARER) else b""
        fits = [hmac.compare_digest(known, token) for known in self._tokens]
        if any(fits):
            return Proof(Standing.PROVEN)
        return Proof(Standing.FORGED, "the bearer is not one that may send alerts")


def _first(headers: Mapping[str, str], names: Sequence[str]) -> str:
    return next((headers[name] for name in names if name in headers), "")
