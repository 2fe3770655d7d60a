"""What a request may take: so many a minute of one sender, so many bytes, so long on its way, and no bomb of gzip."""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from datetime import timedelta

from domain.clock import Clock

_MOST_SENDERS = 10_000
_GZIP = 16 + zlib.MAX_WBITS


class TooLarge(Exception):
    """A body has more bytes than it may, as it is sent or unpacked."""


class TooSlow(Exception):
    """A body did not come in time."""


class NotPacked(Exception):
    """A body is not packed as it says."""


class Buckets:
    """So many requests a minute of each sender, and a burst on top; what a minute gives comes back bit by bit."""

    def __init__(self, clock: Clock, *, per_minute: int, burst: int, most: int = _MOST_SENDERS) -> None:
        self._clock = clock
        self._rate = per_minute / 60
        self._burst = float(burst)
        self._most = most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, sender: str) -> timedelta | None:
        """Take one; return None, or after how long there is one again."""
        now = self._clock.monotonic()
        left, at = self._left.pop(sender, (self._burst, now))
        left = min(left + (now - at) * self._rate, self._burst)
        short = 1 - left
        self._left[sender] = (left if short > 0 else left - 1, now)
        while len(self._left) > self._most:
            self._left.popitem(last=False)
        return timedelta(seconds=short / self._rate) if short > 0 else None


async def body_of(stream: AsyncIterator[bytes], *, most: int, timeout: timedelta) -> bytes:
    """Return a body while it is within its limits.

    Raises:
        TooLarge: it has more than `most` bytes; what is beyond was not read. TooSlow: it took longer than `timeout`.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            async for part in stream:
                size += len(part)
                if size > most:
                    raise TooLarge(f"the body has more than {most} bytes")
                parts.append(part)
    except TimeoutError:
        raise TooSlow(f"the body did not come within {timeout.total_seconds():g} s") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def unpacked(body: bytes, encoding: str, *, most: int) -> bytes:
    """Return a body without its Content-Encoding: none, or gzip.

    Raises:
        TooLarge: unpacked it has more than `most` bytes; no more than that was unpacked. NotPacked: it is no gzip.
    """
    if encoding.strip().lower() in ("", "identity"):
        return body
    if encoding.strip().lower() != "gzip":
        raise NotPacked(f"Content-Encoding {encoding[:40]!r} is not known")
    unpacker = zlib.decompressobj(_GZIP)
    try:
        plain = unpacker.decompress(body, most + 1)
    except zlib.error as problem:
        raise NotPacked(f"the body is no gzip: {problem}") from None
    if len(plain) > most:
        raise TooLarge(f"unpacked, the body has more than {most} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise NotPacked("the body is no gzip: its end is missing, or is not its end")
    return plain
