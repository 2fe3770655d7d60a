"""Traces on LangSmith.

Spans go to a bounded queue and from there, by one daemon thread, to the endpoint: a slow or dead endpoint costs the
caller nothing, and does not hold up the end of the process (the SDK's own sender would, unless told otherwise by the
environment, which is not ours to read). What does not fit the queue or is not accepted is counted in `lost`.
"""

from __future__ import annotations

import queue
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import langsmith
import requests
from langsmith.utils import LangSmithAuthError, LangSmithError, LangSmithNotFoundError, LangSmithRequestTimeout
from urllib3.util.retry import Retry

from adapters.address import http_address, plain_key
from adapters.traces.base import Span
from adapters.traces.redact import redacted
from domain.clock import Clock
from domain.errors import DependencyError, DependencyLied, DependencyTimeout, DependencyUnavailable

LANGSMITH_URL = "https://api.smith.langchain.com"
_AT_ONCE = 100
_NAME = "langsmith"
_ADDRESS = "Mend LANGSMITH_ENDPOINT: it has to be the address of LangSmith's API"


@dataclass(frozen=True)
class _Place:
    """Where a span stands: what its children need to know."""

    id: str
    trace_id: str
    order: str


@dataclass(frozen=True)
class _Job:
    """A span to be created or updated."""

    run: dict[str, Any]
    new: bool


class _OpenSpan(AbstractContextManager[Span]):
    """A span while it is open: created on entry, updated on leaving."""

    def __init__(self, home: LangSmithTraces, new: Mapping[str, Any]) -> None:
        self._home = home
        self._new = new
        self._outputs: dict[str, Any] = {}

    def __enter__(self) -> _OpenSpan:
        self._common, self._token = self._home.begin(self._new)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        told = f"{type(error).__name__}: {error}" if error else None
        self._home.end(self._token, {**self._common, "outputs": self._outputs, "error": told})

    def done(self, outputs: Mapping[str, Any]) -> None:
        """See `Span.done`."""
        self._outputs = dict(outputs)


