"""Servers that speak git, and a repository behind them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.vcs.access import GitAccess
from domain.clock import FrozenClock
from domain.permit import PermitOffice
from testbed.servers.base import ServerError
from testbed.servers.githttp import GitHttp
from testbed.servers.ssh import Sshd
from tests.contract.gitremote import Remote
from tests.contract.vcs_contract import VALUES

USERS = {"evercrew": "t0ken-of-the-crew", "reader": "t0ken-of-a-reader"}


@pytest.fixture
def office() -> PermitOffice:
    return PermitOffice(FrozenClock())


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path, VALUES)


@pytest.fixture
def https(remote: Remote) -> Iterator[GitHttp]:
    with GitHttp(remote.folder, users=USERS, readers=["reader"], tls=True) as server:
        yield server


@pytest.fixture
def token() -> Callable[..., GitAccess]:
    """How the product comes to the HTTPS server."""

    def access(server: GitHttp, user: str = "evercrew", password: str | None = None, **more: object) -> GitAccess:
        secret = SecretStr(USERS[user] if password is None else password)
        return GitAccess.model_validate({"username": user, "token": secret, "ca": server.ca, **more})

    return access


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    try:
        server = Sshd(tmp_path_factory.mktemp("sshd"))
    except ServerError as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield int(listener.getsockname()[1])
