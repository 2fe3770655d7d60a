"""Traces on LangSmith.

Each span is posted when it is opened and patched when it is closed, so that a cycle can be watched while it runs. The
identity of the root is the trace's, and follows from the cycle; `dotted_order` says where in the tree a span stands.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import langsmith
import requests
import zstandard
from langsmith.utils import (
    LangSmithAuthError,
    LangSmithConflictError,
    LangSmithError,
    LangSmithNotFoundError,
    LangSmithRequestTimeout,
)
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from adapters.address import http_address, plain_key
from adapters.traces.base import Journal
from adapters.traces.pump import WAITING
from adapters.traces.redact import redacted
from adapters.traces.sink import Anonymizer, SinkTraces
from domain.clock import Clock
from domain.errors import DependencyError, DependencyLied, DependencyTimeout, DependencyUnavailable
from domain.trace import DECISION, MODEL, REQUEST, Rating, SpanData, SpanPlace

LANGSMITH_URL = "https://api.smith.langchain.com"
_NAME = "langsmith"
_WORTH_COMPRESSING = 4096
_ADDRESS = "Mend LANGSMITH_ENDPOINT: it has to be the address of LangSmith's API"
# LangSmith has no type of run for a decision of the door; its kind is told in the metadata.
_TYPES = {DECISION: "chain"}


class LangSmithTraces(SinkTraces):
    """A `TracesPort` on LangSmith; see `SinkTraces` for what it shares with others.

    Raises:
        ConfigurationError: the address or the key cannot be one.
    """

    name = _NAME

    def __init__(
        self,
        *,
        api_key: str,
        clock: Clock,
        endpoint: str = LANGSMITH_URL,
        project: str = "evercrew",
        content: bool = True,
        anonymizer: Anonymizer = redacted,
        waiting: int = WAITING,
        timeout_s: float = 5.0,
        journal: Journal | None = None,
    ) -> None:
        super().__init__(clock=clock, content=content, anonymizer=anonymizer, waiting=waiting, journal=journal)
        self._project = project
        self._endpoint = endpoint
        self._refusals: list[Exception] = []
        # What it could not send the SDK also tells its log; here it is counted, and `check` says why.
        logging.getLogger("langsmith").setLevel(logging.CRITICAL)
        wire = requests.Session()
        self._client = langsmith.Client(
            str(http_address(endpoint, field="LANGSMITH_ENDPOINT")),
            api_key=plain_key(api_key, field="LANGSMITH_API_KEY"),
            retry_config=Retry(total=0),
            timeout_ms=int(timeout_s * 1000),
            auto_batch_tracing=False,
            omit_traced_runtime_info=True,
            tracing_error_callback=self._refused,
            session=wire,
        )
        for scheme in ("http://", "https://"):  # after the client, which mounts its own
            wire.mount(scheme, _Compressing(self))

    @property
    def compressing(self) -> bool:
        """Whether the endpoint takes compressed posts; asked once it can be."""
        flags = self._client.info.instance_flags or {}
        return bool(flags.get("zstd_compression_enabled"))

    def take(self, span: SpanData) -> None:
        """See `SpanTree.take`. A request belongs to the trace of whoever sent it, which LangSmith does not have."""
        if span.kind != REQUEST:
            super().take(span)

    def send(self, spans: Sequence[SpanData], ratings: Sequence[Rating]) -> None:
        """See `SinkTraces.send`."""
        self._refusals.clear()
        try:
            if spans:
                self._ingest(spans)
            for rating in ratings if not self._refusals else ():
                self._rate(rating)
        except (LangSmithError, requests.RequestException, ValueError, TypeError, OSError) as error:
            self._refusals.append(error)
        if self._refusals:
            raise _explained(self._refusals[0])

    def check(self) -> str:
        """See `TracesPort.check`."""
        told = self._asked("/info", {})
        if not isinstance(told, dict) or "version" not in told:
            raise DependencyLied(_NAME, "what answers is not LangSmith", _ADDRESS)
        # Anybody may ask for /info; the projects are shown to a key only.
        self._asked("/sessions", {"limit": "1", "name": self._project})
        return f"traces: langsmith {told['version']} at {self._endpoint}, project {self._project}, {self.lost} lost"

    def _ingest(self, spans: Sequence[SpanData]) -> None:
        create = [self._run(span) for span in spans if span.end is None]
        update = [self._run(span) for span in spans if span.end is not None]
        try:
            self._client.multipart_ingest(create=create, update=update)
        except LangSmithNotFoundError:
            # An older or self-hosted endpoint without the multipart path.
            self._client.batch_ingest_runs(create=create, update=update)

    def _run(self, span: SpanData) -> dict[str, Any]:
        """Return a span as a run. A patch repeats what the post said: should that have been lost, it stands alone."""
        run = {
            "id": _uuid(span.place.id),
            "trace_id": _uuid(span.place.trace),
            "dotted_order": _order(span.place),
            "session_name": self._project,
            "name": span.name,
            "run_type": _TYPES.get(span.kind, span.kind),
            "start_time": span.start,
            "extra": {"metadata": _metadata(span)},
        }
        if span.place.parent:
            run["parent_run_id"] = _uuid(span.place.parent)
        if span.end is None:
            return {**run, "inputs": dict(span.inputs)}
        again = {"inputs": dict(span.inputs)} if span.inputs else {}
        return {**run, **again, "end_time": span.end, "outputs": dict(span.outputs), "error": span.error or None}

    def _rate(self, rating: Rating) -> None:
        body = {
            "id": _uuid(rating.id),
            "run_id": _uuid(rating.place.id),
            "trace_id": _uuid(rating.place.trace),
            "key": rating.key,
            "score": rating.score,
            "value": rating.value or None,
            "comment": rating.comment or None,
            "created_at": rating.at.isoformat(),
            "modified_at": rating.at.isoformat(),
            "start_time": rating.place.start.isoformat(),
            "feedback_source": {"type": "api", "metadata": {"by": "evercrew"}},
        }
        try:
            self._client.request_with_retries("POST", "/feedback", stop_after_attempt=1, request_kwargs={"json": body})
        except LangSmithConflictError:
            return  # it was told before

    def _asked(self, path: str, params: Mapping[str, str]) -> Any:
        try:
            answer = self._client.request_with_retries("GET", path, stop_after_attempt=1, params=dict(params))
            return answer.json()
        except (LangSmithError, requests.RequestException) as error:
            raise _explained(error) from error

    def _refused(self, error: Exception) -> None:
        # The SDK swallows what the endpoint refused and tells it only here.
        self._refusals.append(error)


class _Compressing(HTTPAdapter):
    """Compresses posts of spans where the endpoint says that it takes them so (Zstandard, RFC 8878)."""

    def __init__(self, home: LangSmithTraces) -> None:
        super().__init__(max_retries=0)
        self._home = home

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send; see `HTTPAdapter.send`."""
        body = request.body
        if not isinstance(body, bytes) or len(body) <= _WORTH_COMPRESSING:
            return super().send(request, *args, **kwargs)
        if str(request.url).endswith("/runs/multipart") and self._home.compressing:
            request.body = zstandard.ZstdCompressor(level=3).compress(body)
            request.headers["Content-Encoding"] = "zstd"
            request.headers["Content-Length"] = str(len(request.body))
        return super().send(request, *args, **kwargs)


