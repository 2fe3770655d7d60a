"""A lean HTTP/1.1 client for many small requests to one service.

Users of a world share two cores with the service they search: a general client spends more CPU time on a request than
the service does on its answer. This one keeps connections alive, sends bytes, and reads answers that have a length.

    ConnectError   the service cannot be reached, hung up, or took too long
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode, urlsplit

from testbed.errors import TestbedError

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ConnectError(TestbedError):
    """The service cannot be reached, hung up, or took too long."""


class Wire:
    """Kept-alive connections to the service at `url`, one for each request in flight; an async context manager."""

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._timeout = timeout
        self._idle: list[_Connection] = []

    async def __aenter__(self) -> Wire:
        return self

    async def __aexit__(self, *error: object) -> None:
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()

    async def get(self, path: str, params: dict[str, str | int] | None = None) -> tuple[int, Any]:
        """Status and JSON of a GET (None where the answer is no JSON); raises `ConnectError`."""
        return await self._request("GET", f"{path}?{urlencode(params)}" if params else path, b"")

    async def post(self, path: str, body: Any, agent: str = "") -> tuple[int, Any]:
        """Status and JSON of a POST of `body` as JSON by a client that calls itself `agent`; raises `ConnectError`."""
        return await self._request("POST", path, json.dumps(body).encode(), agent)

    async def _request(self, method: str, target: str, body: bytes, agent: str = "") -> tuple[int, Any]:
        length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        length += f"User-Agent: {agent}\r\n" if agent else ""
        message = f"{method} {target} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n{length}\r\n".encode() + body
        try:
            async with asyncio.timeout(self._timeout):
                while self._idle:
                    try:
                        return await self._exchange(self._idle.pop(), message)
                    except ConnectionError:
                        continue  # it hung up while nobody was asking, so it took no notice of this request
                return await self._exchange(await asyncio.open_connection(self._host, self._port), message)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise ConnectError(f"{type(error).__name__}: {error}") from error

    async def _exchange(self, connection: _Connection, message: bytes) -> tuple[int, Any]:
        reader, writer = connection
        kept = False
        try:
            writer.write(message)
            head = await _head(reader)
            status, fields = _parsed(head)
            content = await reader.readexactly(int(fields.get(b"content-length", b"0")))
            kept = fields.get(b"connection") != b"close"
        finally:
            if not kept:
                writer.close()
        self._idle.append(connection)
        return status, json.loads(content) if b"json" in fields.get(b"content-type", b"") else None


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        raise ConnectionResetError("hung up before it answered") from error


def _parsed(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = head[:-4].split(b"\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in lines if b": " in line)
    if b"content-length" not in fields:
        raise ConnectionAbortedError("an answer without a length")
    return int(first.split(b" ", 2)[1]), fields