class LangSmithTraces:
    """A `TracesPort` on LangSmith.

    Args:
        hide_inputs, hide_outputs: send spans without them.
        anonymizer: applied to inputs and outputs of every span before it leaves; masks secrets by default.
        waiting: how many span events may wait; more are lost.

    Raises:
        ConfigurationError: the address or the key cannot be one.
    """

    name = "langsmith"

    def __init__(
        self,
        *,
        api_key: str,
        clock: Clock,
        endpoint: str = LANGSMITH_URL,
        project: str = "evercrew",
        hide_inputs: bool = False,
        hide_outputs: bool = False,
        anonymizer: Callable[[dict[str, Any]], dict[str, Any]] = redacted,
        waiting: int = 10_000,
        timeout_s: float = 5.0,
    ) -> None:
        self.lost = 0
        self._clock = clock
        self._project = project
        self._endpoint = endpoint
        self._jobs: queue.Queue[_Job] = queue.Queue(maxsize=waiting)
        self._current: ContextVar[_Place | None] = ContextVar("evercrew_langsmith_span", default=None)
        self._problem = ""
        self._sender: threading.Thread | None = None
        self._starting = threading.Lock()
        self._client = langsmith.Client(
            str(http_address(endpoint, field="LANGSMITH_ENDPOINT")),
            api_key=plain_key(api_key, field="LANGSMITH_API_KEY"),
            retry_config=Retry(total=0),
            timeout_ms=int(timeout_s * 1000),
            auto_batch_tracing=False,
            anonymizer=anonymizer,
            hide_inputs=hide_inputs,
            hide_outputs=hide_outputs,
            omit_traced_runtime_info=True,
            tracing_error_callback=self._refused,
        )

    def span(self, name: str, kind: str, inputs: Mapping[str, Any], *, cycle_id: str) -> AbstractContextManager[Span]:
        """See `TracesPort.span`."""
        extra = {"metadata": {"cycle_id": cycle_id, "kind": kind}}
        return _OpenSpan(self, {"name": name, "run_type": kind, "inputs": dict(inputs), "extra": extra})

    def begin(self, new: Mapping[str, Any]) -> tuple[dict[str, Any], Token[_Place | None]]:
        """Open a span inside the one that is open in this context; return what its end has to repeat."""
        start, parent, identity = self._clock.now(), self._current.get(), str(uuid.uuid4())
        place = _Place(identity, parent.trace_id if parent else identity, _order(parent, start, identity))
        common: dict[str, Any] = {"id": identity, "trace_id": place.trace_id, "dotted_order": place.order}
        common["session_name"] = self._project
        if parent:
            common["parent_run_id"] = parent.id
        self._queue(_Job({**common, **new, "start_time": start}, new=True))
        return common, self._current.set(place)

    def end(self, token: Token[_Place | None], closing: Mapping[str, Any]) -> None:
        """Close a span."""
        self._current.reset(token)
        self._queue(_Job({**closing, "end_time": self._clock.now()}, new=False))

    def flush(self, seconds: float = 5.0) -> None:
        """See `TracesPort.flush`."""
        with self._jobs.all_tasks_done:
            self._jobs.all_tasks_done.wait_for(lambda: not self._jobs.unfinished_tasks, timeout=seconds)

    def check(self) -> str:
        """See `TracesPort.check`."""
        told = self._asked("/info", {})
        if not isinstance(told, dict) or "version" not in told:
            raise DependencyLied(_NAME, "what answers is not LangSmith", _ADDRESS)
        # Anybody may ask for /info; the projects are shown to a key only.
        self._asked("/sessions", {"limit": "1", "name": self._project})
        return f"traces: langsmith {told['version']} at {self._endpoint}, project {self._project}, {self.lost} lost"

    def _asked(self, path: str, params: Mapping[str, str]) -> Any:
        try:
            answer = self._client.request_with_retries("GET", path, stop_after_attempt=1, params=dict(params))
            return answer.json()
        except (LangSmithError, requests.RequestException) as error:
            raise _explained(error) from error

    def _queue(self, job: _Job) -> None:
        with self._starting:
            if self._sender is None:
                self._sender = threading.Thread(target=self._send_forever, name="evercrew-langsmith", daemon=True)
                self._sender.start()
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.lost += 1

    def _send_forever(self) -> None:
        while True:
            jobs = [self._jobs.get()]
            while len(jobs) < _AT_ONCE and not self._jobs.empty():
                jobs.append(self._jobs.get())
            try:
                self._send(jobs)
            finally:
                for _ in jobs:
                    self._jobs.task_done()

    def _send(self, jobs: Sequence[_Job]) -> None:
        create, update = [job.run for job in jobs if job.new], [job.run for job in jobs if not job.new]
        self._problem = ""
        try:
            try:
                self._client.multipart_ingest(create=create, update=update)
            except LangSmithNotFoundError:
                # An older or self-hosted endpoint without the multipart path.
                self._client.batch_ingest_runs(create=create, update=update)
        except (LangSmithError, requests.RequestException, ValueError, TypeError, OSError) as error:
            self._problem = str(error)
        if self._problem:
            self.lost += len(jobs)

    def _refused(self, error: Exception) -> None:
        # The SDK swallows what the endpoint refused and tells it only here.
        self._problem = str(error) or type(error).__name__


def _explained(error: Exception) -> DependencyError:
    told = " ".join(str(error).split())[:300]
    if isinstance(error, requests.JSONDecodeError | LangSmithNotFoundError):
        return DependencyLied(_NAME, f"what answers is not LangSmith: {told}", _ADDRESS)
    if isinstance(error, requests.Timeout | LangSmithRequestTimeout) or "timed out" in str(error):
        return DependencyTimeout(_NAME, "it did not answer in time", "Look at the endpoint's load and the network")
    if isinstance(error, LangSmithAuthError) or "403 Client Error" in told:
        remedy = (
            "Check LANGSMITH_API_KEY, which may read projects and create runs, and the region of LANGSMITH_ENDPOINT"
        )
        return DependencyUnavailable(_NAME, f"it refuses the key: {told}", remedy)
    return DependencyUnavailable(_NAME, f"it cannot be reached: {told}", "Check LANGSMITH_ENDPOINT and the network")


def _order(parent: _Place | None, start: datetime, identity: str) -> str:
    own = f"{start:%Y%m%dT%H%M%S%fZ}{identity}"
    return f"{parent.order}.{own}" if parent else own