def _metadata(span: SpanData) -> dict[str, Any]:
    """Return the metadata of a run: what LangSmith counts tokens and costs by, and the links to the audit chain."""
    metadata: dict[str, Any] = {"cycle_id": span.cycle_id, "kind": span.kind, **span.facts}
    usage = metadata.pop("usage", None)
    if span.kind == MODEL and isinstance(usage, Mapping):
        metadata["ls_model_name"] = usage.get("model", "")
        metadata["ls_provider"] = usage.get("provider", "")
        metadata["ls_model_type"] = "chat"
        metadata["usage_metadata"] = {
            "input_tokens": usage.get("input_tokens") or 0,
            "output_tokens": usage.get("output_tokens") or 0,
            "total_tokens": usage.get("total_tokens") or 0,
            "total_cost": usage.get("cost_usd") or 0.0,
        }
    return metadata


def _explained(error: Exception) -> DependencyError:
    told = " ".join(str(error).split())[:300]
    if isinstance(error, requests.JSONDecodeError | LangSmithNotFoundError | ValueError | TypeError):
        return DependencyLied(_NAME, f"what answers is not LangSmith: {told}", _ADDRESS)
    if isinstance(error, requests.Timeout | LangSmithRequestTimeout) or "timed out" in str(error):
        return DependencyTimeout(_NAME, "it did not answer in time", "Look at the endpoint's load and the network")
    if isinstance(error, LangSmithAuthError) or "403 Client Error" in told:
        remedy = (
            "Check LANGSMITH_API_KEY, which may read projects and create runs, and the region of LANGSMITH_ENDPOINT"
        )
        return DependencyUnavailable(_NAME, f"it refuses the key: {told}", remedy)
    return DependencyUnavailable(_NAME, f"it cannot be reached: {told}", "Check LANGSMITH_ENDPOINT and the network")


def _uuid(identity: str) -> str:
    return str(UUID(identity))


def _order(place: SpanPlace) -> str:
    return ".".join(f"{step.start:%Y%m%dT%H%M%S%fZ}{_uuid(step.id)}" for step in place.path)
