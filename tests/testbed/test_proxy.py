"""The proxy: what each kind of weather does to a conversation, new and open."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import pytest

from testbed import clock
from testbed.servers.proxy import Kind, Proxy

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


class _Echo(BaseRequestHandler):
    def handle(self) -> None:
        while piece := self._piece():
            self.request.sendall(piece)

    def _piece(self) -> bytes:
        try:
            received: bytes = self.request.recv(4096)
        except OSError:
            return b""
        return received


class _Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that are torn down are what this is about."""


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    with _Server(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with Proxy(("127.0.0.1", echo)) as running:
        yield running


def _connected(proxy: Proxy, timeout: float = 20.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=timeout)


def _said(connection: socket.socket, text: bytes = b"hello") -> bytes:
    connection.sendall(text)
    got = b""
    while len(got) < len(text):
        piece = connection.recv(4096)
        if not piece:
            break
        got += piece
    return got


def _drained(connection: socket.socket, got: list[bytes] | None = None) -> None:
    while piece := connection.recv(1):
        (got if got is not None else []).append(piece)


def _talked(proxy: Proxy) -> None:
    with _connected(proxy) as connection:
        _drained(connection)


def test_what_passes_is_handed_on_both_ways(proxy: Proxy) -> None:
    with _connected(proxy) as connection:
        assert _said(connection) == b"hello"
        assert _said(connection, b"x" * 100_000) == b"x" * 100_000
    assert proxy.accepted == 1


def test_latency_holds_every_piece_up(proxy: Proxy) -> None:
    proxy.switch(Kind.LATENCY, delay=0.1, jitter=0.02)
    with _connected(proxy) as connection:
        started = clock.monotonic()
        assert _said(connection) == b"hello"
        assert clock.monotonic() - started >= 0.2


def test_a_reset_ends_new_connections_and_open_ones(proxy: Proxy) -> None:
    with _connected(proxy) as connection:
        assert _said(connection) == b"hello"
        proxy.switch(Kind.RESET)
        with pytest.raises(ConnectionError):
            connection.recv(1)
    with pytest.raises(ConnectionError):
        _talked(proxy)


def test_a_black_hole_takes_and_says_nothing_until_it_lifts(proxy: Proxy) -> None:
    proxy.switch(Kind.BLACKHOLE)
    with _connected(proxy, timeout=0.2) as connection:
        connection.sendall(b"hello")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        proxy.switch(Kind.PASS)
        connection.settimeout(20)
        assert connection.recv(5) == b"hello"


def test_an_open_connection_falls_silent_in_a_black_hole(proxy: Proxy) -> None:
    with _connected(proxy) as connection:
        assert _said(connection) == b"hello"
        proxy.switch(Kind.BLACKHOLE)
        connection.settimeout(0.2)
        connection.sendall(b"again")
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_closed_door_refuses_and_opens_again_at_the_same_place(proxy: Proxy) -> None:
    port = proxy.port
    proxy.switch(Kind.REFUSE)
    with pytest.raises(ConnectionRefusedError):
        _connected(proxy)
    proxy.switch(Kind.PASS)
    assert proxy.port == port
    with _connected(proxy) as connection:
        assert _said(connection) == b"hello"


def test_a_cut_lets_so_many_bytes_through(proxy: Proxy) -> None:
    proxy.switch(Kind.CUT, bytes_left=3)
    with _connected(proxy) as connection:
        connection.sendall(b"hello")
        got: list[bytes] = []
        with pytest.raises(ConnectionError):
            _drained(connection, got)
        assert len(got) <= 3


def test_a_throttle_takes_its_time(proxy: Proxy) -> None:
    proxy.switch(Kind.THROTTLE, rate=1000)
    with _connected(proxy) as connection:
        started = clock.monotonic()
        assert _said(connection, b"y" * 300) == b"y" * 300
        assert clock.monotonic() - started >= 0.25


def test_nobody_behind_it_is_a_reset_too(proxy: Proxy) -> None:
    nowhere = Proxy(("127.0.0.1", 1))
    with nowhere, pytest.raises(ConnectionError):
        _talked(nowhere)
