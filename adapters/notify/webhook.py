"""A webhook of one's own: a signed POST with JSON.

Signature: ``X-Evercrew-Signature: t=<seconds since 1970>,v1=<hex>``, where ``<hex>`` is HMAC-SHA256 (RFC 2104) under
the shared secret over ``<t>.<body>``. The receiver compares in constant time, and refuses what is
older than it can bear. ``Idempotency-Key`` is the same when a message is sent again, so that a receiver can leave out
what it has.
"""

from __future__ import annotations

import hashlib
import hmac
import json

from pydantic import SecretStr

from adapters.notices.base import NoticesPort
from adapters.notify.base import Message
from adapters.notify.sending import Sending
from adapters.notify.wire import Poster
from adapters.rest import Endpoint
from domain.clock import Clock
from domain.errors import ConfigurationError
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

NAME = "webhook"
FIELD = "notify.webhook"
SECRET = "EVERCREW_NOTIFY_WEBHOOK_SECRET"
SIGNATURE = "X-Evercrew-Signature"
VERSION = 1
_SHORTEST_SECRET = 16


class WebhookNotify:
    """A `NotifyPort` that posts to one address."""

    def __init__(
        self,
        *,
        address: SecretStr,
        secret: SecretStr,
        reached: Endpoint,
        register: NoticesPort,
        permits: PermitVerifier,
        clock: Clock,
    ) -> None:
        if len(secret.get_secret_value()) < _SHORTEST_SECRET:
            remedy = f"Set {SECRET} to {_SHORTEST_SECRET} characters or more that the receiver knows too"
            raise ConfigurationError(SECRET, "is missing or too short to sign with", remedy)
        self._poster = Poster(address, reached, name=NAME, field=FIELD, setting=f"{FIELD}.url")
        self._secret = secret
        self._sending = Sending(NAME, register, permits)
        self._clock = clock

    def close(self) -> None:
        """Close the connections."""
        self._poster.close()

    def send(self, message: Message, *, key: str, permit: Permit | None) -> None:
        """See `NotifyPort.send`."""
        with self._sending.once(message, key, permit) as needed:
            if not needed:
                return
            now = self._clock.now()
            content = {"version": VERSION, "key": key, "sent_at": now.isoformat(), **message.model_dump(mode="json")}
            body = json.dumps({**content, "facts": dict(message.facts)}, ensure_ascii=False).encode()
            headers = {
                "Content-Type": "application/json; charset=utf-8",
                "Idempotency-Key": hashlib.sha256(key.encode()).hexdigest(),
                "X-Evercrew-Event": message.kind or "message",
                SIGNATURE: signature(self._secret.get_secret_value(), int(now.timestamp()), body),
            }
            self._poster.post(body, headers)

    def observe(self, key: str) -> Observation:
        """See `NotifyPort.observe`."""
        return self._sending.observe(key)

    def check(self) -> str:
        """See `NotifyPort.check`; nothing is posted."""
        self._poster.reach()
        return f"notify: webhook at {self._poster.where} answers; `evercrew notify test` sends a message"


def signature(secret: str, at: int, body: bytes) -> str:
    """Return the value of the signature's header."""
    made = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={made}"
