"""Log lines: one JSON object each, with the cycle and the request, and never a secret."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from domain.events import Event
from service.api.edge import REQUEST_ID
from service.settings import Settings
from service.telemetry.logs import CYCLE, EventLog, Redactor, configure, secrets_of

SETTINGS = Settings(
    log_format="json", log_level="info", webhook_token="tok-of-senders", audit_key="/keys/audit.pem", model="a-model"
)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    out = io.StringIO()
    configure(SETTINGS, trace=lambda: "t-1", stream=out)
    here = threading.get_ident()
    for handler in root.handlers:  # what threads of earlier tests still say is none of the lines looked at
        handler.addFilter(lambda record: record.thread == here)
    yield out
    root.handlers[:] = before
    root.setLevel(level)


def last(stream: io.StringIO) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stream.getvalue().splitlines()[-1])
    return found


def test_a_line_has_time_level_message_and_where_it_belongs(stream: io.StringIO) -> None:
    cycle, request = CYCLE.set("si_2026_01_31_001"), REQUEST_ID.set("rq_1")
    logging.getLogger("evercrew.x").warning("lost %d of %s", 3, "them", extra={"stage": "train", "odd": object})
    CYCLE.reset(cycle)
    REQUEST_ID.reset(request)
    line = last(stream)
    assert (line["level"], line["message"], line["logger"]) == ("warning", "lost 3 of them", "evercrew.x")
    assert (line["cycle_id"], line["request_id"], line["trace_id"]) == ("si_2026_01_31_001", "rq_1", "t-1")
    assert line["stage"] == "train"
    assert line["ts"].endswith("+00:00")


def test_what_happens_in_a_cycle_is_a_line_with_its_reason(stream: io.StringIO) -> None:
    EventLog()(Event(kind="stage", cycle_id="c1", stage="plan", what="end", details={"reason": "it is agreed"}))
    line = last(stream)
    assert (line["cycle_id"], line["stage"], line["message"]) == ("c1", "plan", "end: it is agreed")
    count = len(stream.getvalue().splitlines())
    EventLog()(Event(kind="call", cycle_id="c1", what="promote", answer="done"))
    assert len(stream.getvalue().splitlines()) == count


def test_lines_between_the_begin_and_the_end_of_a_stage_carry_its_cycle(stream: io.StringIO) -> None:
    log = EventLog()
    log(Event(kind="stage", cycle_id="c1", stage="plan", what="begin"))
    logging.getLogger("adapters.x").warning("slow")
    assert last(stream)["cycle_id"] == "c1"
    log(Event(kind="stage", cycle_id="c1", stage="plan", what="end"))
    logging.getLogger("adapters.x").warning("slow")
    assert "cycle_id" not in last(stream)


@pytest.mark.parametrize(
    "text",
    [
        "the token tok-of-senders was wrong",
        "postgresql://evercrew:s3cretpass@db.example/x refused",
        "Authorization: Bearer abcdefghijklmnop",
        "password=hunter2hunter2, user=x",
        '{"api_key": "sk-0123456789abcdef"}',
    ],
)
def test_no_secret_is_in_a_line(stream: io.StringIO, text: str) -> None:
    logging.getLogger("x").error("%s", text, extra={"also": text})
    logging.getLogger("x").error(text.replace("%", "%%"))
    for secret in ("tok-of-senders", "s3cretpass", "abcdefghijklmnop", "hunter2hunter2", "sk-0123456789abcdef"):
        assert secret not in stream.getvalue()
    assert "[hidden]" in stream.getvalue()


def test_an_error_is_in_its_line_without_secrets(stream: io.StringIO) -> None:
    try:
        raise ValueError("tok-of-senders is no number")
    except ValueError:
        logging.getLogger("x").exception("it failed")
    line = last(stream)
    assert "ValueError" in line["error"]
    assert "tok-of-senders" not in stream.getvalue()


def test_the_secrets_are_the_settings_that_are_not_shown() -> None:
    found = secrets_of(SETTINGS.model_copy(update={"openai_api_key": "sk-live"}))
    assert set(found) == {"tok-of-senders", "/keys/audit.pem", "sk-live"}
    assert (
        Redactor(["", "abc"])("abc stays: it is too short to be a secret")
        == "abc stays: it is too short to be a secret"
    )


def test_text_is_for_people(stream: io.StringIO) -> None:
    out = io.StringIO()
    configure(SETTINGS.model_copy(update={"log_format": "text"}), stream=out)
    logging.getLogger("x").warning("the disk is full", extra={"cycle_id": "c1"})
    assert out.getvalue().endswith("WARNING the disk is full  [c1]\n")
