"""S3 for the tests of this folder: a store that is started once, and one that never answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from testbed.servers.base import ServerError
from testbed.servers.moto import Moto


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """A store that takes any credentials."""
    try:
        started = Moto(tmp_path_factory.mktemp("moto"))
    except ServerError as problem:
        pytest.skip(str(problem))
    with started:
        yield started


@pytest.fixture
def s3(store: Moto, monkeypatch: pytest.MonkeyPatch) -> Moto:
    """The store, with the credentials of its clients in the environment."""
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return store


@contextmanager
def silence() -> Iterator[str]:
    """Give the address of something that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=2)
        for connection in kept:
            connection.close()
