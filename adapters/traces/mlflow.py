"""Traces in MLflow, on the tracking database or server that the runs and models are in.

Spans are logged when they are closed, under identities of our own, so that processes that follow one another write one
trace (`log_spans`: on a database at once, on a server over its OTLP endpoint, since 3.4). The root of a cycle comes
last: until then MLflow shows the trace as under way.

Nothing is imported or connected to before the first span, and all of that happens in the sender's thread.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from adapters.traces.base import Journal
from adapters.traces.pump import WAITING
from adapters.traces.redact import redacted
from adapters.traces.sink import Anonymizer, SinkTraces
from adapters.tracking.mlflow_errors import told
from domain.clock import Clock
from domain.errors import DependencyLied, DependencyTimeout, DependencyUnavailable, EvercrewError
from domain.trace import DECISION, MODEL, REQUEST, Rating, SpanData

if TYPE_CHECKING:
    from mlflow.entities import Span
    from mlflow.tracing.client import TracingClient

_NAME = "mlflow traces"
_REMEDY = "Mend tracking.uri, or set EVERCREW_TRACES to none"
_TYPES = {"chain": "CHAIN", "tool": "TOOL", "llm": "CHAT_MODEL", DECISION: "GUARDRAIL"}
# What the library and its stores raise; none of it may reach what is traced.
_TROUBLE = (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError)


class MlflowTraces(SinkTraces):
    """A `TracesPort` on MLflow; see `SinkTraces` for what it shares with others.

    Args:
        uri: the tracking database or server.
        experiment: the name of the experiment the traces belong to; made when missing.
        artifacts: where files of that experiment go (None: MLflow's choice).
        patience_s: how long `check` waits for an answer.
    """

    name = "mlflow"

    def __init__(
        self,
        uri: str,
        experiment: str = "evercrew",
        *,
        artifacts: str | None = None,
        clock: Clock | None = None,
        content: bool = True,
        anonymizer: Anonymizer = redacted,
        waiting: int = WAITING,
        journal: Journal | None = None,
        patience_s: float = 15.0,
    ) -> None:
        super().__init__(clock=clock, content=content, anonymizer=anonymizer, waiting=waiting, journal=journal)
        self._uri = uri
        self._shown = _without_credentials(uri)
        self._experiment = experiment
        self._artifacts = artifacts
        self._patience_s = patience_s
        self._connecting = threading.Lock()
        self._connected: tuple[TracingClient, str] | None = None

    def take(self, span: SpanData) -> None:
        """See `SpanTree.take`. A request belongs to the trace of whoever sent it, which MLflow does not have."""
        if span.kind != REQUEST and (span.end is not None or self.journaled):
            super().take(span)

    def ready(self) -> None:
        """See `SinkTraces.ready`. A database on this machine is opened here: that takes seconds, and it cannot hang."""
        if self._uri.startswith("sqlite:"):
            with suppress(EvercrewError):  # `send` meets the same, and tells
                self._client()

    def send(self, spans: Sequence[SpanData], ratings: Sequence[Rating]) -> None:
        """See `SinkTraces.send`."""
        client, experiment = self._client()
        logged = [_span(span, experiment) for span in spans if span.end is not None]
        with told(artifacts=None, s3_endpoint_url=None):
            try:
                if logged:
                    client.store.log_spans(experiment, logged)
                for rating in ratings:
                    _rate(client, rating)
            except (NotImplementedError, *_TROUBLE) as error:
                raise DependencyUnavailable(_NAME, f"{self._shown} did not take spans: {error}", _REMEDY) from error

    def check(self) -> str:
        """See `TracesPort.check`."""
        problem: list[EvercrewError] = []

        def ask() -> None:
            try:
                self._client()
            except EvercrewError as error:
                problem.append(error)

        asking = threading.Thread(target=ask, name="evercrew-mlflow-check", daemon=True)
        asking.start()
        asking.join(self._patience_s)
        if problem:
            raise problem[0]
        if self._connected is None:
            raise DependencyTimeout(_NAME, "it did not answer in time", "Look at the server of tracking.uri")
        return f"traces: mlflow at {self._shown}, experiment {self._experiment}, {self.lost} lost"

    def _client(self) -> tuple[TracingClient, str]:
        with self._connecting:
            if self._connected is None:
                self._connected = self._connect()
            return self._connected

    def _connect(self) -> tuple[TracingClient, str]:
        try:
            import mlflow
            from mlflow.tracing.client import TracingClient

            with told(artifacts=None, s3_endpoint_url=None):
                client = mlflow.MlflowClient(self._uri)
                known = client.get_experiment_by_name(self._experiment)
                # Runs and models are in it as well: whoever makes it says where its files go.
                found = known.experiment_id if known else client.create_experiment(self._experiment, self._artifacts)
        except (ImportError, *_TROUBLE) as error:
            raise DependencyUnavailable(_NAME, f"{self._shown} cannot be used: {error}", _REMEDY) from error
        if not found:
            raise DependencyLied(_NAME, "it names no experiment: what answers is no MLflow server", _REMEDY)
        return TracingClient(self._uri), str(found)


def _span(span: SpanData, experiment: str) -> Span:
    """Return a span of MLflow's; attributes are JSON text there."""
    from mlflow.entities import Span

    from adapters.traces.readable import readable, text

    given = {
        "mlflow.traceRequestId": _trace(span.place.trace),
        "mlflow.experimentId": experiment,
        "mlflow.spanType": _TYPES.get(span.kind, "UNKNOWN"),
        "mlflow.spanInputs": dict(span.inputs),
        "mlflow.spanOutputs": dict(span.outputs),
        "cycle_id": span.cycle_id,
        **span.facts,
        **_usage(span),
    }
    if span.is_root:
        given["session.id"] = span.cycle_id
    if span.error:
        given["error"] = span.error
    return Span(readable(span, {name: text(value) for name, value in given.items() if value is not None}))


def _usage(span: SpanData) -> dict[str, Any]:
    usage = span.facts.get("usage")
    if span.kind != MODEL or not isinstance(usage, Mapping):
        return {}
    tokens = {name: usage.get(name) or 0 for name in ("input_tokens", "output_tokens", "total_tokens")}
    cost = {"input_cost": 0.0, "output_cost": 0.0, "total_cost": float(usage.get("cost_usd") or 0.0)}
    return {
        "mlflow.chat.tokenUsage": tokens,
        "mlflow.llm.cost": cost,
        "mlflow.llm.model": usage.get("model"),
        "mlflow.llm.provider": usage.get("provider"),
    }


def _rate(client: TracingClient, rating: Rating) -> None:
    from mlflow.entities import AssessmentSource, Feedback

    trace = _trace(rating.place.trace)
    info = client.get_trace_info(trace)
    if any(known.name == rating.key for known in info.assessments or ()):
        return  # it was told before
    value = rating.value if rating.score is None else rating.score
    rationale = ": ".join(filter(None, (rating.value, rating.comment)))
    source = AssessmentSource(source_type="CODE", source_id="evercrew")
    client.log_assessment(trace, Feedback(name=rating.key, value=value, rationale=rationale, source=source))


def _trace(trace: str) -> str:
    return f"tr-{trace}"


def _without_credentials(uri: str) -> str:
    scheme, mark, rest = uri.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"
