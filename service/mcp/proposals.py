"""What an assistant proposes and a person confirms.

A proposal is a sealed text: it names the caller, the tool and the arguments, and is over after a while. Nothing is kept
here meanwhile. To confirm it twice does it once, for its identity is the Idempotency-Key of the request.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from domain.canonical import canonical_json, sha256_text
from domain.clock import Clock
from domain.errors import InvalidInput

LASTS = timedelta(minutes=10)
_PURPOSE = b"evercrew mcp proposal"
_AGAIN = "Propose it again, show it to the person, and confirm what you get then"


@dataclass(frozen=True)
class Proposal:
    """A call that waits for a person's word."""

    id: str
    tool: str
    args: Mapping[str, Any]
    until: datetime


class Proposals:
    """Seals and opens proposals under keys that are derived from the service's `secrets`, the present one first."""

    def __init__(self, secrets: Callable[[], Sequence[bytes]], clock: Clock) -> None:
        self._secrets = secrets
        self._clock = clock

    def made(self, caller: str, tool: str, args: Mapping[str, Any]) -> tuple[Proposal, str]:
        """Return a proposal, and the text that confirms it."""
        until = self._clock.now() + LASTS
        body = {"caller": caller, "tool": tool, "args": dict(args), "until": until.isoformat()}
        text = canonical_json(body)
        proposal = Proposal(sha256_text(text)[:32], tool, args, until)
        return proposal, f"{_coded(text.encode())}.{_coded(self._seals(text)[0])}"

    def opened(self, caller: str, sealed: str) -> Proposal:
        """Return what a text confirms.

        Raises:
            InvalidInput: it is none of ours, somebody else's, or over.
        """
        try:
            body, seal = (_decoded(part) for part in sealed.strip().split("."))
            text = body.decode()
        except ValueError as problem:
            raise InvalidInput("proposal", "is none of this server", _AGAIN) from problem
        if not any(hmac.compare_digest(seal, ours) for ours in self._seals(text)):
            raise InvalidInput("proposal", "is none of this server", _AGAIN)
        told = json.loads(text)
        until = datetime.fromisoformat(told["until"])
        if told["caller"] != caller:
            raise InvalidInput("proposal", "was made for somebody else", _AGAIN)
        if self._clock.now() >= until:
            raise InvalidInput("proposal", f"is over since {until:%H:%M:%S} UTC", _AGAIN)
        return Proposal(sha256_text(text)[:32], told["tool"], told["args"], until)

    def _seals(self, text: str) -> list[bytes]:
        keys = [hmac.new(secret, _PURPOSE, hashlib.sha256).digest() for secret in self._secrets()]
        return [hmac.new(key, text.encode(), hashlib.sha256).digest() for key in keys]


def _coded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
