"""A server's port is one that nobody has, and that no client is given while the server starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from testbed.servers import base


def taken(port: int) -> bool:
    """Whether a server finds the port taken."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def test_a_port_is_free_and_below_those_of_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "range"
    told.write_text("20000\t60999\n", encoding="ascii")
    monkeypatch.setattr(base, "_CLIENT_PORTS", told)
    ports = [base.free_port() for _ in range(20)]
    assert all(15000 <= port < 20000 for port in ports)
    assert not any(taken(port) for port in ports)


@pytest.mark.parametrize("text", ["1024 65535\n", "", "many"])
def test_where_clients_may_have_any_port_the_system_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    told = tmp_path / "range"
    told.write_text(text, encoding="ascii")
    monkeypatch.setattr(base, "_CLIENT_PORTS", told)
    assert not taken(base.free_port())


def test_a_port_that_somebody_has_is_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = int(server.getsockname()[1])
        told = tmp_path / "range"
        told.write_text(f"{held + 2}\t65535\n", encoding="ascii")
        monkeypatch.setattr(base, "_CLIENT_PORTS", told)
        monkeypatch.setattr(base, "_FIRST_PORT", held)
        monkeypatch.setattr(base, "_TRIES", 1)
        assert held not in {base.free_port() for _ in range(20)}
