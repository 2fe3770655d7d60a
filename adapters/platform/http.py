"""The platform over its HTTP API, by httpx.

Reads are retried when the connection fails or the service answers 502, 503 or 504; putting rows into quarantine is
idempotent by its key on the other side, so it is retried alike. Lists come as one JSON object a line and are read as
a stream, bounded in bytes.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.address import http_address
from adapters.logs.base import LogLine
from adapters.platform.base import EFFECT_QUARANTINE, JudgementRow, PlatformDocument
from domain.candidate import LiveState, VariantState
from domain.clock import Clock
from domain.errors import ConflictError, DependencyLied, DependencyTimeout, DependencyUnavailable, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

NAME = "platform"
_AGAIN = frozenset({502, 503, 504})
_LOG_FIELDS = frozenset({"ts", "level", "event"})
_ADDRESS = "Check platform.url: it has to be the address of the platform's own API"
_LOAD = "Look at the platform's load and its log"
T = TypeVar("T")
Row = TypeVar("Row", bound=BaseModel)


class _Index(BaseModel):
    model_config = ConfigDict(extra="ignore")

    generation: int


class _Version(BaseModel):
    """The answer of ``/version``, as far as it is used."""

    model_config = ConfigDict(extra="ignore")

    digest: str
    values_revision: str
    mode: str
    mode_source: str
    tier: str
    variants: tuple[VariantState, ...]
    index: _Index
    values_applied_at: datetime | None = None


class _Quarantine(BaseModel):
    model_config = ConfigDict(extra="ignore")

    key: str
    dropped: int


class HttpPlatform:
    """`PlatformPort` on the API below `url`.

    `timeout` is for every read of the wire, `deadline` for one whole answer, `most_bytes` bounds it. `headers` may
    carry authorisation.

    Raises:
        ConfigurationError: the url is none.
    """

    def __init__(
        self,
        *,
        url: str,
        permits: PermitVerifier,
        clock: Clock,
        timeout: timedelta = timedelta(seconds=20),
        deadline: timedelta = timedelta(minutes=5),
        attempts: int = 3,
        pause: timedelta = timedelta(milliseconds=200),
        most_bytes: int = 512 * 1024 * 1024,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._permits = permits
        self._clock = clock
        self._deadline = deadline.total_seconds()
        self._attempts = max(attempts, 1)
        self._pause = pause
        self._most_bytes = most_bytes
        self._client = httpx.Client(
            base_url=http_address(url, field="platform.url"),
            headers=dict(headers or {}),
            timeout=httpx.Timeout(timeout.total_seconds(), connect=min(timeout.total_seconds(), 5.0)),
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def live(self) -> LiveState:
        """See `PlatformPort.live`."""
        version = _parsed(_Version, self._ask("GET", "/version"), "/version")
        return LiveState(
            digest=version.digest,
            revision=version.values_revision,
            mode=version.mode,
            mode_source=version.mode_source,
            tier=version.tier,
            variants=version.variants,
            index_generation=version.index.generation,
            applied_at=version.values_applied_at,
        )

    def documents(self, since_seq: int = 0) -> Sequence[PlatformDocument]:
        """See `PlatformPort.documents`."""
        rows = self._rows("/data/documents", {"since_seq": since_seq}, PlatformDocument.model_validate_json, None)
        return sorted(rows, key=lambda row: row.seq)

    def judgements(
        self, since: datetime | None = None, until: datetime | None = None, limit: int = 20_000
    ) -> Sequence[JudgementRow]:
        """See `PlatformPort.judgements`."""
        asked = {**_span(since, until), "limit": _positive(limit)}
        return self._rows("/data/judgements", asked, JudgementRow.model_validate_json, limit)

    def logs(
        self, since: datetime | None = None, contains: str = "", level: str = "", limit: int = 200
    ) -> Sequence[LogLine]:
        """See `PlatformPort.logs`."""
        asked: dict[str, str | float | int] = {**_span(since, None), "limit": _positive(limit)}
        if contains:
            asked["contains"] = contains
        if level:
            asked["level"] = level
        return self._rows("/data/logs", asked, _log_line, limit)

    def quarantine(self, *, since: datetime, until: datetime | None, rule: str, key: str, permit: Permit | None) -> int:
        """See `PlatformPort.quarantine`.

        Raises:
            ConflictError: the key stands for another quarantine.
            InvalidInput: the platform does not know the rule, or refuses the span.
        """
        self._permits.spend(permit, effect=EFFECT_QUARANTINE, key=key)
        body = {
            "key": key,
            "since": since.timestamp(),
            "until": until.timestamp() if until is not None else None,
            "rule": rule,
        }
        return _parsed(_Quarantine, self._ask("POST", "/data/quarantine", json=body), "/data/quarantine").dropped

    def observe(self, key: str) -> Observation:
        """See `PlatformPort.observe`."""
        path = f"/data/quarantine/{quote(key, safe='')}"
        answer = self._ask("GET", path, absent_is_none=True)
        if answer is None:
            return Observation.absent("the platform has no quarantine with the key")
        found = _parsed(_Quarantine, answer, path)
        if found.key != key:
            raise DependencyLied(NAME, f"asked for the quarantine {key!r}, it answered with {found.key!r}")
        return Observation.done({"quarantined": found.dropped})

    def check(self) -> str:
        """See `PlatformPort.check`."""
        self._ask("GET", "/healthz")
        live = self.live()
        return f"{NAME}: serves {live.digest[:19]} at revision {live.revision[:12]}"

    def _ask(self, method: str, path: str, *, json: Any = None, absent_is_none: bool = False) -> str | None:
        """Return the body of the answer, or None for 404 where that is an answer."""

        def once() -> str | None:
            with self._client.stream(method, path, json=json) as response:
                body = b"".join(self._bounded(response, path)).decode("utf-8", "replace")
            if response.status_code == 404 and absent_is_none:
                return None
            _raise_for(response.status_code, path, body)
            return body

        return self._retried(once, path)

    def _rows(
        self,
        path: str,
        asked: Mapping[str, str | float | int],
        parse: Callable[[str], Row],
        limit: int | None,
    ) -> Sequence[Row]:
        """Return the parsed lines, the last `limit` of them."""

        def once() -> Sequence[Row]:
            with self._client.stream("GET", path, params=dict(asked)) as response:
                if response.status_code != 200:
                    _raise_for(
                        response.status_code, path, b"".join(self._bounded(response, path)).decode("utf-8", "replace")
                    )
                kept: deque[Row] = deque(maxlen=limit)
                for number, line in enumerate(_lines(self._bounded(response, path)), start=1):
                    if line.strip():
                        kept.append(_line_parsed(parse, line, path, number))
            return list(kept)

        return self._retried(once, path)

    def _bounded(self, response: httpx.Response, path: str) -> Iterator[bytes]:
        seen, end = 0, self._clock.monotonic() + self._deadline
        for chunk in response.iter_bytes():
            seen += len(chunk)
            if self._clock.monotonic() > end:
                raise DependencyTimeout(NAME, f"the answer of {path} did not end within {self._deadline:g} s", _LOAD)
            if seen > self._most_bytes:
                raise DependencyLied(NAME, f"the answer of {path} is longer than {self._most_bytes} bytes")
            yield chunk

    def _retried(self, once: Callable[[], T], path: str) -> T:
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                return once()
            except httpx.TimeoutException as error:
                if last:
                    raise DependencyTimeout(NAME, f"{path} did not answer in time", _LOAD) from error
            except httpx.HTTPError as error:
                if last:
                    raise DependencyUnavailable(
                        NAME, f"{path}: {type(error).__name__}: {error}", "Check that it runs, and platform.url"
                    ) from error
            except _TryAgain as error:
                if last:
                    raise DependencyUnavailable(NAME, str(error), _LOAD) from error
            self._clock.sleep(self._pause * 2 ** (attempt - 1))
        raise DependencyUnavailable(NAME, f"{path} was not asked")


class _TryAgain(Exception):
    """The service says that it is not ready; never leaves this module."""


def _raise_for(status: int, path: str, body: str) -> None:
    if 200 <= status < 300:
        return
    detail = f"{path} answered {status}: {' '.join(body.split())[:300]}"
    if status in _AGAIN:
        raise _TryAgain(detail)
    if status == 409:
        raise ConflictError(detail)
    if status in (400, 422):
        raise InvalidInput(path, detail, "Mend the request")
    if status in (401, 403):
        raise DependencyUnavailable(NAME, detail, "Let this machine in at the platform, or at the proxy before it")
    raise DependencyUnavailable(NAME, detail, _ADDRESS if status < 500 else _LOAD)


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Lines of a stream.

    Split at line feeds only: other characters that Python takes for line ends may stand in texts.
    """
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")


