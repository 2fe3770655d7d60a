"""Traces in MLflow, on the tracking database that the runs and models are in.

MLflow exports a trace from a thread of its own once its outermost span has ended. Its tracking address is one for the
process, so the last `MlflowTraces` to open a span is where spans go: `close` the one before first.

Nothing is imported or connected to before the first span. That happens in a thread then, and the first span waits for
it a little: a tracking server that hangs must not hold up what is traced. Spans that come before it is ready are
lost.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from adapters.traces.base import Span
from adapters.traces.redact import redacted
from adapters.tracking.mlflow_errors import told
from domain.errors import DependencyLied, DependencyTimeout, DependencyUnavailable, EvercrewError

if TYPE_CHECKING:
    from mlflow.entities import LiveSpan
    from mlflow.entities.trace_location import MlflowExperimentLocation

_NAME = "mlflow traces"
_REMEDY = "Mend tracking.uri, or set EVERCREW_TRACES to none"
_TYPES = {"chain": "CHAIN", "tool": "TOOL", "llm": "LLM"}
# What the library and its stores raise; none of it may reach what is traced.
_TROUBLE = (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError)


class _Open(AbstractContextManager[Span]):
    """A span while it is open, or nothing where it could not be opened."""

    def __init__(self, home: MlflowTraces, name: str, kind: str, inputs: Mapping[str, Any], cycle_id: str) -> None:
        self._home = home
        self._name = name
        self._kind = kind
        self._inputs = inputs
        self._cycle_id = cycle_id
        self._context: AbstractContextManager[LiveSpan] | None = None
        self._live: LiveSpan | None = None

    def __enter__(self) -> _Open:
        self._enter()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._context is None or self._live is None:
            return
        with self._home.counting():
            if error is not None:
                self._live.set_status("ERROR")
                self._live.set_attribute("error", f"{type(error).__name__}: {error}")
        with self._home.counting():
            self._context.__exit__(None, None, None)

    def _enter(self) -> None:
        if not self._home.ready():
            self._home.count()
            return
        import mlflow

        with self._home.counting():
            outermost = mlflow.get_current_active_span() is None
            where = self._home.destination if outermost else None
            attributes = {"cycle_id": self._cycle_id}
            context = mlflow.start_span(
                self._name, span_type=_TYPES.get(self._kind, "UNKNOWN"), attributes=attributes, trace_destination=where
            )
            self._live = context.__enter__()
            self._context = context
            self._home.unsent = True
            self._live.set_inputs(redacted(self._inputs))
            if outermost and self._cycle_id:
                mlflow.update_current_trace(metadata={"mlflow.trace.session": self._cycle_id})

    def done(self, outputs: Mapping[str, Any]) -> None:
        """See `Span.done`."""
        with self._home.counting():
            if self._live is not None:
                self._live.set_outputs(redacted(outputs))


class MlflowTraces:
    """A `TracesPort` on MLflow. `lost` counts spans that could not be opened or closed and traces that were not taken.

    Args:
        uri: the tracking database or server.
        experiment: the name of the experiment the traces belong to; made when missing.
        patience: how long the first span waits for MLflow to be imported and connected.
    """

    name = "mlflow"

    def __init__(self, uri: str, experiment: str = "evercrew", *, patience: timedelta = timedelta(seconds=15)) -> None:
        self.lost = 0
        self.destination: MlflowExperimentLocation | None = None
        self.unsent = False
        self._uri = uri
        self._shown = _without_credentials(uri)
        self._experiment = experiment
        self._patience = patience
        self._problem: EvercrewError | None = None
        self._lock = threading.Lock()
        self._preparing: threading.Thread | None = None
        self._prepared = threading.Event()
        self._listener = _Listener(self)

    def span(self, name: str, kind: str, inputs: Mapping[str, Any], *, cycle_id: str) -> AbstractContextManager[Span]:
        """See `TracesPort.span`."""
        return _Open(self, name, kind, inputs, cycle_id)

    def flush(self, seconds: float = 5.0) -> None:
        """See `TracesPort.flush`."""
        if not self.unsent:
            return
        import mlflow

        self.unsent = False

        # MLflow's own flush knows no limit.
        waiting = threading.Thread(target=mlflow.flush_trace_async_logging, daemon=True)
        waiting.start()
        waiting.join(seconds)

    def close(self, seconds: float = 5.0) -> None:
        """Flush and stop listening; another instance may follow."""
        self.flush(seconds)
        logging.getLogger("mlflow.tracing").removeHandler(self._listener)

    def check(self) -> str:
        """See `TracesPort.check`. Where the preparation failed before, it is tried again."""
        with self._lock:
            if self._prepared.is_set() and self.destination is None:
                self._preparing, self._problem = None, None
                self._prepared.clear()
        if not self.ready():
            late = DependencyTimeout(_NAME, "it did not answer in time", "Look at the server of tracking.uri")
            raise self._problem or late
        return f"traces: mlflow at {self._shown}, experiment {self._experiment}, {self.lost} lost"

    def ready(self) -> bool:
        """Return whether spans can be opened; the first call starts the preparation and waits for it a while."""
        with self._lock:
            first = self._preparing is None
            if self._preparing is None:
                self._preparing = threading.Thread(target=self._prepare, name="evercrew-mlflow", daemon=True)
                self._preparing.start()
        if first:
            self._prepared.wait(self._patience.total_seconds())
        return self.destination is not None

    def _prepare(self) -> None:
        import mlflow
        from mlflow.entities.trace_location import MlflowExperimentLocation

        log = logging.getLogger("mlflow.tracing")
        log.setLevel(logging.WARNING)
        log.addHandler(self._listener)
        try:
            with told(artifacts=None, s3_endpoint_url=None):
                mlflow.set_tracking_uri(self._uri)
                client = mlflow.MlflowClient(self._uri)
                known = client.get_experiment_by_name(self._experiment)
                found = known.experiment_id if known else client.create_experiment(self._experiment)
            if not found:
                raise DependencyLied(_NAME, "it names no experiment: what answers is no MLflow server", _REMEDY)
            self.destination = MlflowExperimentLocation(found)
        except EvercrewError as problem:
            self._problem = problem
        except (ImportError, *_TROUBLE) as error:
            self._problem = DependencyUnavailable(_NAME, f"{self._shown} cannot be used: {error}", _REMEDY)
        finally:
            self._prepared.set()

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count trouble of the library instead of passing it on."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except (MlflowException, *_TROUBLE):
            self.count()

    def count(self) -> None:
        """Count one loss."""
        with self._lock:
            self.lost += 1


def _without_credentials(uri: str) -> str:
    scheme, mark, rest = uri.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


class _Listener(logging.Handler):
    """The exporting thread tells of a trace it could not deliver in its log, and nowhere else."""

    def __init__(self, home: MlflowTraces) -> None:
        super().__init__(logging.WARNING)
        self._home = home

    def emit(self, record: logging.LogRecord) -> None:
        """Count the loss."""
        self._home.count()
