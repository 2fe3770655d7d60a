"""The application on a port of this machine, for what a client in the same process cannot see: streams."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import uvicorn
from fastapi import FastAPI

from service.web.events import let_go
from testbed.servers.base import free_port
from tests.support.waiting import PATIENCE_S, until


@contextmanager
def live(app: FastAPI, port: int = 0) -> Iterator[str]:
    """Serve the application, at a port that is free where none is named, and give its address."""
    port = port or free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        let_go(app)
        server.should_exit = True
        thread.join(PATIENCE_S)


@dataclass
class Told:
    """One server-sent event."""

    event: str = "message"
    id: str = ""
    data: str = ""
    retry: int | None = None
    comments: list[str] = field(default_factory=list)


def events_of(answer: httpx.Response) -> Iterator[Told]:
    """Yield the events of a stream, as they come."""
    told = Told()
    for line in answer.iter_lines():
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "" if line:
                told.comments.append(value)
            case "" if told.data:
                yield told
                told = Told()
            case "event":
                told.event = value
            case "id":
                told.id = value
            case "data":
                told.data += value
            case "retry":
                told.retry = int(value)
            case _:
                continue