def _parsed(form: type[Row], body: str | None, path: str) -> Row:
    try:
        return form.model_validate_json(body or "")
    except ValidationError as error:
        raise DependencyLied(NAME, f"{path}: {_first(error)}", _ADDRESS) from error


def _line_parsed(parse: Callable[[str], Row], line: str, path: str, number: int) -> Row:
    try:
        return parse(line)
    except ValidationError as error:
        raise DependencyLied(NAME, f"{path}, line {number}: {_first(error)}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise DependencyLied(NAME, f"{path}, line {number}: {error}") from error


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"field {'.'.join(map(str, problem['loc'])) or '(all)'}: {problem['msg']}"


def _log_line(line: str) -> LogLine:
    raw = json.loads(line)
    if not isinstance(raw, dict):
        raise ValueError("is not a JSON object")
    rest = {name: value for name, value in raw.items() if name not in _LOG_FIELDS}
    fields = json.dumps(rest, sort_keys=True, ensure_ascii=False) if rest else ""
    return LogLine.model_validate({name: raw.get(name) for name in _LOG_FIELDS} | {"fields": fields})


def _span(since: datetime | None, until: datetime | None) -> dict[str, float]:
    return {name: moment.timestamp() for name, moment in (("since", since), ("until", until)) if moment is not None}


def _positive(limit: int) -> int:
    if limit < 1:
        raise InvalidInput("limit", f"{limit} is not a number of rows", "Ask for at least 1")
    return limit
