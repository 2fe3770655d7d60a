"""Workflows on DBOS: SQLite in WAL by default, PostgreSQL by URL.

Why a finished step is never run again: DBOS writes a step's result in the same database, keyed by workflow and place,
before the body goes on; a replay finds it there. Why nothing is lost: a workflow that was running when the process died
is still pending under this executor and application version, and `launch` puts it back in the queue, from which exactly
one runner takes it. A lock on the database file keeps a second process from recovering what the first still runs.

Choices of ours. Checkpoints are JSON: the default pickles, which makes write access to the database code execution. A
cancellation takes effect between two steps: cancelled in the middle of one, DBOS would throw its result away and run
it again on resume. A sleep is a recorded wake time, waited for in slices: a thread asleep for days would hold up the
end of the process and could not be cancelled. Closing ends bodies by something that is no `Exception`, because DBOS
records those as failures.

With `slots` workflows go through a queue that all executors of a database share: each process runs at most so many
bodies at once, oldest first, and at most half of them of one lane. A sleep that is longer than `patience` ends the body
and puts the workflow back in the queue with a delay, so that two hundred sleeping workflows hold no thread, and whoever
is alive when one wakes goes on with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetEnqueueOptions, SetWorkflowID
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from adapters.sql import database_url, explained
from adapters.workflow import dbos_rows
from adapters.workflow.base import Body
from adapters.workflow.checkpoint import (
    ABSENT,
    CANCELLED,
    DONE,
    FAILED,
    PENDING,
    describe,
    holds,
    left,
    no_result,
    no_such,
    plain_result,
    too_late,
    wake_time,
)
from adapters.workflow.sqlite_file import locked, wal_engine
from domain.clock import Clock
from domain.errors import ConflictError, DependencyError, InvalidInput

_FIELD = "workflow_url"
_WORDS = {"SUCCESS": DONE, "ERROR": FAILED, "MAX_RECOVERY_ATTEMPTS_EXCEEDED": FAILED, "CANCELLED": CANCELLED}
_LOOK = timedelta(milliseconds=25)
_LISTEN = timedelta(milliseconds=200)  # `close` waits for one turn of this
_RECOVERIES = 1000
_QUEUE, _POLL = "cycles", timedelta(milliseconds=100)
_POOL = 8  # connections to PostgreSQL beyond one for each slot
# A sleep with a condition is in the queue again after so long, in case the process that looks at it is dead.
_RECHECK = timedelta(seconds=20)

_only_one = threading.Lock()  # DBOS is one per process


class _Closing(BaseException):
    """Ends a body at its next step while the machinery closes. DBOS records an `Exception` as a failure; not this."""


class _PutBack(BaseException):
    """Ends a body whose workflow is in the queue again. No `Exception`, for the same reason."""


class DbosWorkflow:
    """A `SharedWorkflow` on DBOS. One may be launched in a process at a time; after `close`, the next.

    Raises:
        ConfigurationError: the url is none.

    Args:
        url: ``sqlite:////abs/path/workflows.db`` or ``postgresql+psycopg://...``.
        clock: the wake times of sleeps are read from it and slices are slept on it.
        application_version: recovery takes only workflows of the same one: change it when bodies change their steps.
        executor_id: recovery takes only workflows of the same one; distinct for every process on a shared PostgreSQL.
        slice_: how long a sleeping workflow goes without looking whether it is cancelled or the machinery closes.
        grace: how long `close` waits for steps that are running.
        slots: how many bodies run at once; None for as many as are started, each in a thread of its own, here.
        patience: with slots, sleeps from this length on give their thread back, and are slept on the system's clock.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        application_version: str,
        executor_id: str = "local",
        name: str = "evercrew",
        slice_: timedelta = timedelta(milliseconds=200),
        grace: timedelta = timedelta(seconds=10),
        slots: int | None = None,
        patience: timedelta = timedelta(seconds=2),
    ) -> None:
        self._url = database_url(url, field=_FIELD)
        self._clock = clock
        self._application_version = application_version
        self._executor_id = executor_id
        self._name = name
        self._slice = slice_
        self._grace = grace
        self._slots = slots
        self._patience = patience
        self._watched: dict[str, tuple[timedelta, Callable[[], bool]]] = {}  # conditions of sleeps in the queue
        self._recorded: dict[int, dbos_rows.Recorded] = {}  # by the thread that replays
        self._engine: Engine | None = None
        self._lock_file: IO[str] | None = None
        self._launched: Callable[[str], dict[str, Any]] | None = None
        self._closing = threading.Event()
        self._asked: set[str] = set()  # workflows that run here and are to be cancelled at their next step
        self._running: list[str] = []
        self._still = threading.Condition()

    def launch(self, body: Body) -> None:
        """See `WorkflowPort.launch`."""
        if not _only_one.acquire(blocking=False):
            raise ConflictError("this process runs workflows already: close them before launching others")
        with ExitStack() as undo:
            undo.callback(self._let_go)
            self._take_lock()
            with _guarded():
                self._start_dbos(body)
            undo.pop_all()

    def start(self, workflow_id: str, *, lane: str = "") -> None:
        """See `WorkflowPort.start`."""
        workflow = self._machinery()
        if self.status(workflow_id) != ABSENT:
            return
        with _guarded(), SetWorkflowID(workflow_id):
            if self._slots is None:
                DBOS.start_workflow(workflow, workflow_id)
                return
            with SetEnqueueOptions(queue_partition_key=lane or workflow_id):
                DBOS.enqueue_workflow(_QUEUE, workflow, workflow_id)

    def result(self, workflow_id: str, timeout: timedelta | None = None) -> dict[str, Any]:
        """See `WorkflowPort.result`."""
        status, waited = self.status(workflow_id), timedelta()
        pause = threading.Event()
        while status == PENDING:
            if timeout is not None and waited >= timeout:
                raise too_late(workflow_id, status, timeout)
            pause.wait(_LOOK.total_seconds())
            waited += _LOOK
            status = self.status(workflow_id)
        if status == ABSENT:
            raise no_such(workflow_id)
        with _guarded():
            found = DBOS.get_workflow_status(workflow_id)
        if found is None:
            raise no_such(workflow_id)
        if status == DONE:
            return dict(found.output or {})
        raise no_result(workflow_id, status, describe(found.error) if found.error else "it was recovered too often")

    def status(self, workflow_id: str) -> str:
        """See `WorkflowPort.status`."""
        self._machinery()
        with _guarded():
            found = DBOS.get_workflow_status(workflow_id)
        return ABSENT if found is None else _WORDS.get(str(found.status), PENDING)

    def missing(self, workflow_ids: Sequence[str]) -> Sequence[str]:
        """See `WorkflowPort.missing`."""
        self._machinery()
        with _guarded():
            known = dbos_rows.known(workflow_ids)
        return [workflow_id for workflow_id in workflow_ids if workflow_id not in known]

    def resume(self, workflow_id: str) -> None:
        """See `WorkflowPort.resume`."""
        status = self.status(workflow_id)
        if status == ABSENT:
            raise no_such(workflow_id)
        with _guarded():
            if status == CANCELLED:
                DBOS.resume_workflow(workflow_id)
            elif status == FAILED:
                steps = DBOS.list_workflow_steps(workflow_id)
                failed = [step["function_id"] for step in steps if step["error"] is not None]
                DBOS.rewind_workflow(workflow_id, start_step=min(failed, default=len(steps) + 1))

    def cancel(self, workflow_id: str) -> None:
        """See `WorkflowPort.cancel`."""
        status = self.status(workflow_id)
        if status == ABSENT:
            raise no_such(workflow_id)
        if status != PENDING:
            return
        with self._still:
            if workflow_id in self._running:
                self._asked.add(workflow_id)
                return
        with _guarded():
            DBOS.cancel_workflow(workflow_id)

    def owners(self) -> frozenset[str]:
        """See `SharedWorkflow.owners`."""
        self._machinery()
        with _guarded():
            return dbos_rows.owners(self._application_version)

    def adopt(self, dead: Collection[str]) -> int:
        """See `SharedWorkflow.adopt`."""
        self._machinery()
        with _guarded():
            return dbos_rows.adopt(dead)

    def running(self) -> int:
        """Return how many bodies run in this process, in a thread each."""
        with self._still:
            return len(self._running)

    def close(self) -> None:
        """See `WorkflowPort.close`. Steps still running after the grace end without their result being recorded."""
        if self._launched is None:
            return
        self._closing.set()
        with self._still:
            self._still.wait_for(lambda: not self._running, timeout=self._grace.total_seconds())
        self._let_go()

    def step(self, workflow_id: str, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Run one step of the workflow that the calling thread is in; for `Run`."""
        if self._closing.is_set():
            raise _Closing
        if workflow_id in self._asked:
            # `run_step` then ends the body.
            dbos_rows.apart(lambda: DBOS.cancel_workflow(workflow_id))
        known = self._replayed().passes(name)
        return DBOS.run_step({"name": name}, plain_result, name, work) if known is None else known

    def sleep(self, workflow_id: str, duration: timedelta, until: Callable[[], bool] | None) -> None:
        """Wait durably in the workflow that the calling thread is in; for `Run`."""
        recorded = self.step(workflow_id, "sleep", lambda: wake_time(self._clock, duration))
        if until is not None and self._replayed().goes_on():
            return
        while (remaining := left(self._clock, recorded)) > timedelta():
            if self._closing.is_set():
                raise _Closing
            if workflow_id in self._asked:
                return  # the next step ends the body
            if until is not None and holds(until):
                return
            if self._slots is not None and remaining >= self._patience:
                self._put_back(workflow_id, remaining, until)
            self._clock.sleep(min(remaining, self._slice))

    def _put_back(self, workflow_id: str, remaining: timedelta, until: Callable[[], bool] | None) -> None:
        if until is not None:
            remaining = min(remaining, _RECHECK)
            over = timedelta(seconds=self._clock.monotonic()) + remaining
            self._watched[workflow_id] = (over, until)
        dbos_rows.put_back(workflow_id, remaining)
        raise _PutBack

    def _replayed(self) -> dbos_rows.Recorded:
        return self._recorded[threading.get_ident()]

    def _watch(self) -> None:
        """Wake what sleeps in the queue and need not any more, until the machinery closes."""
        while not self._closing.wait(self._slice.total_seconds()):
            for workflow_id, (over, until) in list(self._watched.items()):
                if timedelta(seconds=self._clock.monotonic()) >= over:
                    self._watched.pop(workflow_id, None)
                elif holds(until):
                    self._watched.pop(workflow_id, None)
                    with suppress(DependencyError), _guarded():
                        DBOS.set_workflow_delay(workflow_id, delay_seconds=0)

    def _start_dbos(self, body: Body) -> None:
        # A handler of ours keeps DBOS from writing to the terminal; its records still reach the root logger.
        logging.getLogger("dbos").addHandler(logging.NullHandler())
        self._closing.clear()
        self._asked.clear()
        config: DBOSConfig = {
            "name": self._name,
            "application_version": self._application_version,
            "executor_id": self._executor_id,
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "WARNING",
            "enable_otlp": False,
            "notification_listener_polling_interval_sec": _LISTEN.total_seconds(),
        }
        if self._url.get_backend_name() == "sqlite":
            self._engine = wal_engine(self._url.render_as_string(hide_password=False))
            config["system_database_engine"] = self._engine
        else:
            config["sys_db_pool_size"] = _POOL + (self._slots or _POOL)
        config["system_database_url"] = self._url.render_as_string(hide_password=False)
        DBOS(config=config)

        @DBOS.workflow(name="cycle", max_recovery_attempts=_RECOVERIES)
        def cycle(workflow_id: str) -> dict[str, Any]:
            with self._counted(workflow_id), self._replaying(workflow_id):
                return plain_result("the body", lambda: body(_DbosRun(self, workflow_id), workflow_id))

        DBOS.launch()
        if self._slots is not None:
            DBOS.register_queue(
                _QUEUE,
                worker_concurrency=self._slots,
                partition_worker_concurrency=max(1, self._slots // 2),
                polling_interval_sec=_POLL.total_seconds(),
            )
            threading.Thread(target=self._watch, name="workflow-watch", daemon=True).start()
        self._launched = cycle

    def _machinery(self) -> Callable[[str], dict[str, Any]]:
        if self._launched is None:
            raise InvalidInput("workflow", "it was not launched", "Call launch(body) first")
        return self._launched

    @contextmanager
    def _counted(self, workflow_id: str) -> Iterator[None]:
        with self._still:
            self._running.append(workflow_id)
        try:
            yield
        finally:
            with self._still:
                self._running.remove(workflow_id)
                asked = workflow_id in self._asked
                self._asked.discard(workflow_id)
                self._still.notify_all()
            if asked and self._slots is not None and not self._closing.is_set():
                dbos_rows.apart(lambda: DBOS.cancel_workflow(workflow_id))  # asked while it was put back in the queue

    @contextmanager
    def _replaying(self, workflow_id: str) -> Iterator[None]:
        self._recorded[threading.get_ident()] = dbos_rows.Recorded(workflow_id)
        try:
            yield
        finally:
            del self._recorded[threading.get_ident()]

    def _take_lock(self) -> None:
        path = self._url.database
        if self._url.get_backend_name() != "sqlite" or not path:
            return
        self._lock_file = locked(Path(path), field=_FIELD)

    def _let_go(self) -> None:
        self._launched = None
        DBOS.destroy(destroy_registry=True)
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None
        _only_one.release()


class _DbosRun:
    """The `Run` of one workflow."""

    def __init__(self, home: DbosWorkflow, workflow_id: str) -> None:
        self._home = home
        self._id = workflow_id

    def step(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """See `Run.step`."""
        return self._home.step(self._id, name, work)

    def sleep(self, duration: timedelta, *, until: Callable[[], bool] | None = None) -> None:
        """See `Run.sleep`."""
        self._home.sleep(self._id, duration, until)


@contextmanager
def _guarded() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise explained(error, name="workflow", field=_FIELD) from error
