"""A TCP proxy on loopback, in a thread of its own, that hurts what passes: switched at run time,
for open connections too.

PASS        hand everything on
LATENCY     hand every piece on after `delay` seconds, and up to `jitter` more
RESET       end every connection with a RST, the open ones at once
BLACKHOLE   accept, take what comes, and say nothing
REFUSE      listen no more; the open connections end with a RST
CUT         end the connection with a RST once `bytes_left` bytes of answers have passed
THROTTLE    hand on `rate` bytes a second
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from testbed.servers.base import ServerError, free_port

_PIECE = 16 * 1024
_PATIENCE = 10.0
Target = tuple[str, int] | Path
"""Where connections go: host and port, or the path of a Unix socket."""


class Kind(StrEnum):
    """What happens to connections; see the module's text."""

    PASS = "pass"
    LATENCY = "latency"
    RESET = "reset"
    BLACKHOLE = "blackhole"
    REFUSE = "refuse"
    CUT = "cut"
    THROTTLE = "throttle"


@dataclass(frozen=True)
class Weather:
    """A kind with its numbers: seconds, bytes, bytes a second."""

    kind: Kind = Kind.PASS
    delay: float = 0.05
    jitter: float = 0.0
    bytes_left: int = 0
    rate: int = 1024


class Proxy:
    """Stands before `target` while it is entered; `switch` says what happens to connections from now on.

    `accepted` counts the connections that were taken. The same `seed` gives the same jitter.
    """

    def __init__(self, target: Target, *, seed: int = 0) -> None:
        self._target = target
        self._weather = Weather()
        self._luck = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = 0
        # Below the ports of clients: it is given up and taken again.
        self.port = free_port()

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    def switch(self, kind: Kind | str, **numbers: Any) -> None:
        """Change what happens, for open connections too; returns once it is so."""
        self._wait(self._switch(Weather(Kind(kind), **numbers)))

    def stop(self) -> None:
        """End all connections and the thread."""
        if not self._thread.is_alive():
            return
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)
        except OSError as error:
            raise ServerError(f"the proxy cannot listen: {error}") from error

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._taken, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _deaf(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _switch(self, weather: Weather) -> None:
        self._weather = weather
        before, self._changed = self._changed, asyncio.Event()
        before.set()
        if weather.kind is Kind.REFUSE:
            await self._deaf()
        elif self._server is None:
            await self._listen()
        if weather.kind in (Kind.RESET, Kind.REFUSE):
            for writer in list(self._open):
                _reset(writer)

    async def _close(self) -> None:
        await self._deaf()
        for writer in list(self._open):
            _reset(writer)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        self._open.add(writer)
        try:
            await self._carried(reader, writer)
        except OSError:
            _reset(writer)
        finally:
            self._open.discard(writer)
            writer.close()
            if task is not None:
                self._tasks.discard(task)

    async def _carried(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._weather.kind is Kind.RESET:
            _reset(writer)
            return
        # Whoever is in a black hole gets no connection to the target before it lifts.
        while self._weather.kind is Kind.BLACKHOLE:
            await self._changed.wait()
        there_reader, there = await self._connected()
        self._open.add(there)
        try:
            both = (
                self._carry(reader, there, lambda _: None),
                self._carry(there_reader, writer, self._counted(writer)),
            )
            await asyncio.gather(*both)
        finally:
            self._open.discard(there)
            there.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(str(self._target))
        return await asyncio.open_connection(*self._target)

    def _counted(self, writer: asyncio.StreamWriter) -> Callable[[int], None]:
        passed = 0

        def count(size: int) -> None:
            nonlocal passed
            passed += size
            if self._weather.kind is Kind.CUT and passed >= self._weather.bytes_left:
                _reset(writer)

        return count

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[int], None]
    ) -> None:
        while piece := await reader.read(self._size()):
            await self._held_up(len(piece))
            writer.write(piece)
            await writer.drain()
            count(len(piece))
        if not writer.is_closing() and writer.can_write_eof():
            writer.write_eof()

    def _size(self) -> int:
        weather = self._weather
        if weather.kind is Kind.CUT:
            return max(min(weather.bytes_left, _PIECE), 1)
        return max(weather.rate // 10, 1) if weather.kind is Kind.THROTTLE else _PIECE

    async def _held_up(self, size: int) -> None:
        weather = self._weather
        if weather.kind is Kind.LATENCY:
            await asyncio.sleep(weather.delay + self._luck.random() * weather.jitter)
        elif weather.kind is Kind.THROTTLE:
            await asyncio.sleep(size / weather.rate)
        while self._weather.kind is Kind.BLACKHOLE:
            await self._changed.wait()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side sees a RST and not an orderly end."""
    found = writer.get_extra_info("socket")
    if found is not None and found.family == socket.AF_INET:
        with suppress(OSError):  # it is closed already
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
