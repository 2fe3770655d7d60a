"""`evercrew serve`: webhooks, API and console, a worker for cycles, schedules and notices, in one process.

How it ends (SIGTERM, SIGINT): it says that it is not ready, accepts no more, and finishes requests in flight; meanwhile
cycles stop at their next step and threads at theirs; then traces and logs are flushed. What could not end within the
bound is left as a crash would leave it, which loses nothing: the next process goes on with it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from domain.errors import DependencyUnavailable, IntegrityError
from domain.events import Event, Observer
from service.config import Config, load_config
from service.serve_sections import ServeConfig
from service.settings import Settings
from service.telemetry.counters import WORKER_TURNS, counted
from service.telemetry.logs import EventLog, configure

if TYPE_CHECKING:
    from fastapi import FastAPI

    from service.api.serving import Serving
    from service.serving.server import Server
    from service.serving.tasks import Task
    from service.wiring import App
    from service.worker import Worker

_LOG = logging.getLogger(__name__)
Say = Callable[[str], None]
# Of the time for an orderly end, requests in flight get this share; the rest is for what comes after them.
_FOR_REQUESTS = 0.4
_FOR_BACKGROUND = timedelta(seconds=2)
OK, FAILED = 0, 3


def run(config_file: Path, settings: Settings, *, host: str, port: int | None, worker: bool, say: Say) -> int:
    """Serve until a signal, and return the exit code.

    Raises:
        ConfigurationError: something of the configuration cannot be used.
        DependencyError: a part that must answer at once does not, or the port is taken.
    """
    from service.serving.server import bound

    config = load_config(config_file)
    config = config.model_copy(update={"serve": _asked(config.serve, host, port)})
    log_traces: list[Callable[[], str]] = []
    configure(settings, trace=lambda: log_traces[0]() if log_traces else "")
    with ExitStack() as closing:
        sock = bound(config.serve.host, config.serve.port)
        closing.callback(sock.close)
        service = Service(config, settings, worker=worker, say=say)
        closing.callback(service.close)
        log_traces.append(service.trace)
        return service.serve(sock)


class Service:
    """Everything of the process; built, then served once."""

    def __init__(self, config: Config, settings: Settings, *, worker: bool, say: Say) -> None:
        from service.wiring import build

        self._config = config
        self._say = say
        self._stop = threading.Event()
        self._deadline: threading.Timer | None = None
        self._web: FastAPI | None = None
        self._server: Server | None = None
        self._worker: Worker | None = None
        self._failing = False
        slots = config.serve.slots if worker else None
        self.app: App = build(config, settings, observer=_observers(), workflow=worker, slots=slots)
        with ExitStack() as unless_built:
            unless_built.callback(self.app.close)
            self._tasks = list(self._made(worker))
            self.serving = self._serving(worker)
            unless_built.pop_all()

    def serve(self, sock: socket.socket) -> int:
        """Serve on a bound socket until the end is asked for, and return the exit code."""
        from service.serving.server import server_of, signals

        self._first_admin()
        for task in self._tasks:
            task.start()
        grace = max(int(self._config.serve.shutdown.total_seconds() * _FOR_REQUESTS), 1)
        self._web = self._fastapi()
        server = server_of(self._web, self._config.serve, grace_s=grace, ready=lambda: self._announce(sock))
        self._server = server
        watching = threading.Thread(target=self._watch, name="evercrew-watch", daemon=True)
        watching.start()
        with signals(self._end):
            server.run([sock])
        self._end()
        return FAILED if self._failing or self._fenced() else OK

    def close(self) -> None:
        """End in order what still runs: threads, cycles at their next step, then traces and everything else."""
        self._stop.set()
        bound = self._config.serve.shutdown.total_seconds()
        for task in self._tasks:
            if not task.join(bound):
                _LOG.warning("%s did not end in time", task.name)
        self.serving.access.close()
        self.app.close()
        logging.shutdown()
        if self._deadline is not None:
            self._deadline.cancel()

    def trace(self) -> str:
        """Return the trace that is open in this context, or nothing."""
        place = self.app.traces.current()
        return place.trace if place is not None else ""

    # -- what it is made of -------------------------------------------------------------------------------------------

    def _serving(self, worker: bool) -> Serving:
        from service.access.desk import access_of
        from service.api.serving import Serving
        from service.serving.parts import chat_of

        app = self.app
        access = access_of(app.database, app.policies, app.settings, app.config, app.clock, app.audit)
        return Serving(app=app, access=access, chat=chat_of(app, access, runs_cycles=worker))

    def _made(self, worker: bool) -> Iterator[Task]:
        from service.schedules import scheduler_of
        from service.serving.parts import notices_of
        from service.serving.tasks import Task, scheduled
        from service.worker import Worker

        app = self.app
        if worker:
            self._worker = Worker(
                app.engine, app.inbox, app.workflow, app.executor, app.clock, told=lambda _turn: WORKER_TURNS.inc()
            )
            yield Task("worker", self._worker.run, self._stop)
            yield Task("schedules", scheduled(scheduler_of(app, by_inbox=True), app.clock), self._stop)
        notices = notices_of(app)
        if notices is not None:
            yield Task("notices", notices, self._stop, fatal=False)

    def _fastapi(self) -> FastAPI:
        from service.access.guard import unguarded
        from service.api.app import create_app
        from service.api.edge import MOST_BODY

        serve = self._config.serve
        https = serve.tls is not None or serve.public_url.startswith("https://")
        ready: dict[str, Callable[[], object]] = {task.name: task.check for task in self._tasks}
        ready["serving"] = self._check
        most = max(serve.webhooks.max_bytes, MOST_BODY)
        made = create_app(self.serving, lifespan=_lifespan, most_body=most, https=https, ready=ready)
        if open_to_all := unguarded(made):
            raise IntegrityError(f"{', '.join(open_to_all)}: nobody is asked who they are there, so nothing is served")
        return made

    # -- while it runs ------------------------------------------------------------------------------------------------

    def _check(self) -> str:
        if self._stop.is_set():
            raise DependencyUnavailable("serving", "it is about to end", "Ask another process")
        return "serving"

    def _first_admin(self) -> None:
        secret = self.serving.access.first_admin()
        if secret is not None:
            self._say(f"the first account is admin, its password is {secret}")
            self._say("it is shown this once: keep it, or set another one with `evercrew users password admin`")

    def _announce(self, sock: socket.socket) -> None:
        host, port = sock.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        scheme = "https" if self._config.serve.tls else "http"
        self._say(f"evercrew serves at {scheme}://{shown}:{port}")

    def _watch(self) -> None:
        """A process whose worker died, or was taken for dead, ends, so that whoever supervises it starts it again."""
        while not self._stop.wait(0.5):
            if any(task.fatal and task.died for task in self._tasks) or self._fenced():
                _LOG.critical("a part that is needed has ended: so does the process")
                self._failing = True
                self._end()

    def _fenced(self) -> bool:
        return self._worker is not None and self._worker.fenced

    def _end(self, _signal: int = 0) -> None:
        """Begin the end; a second time changes nothing."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._deadline = threading.Timer(self._config.serve.shutdown.total_seconds(), _give_up)
        self._deadline.daemon = True
        self._deadline.start()
        if self._web is not None:
            from service.web.events import let_go

            let_go(self._web)
        if self._server is not None:
            self._server.end()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Write what webhooks have brought, and wait a little for what requests began, before the application ends."""
    try:
        yield
    finally:
        app.state.webhooks.close()
        left = await asyncio.to_thread(app.state.background.join, _FOR_BACKGROUND)
        if left:
            _LOG.warning("%d pieces of work that requests began go on without an answer", left)


def _asked(config: ServeConfig, host: str, port: int | None) -> ServeConfig:
    changes: dict[str, object] = {"host": host or config.host, "port": config.port if port is None else port}
    return config.model_copy(update=changes)


def _observers() -> Observer:
    log = EventLog()

    def told(event: Event) -> None:
        counted(event)
        log(event)

    return told


def _give_up() -> None:
    """The bound is over: what runs still is left to the next process, as after a crash."""
    _LOG.error("the end took too long: what still runs is left to the next process, which goes on with it")
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(OK)
