"""The doctor compares its clock with those of the systems around."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from domain.clock import Clock, SystemClock
from domain.errors import DependencyLied
from service.clocks import compared
from tests.stubs.small_server import NOBODY

CLOCK: Clock = SystemClock()


@contextmanager
def answering(away: timedelta | None, status: int = 200) -> Iterator[str]:
    """A server whose clock is `away` from ours; None: it says no time."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(status)
            if away is not None:
                now: datetime = CLOCK.now() + away
                self.send_header("Date", format_datetime(now, usegmt=True))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_clocks_that_agree_are_named() -> None:
    with answering(timedelta()) as platform, answering(timedelta(), status=401) as delivery:
        said = compared({"platform": platform, "delivery": delivery}, CLOCK)
    assert said.startswith("2 compared (delivery, platform)")


@pytest.mark.parametrize("away", [timedelta(minutes=2), timedelta(hours=-1)])
def test_a_clock_that_is_wrong_is_named_with_its_error(away: timedelta) -> None:
    with answering(timedelta()) as platform, answering(away) as metrics, pytest.raises(DependencyLied) as told:
        compared({"platform": platform, "metrics": metrics}, CLOCK)
    assert "metrics is " in str(told.value)
    assert "platform" not in str(told.value)


def test_who_says_no_time_or_does_not_answer_is_not_compared() -> None:
    with answering(None) as silent:
        said = compared({"silent": silent, "gone": NOBODY}, CLOCK)
    assert said == "nobody to compare with"
