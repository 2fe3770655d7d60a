"""`evercrew serve` as a process: how it begins, what it says, and that its end loses nothing."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from adapters.database import Database
from adapters.inbox.sqlalchemy import SqlInbox
from domain.clock import SystemClock
from evals.serve_site import TOKEN, Served, write_site
from tests.serve.senders import alert, bearer, body, generic
from tests.support.waiting import until

QUICK = {"serve": {"shutdown": "20s"}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(write_site(tmp_path_factory.mktemp("site"), QUICK), settings={"EVERCREW_LOG_LEVEL": "info"})
    made.start()
    try:
        made.ready()
        yield made
    finally:
        made.kill()


def letters(served: Served) -> int:
    database = Database(f"sqlite:///{served.config.parent}/state/evercrew.db")
    try:
        return sum(1 for _ in SqlInbox(database, SystemClock()).letters())
    finally:
        database.close()


@pytest.mark.slow
def test_the_first_start_shows_the_first_password_once_and_its_address(served: Served) -> None:
    assert served.out.count("the first account is admin") == 1
    assert f"evercrew serves at {served.url}" in served.out


@pytest.mark.slow
def test_it_is_ready_when_every_part_is_well(served: Served) -> None:
    served.ready("/readyz")
    told = httpx.get(f"{served.url}/readyz").json()
    names = {part["name"] for part in told["parts"]}
    assert names >= {"store", "audit", "policies", "worker", "schedules", "serving"}


@pytest.mark.slow
def test_metrics_tell_what_was_sent(served: Served) -> None:
    for _ in range(3):
        answer = httpx.post(f"{served.url}/webhooks/alertmanager", content=body(alert()), headers=bearer(TOKEN))
        assert answer.status_code == 200
    assert httpx.post(f"{served.url}/webhooks/generic", content=b"{", headers=bearer(TOKEN)).status_code == 400
    page = httpx.get(f"{served.url}/metrics").text
    assert 'evercrew_webhooks_total{answer="accepted",sender="alertmanager"} 3.0' in page
    assert 'evercrew_webhooks_total{answer="malformed",sender="generic"} 1.0' in page
    assert "evercrew_build_info" in page
    assert "evercrew_inbox_aside 1.0" in page


@pytest.mark.slow
def test_a_port_that_is_taken_is_said_at_once(served: Served, tmp_path: Path) -> None:
    other = Served(write_site(tmp_path), port=served.port)
    other.start()
    assert other.process is not None
    assert other.process.wait(60) == 3
    assert "cannot be listened on" in other.log
    assert not (tmp_path / "state").exists()


@pytest.mark.slow
def test_sigterm_ends_it_with_zero_after_what_is_in_flight_and_what_was_answered_is_there_after_a_restart(
    served: Served,
) -> None:
    before, stop = letters(served), threading.Event()
    answered: list[int] = []
    refused: list[int] = []

    def sending(number: int) -> None:
        with httpx.Client(timeout=60, headers=bearer(TOKEN)) as client:
            for turn in range(10_000):
                try:
                    answer = client.post(f"{served.url}/webhooks/generic", content=generic(f"s{number}-{turn}"))
                except httpx.TransportError:
                    break
                (answered if answer.is_success else refused).append(answer.status_code)
                if stop.is_set() and not answer.is_success:
                    break

    senders = [threading.Thread(target=sending, args=(number,)) for number in range(4)]
    stream = httpx.Client(timeout=30)
    for sender in senders:
        sender.start()
    until(lambda: len(answered) > 4)
    slow = _half_sent(served)
    stop.set()
    assert served.process is not None
    served.process.terminate()
    SystemClock().sleep(timedelta(milliseconds=300))
    assert _rest_sent(slow).startswith(b"HTTP/1.1 200")
    code = served.process.wait(120)
    for sender in senders:
        sender.join(30)
    stream.close()
    assert (code, refused) == (0, [])
    assert letters(served) - before >= len(answered) + 1
    served.start()
    served.ready()
    assert served.out.count("the first account is admin") == 1


def _half_sent(served: Served) -> tuple[socket.socket, bytes]:
    """Send the beginning of a request, and return the connection with what is left of it.

    The server says that it waits for the body: from then on the request is in flight.
    """
    raw = generic("slow")
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=60)
    head = (
        f"POST /webhooks/generic HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nExpect: 100-continue\r\n"
        f"Content-Length: {len(raw)}\r\nContent-Type: application/json\r\n\r\n"
    )
    connection.sendall(head.encode())
    assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(raw[:10])
    return connection, raw[10:]


def _rest_sent(half: tuple[socket.socket, bytes]) -> bytes:
    connection, rest = half
    with connection:
        connection.sendall(rest)
        return connection.recv(65_536)


@pytest.mark.slow
def test_it_speaks_tls_and_runs_without_a_worker(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run([*made, "-keyout", str(key), "-out", str(cert), *names], check=True, capture_output=True)
    config = write_site(tmp_path, {"serve": {"tls": {"cert": "cert.pem", "key": "key.pem"}}})
    served = Served(config, words=("--no-worker",), scheme="https")
    served.start()
    try:
        served.ready()
        trusted = ssl.create_default_context(cafile=str(cert))
        with httpx.Client(verify=trusted, headers=bearer(TOKEN)) as client:
            assert client.post(f"{served.url}/webhooks/generic", content=generic("f1")).json()["accepted"] == 1
            parts = {part["name"] for part in client.get(f"{served.url}/readyz").json()["parts"]}
        assert "worker" not in parts
        assert letters(served) == 1
        assert served.stop() == 0
    finally:
        served.kill()


@pytest.mark.slow
def test_log_lines_are_json_with_their_cycle(served: Served) -> None:
    lines = [
        json.loads(line)
        for line in served.log.splitlines(keepends=True)
        if line.startswith("{") and line.endswith("\n")
    ]
    assert lines
    assert all({"ts", "level", "logger", "message"} <= line.keys() for line in lines)
    assert any(line.get("cycle_id", "").startswith("si_") for line in lines)
    assert TOKEN not in served.log
