"""Log lines of Grafana Loki: `GET /loki/api/v1/query_range`, newest first, page by page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.logs.base import Found, LogLine, checked, level_of, newest, words_for
from adapters.logs.parsing import of_text
from adapters.rest import Endpoint, NotFound, RestClient
from domain.clock import Clock
from domain.errors import ConfigurationError, DependencyLied, InvalidInput

NAME = "logs"
SECTION = "logs.http"
PAGE = 1000
MOST_PAGES = 10
RANGE = "/loki/api/v1/query_range"
_SELECTOR = re.compile(
    r'^\{\s*[a-zA-Z_]\w*\s*(=|!=|=~|!~)\s*"[^"\\]*"(\s*,\s*[a-zA-Z_]\w*\s*(=|!=|=~|!~)\s*"[^"\\]*")*\s*\}$'
)
_LABEL = re.compile(r"^[a-zA-Z_]\w*$")
_REMEDY = "Check logs.http.url: Loki answers below /loki/api/v1"


class LokiLogs:
    """`LogsPort` on the Loki at `endpoint`.

    Args:
        selector: the streams, e.g. ``{app="search"}``.
        level_label: a label that holds the level (``detected_level`` in Loki 3); empty to read it from the lines.
        tenant: sent as X-Scope-OrgID.
    """

    def __init__(
        self, *, endpoint: Endpoint, clock: Clock, selector: str, level_label: str = "", tenant: str = ""
    ) -> None:
        if not _SELECTOR.match(selector):
            raise ConfigurationError(
                "logs.selector", f"{selector!r} is no label selector", 'Write one like {app="search"}'
            )
        if level_label and not _LABEL.match(level_label):
            raise ConfigurationError("logs.level_label", f"{level_label!r} is no label", "Name a label")
        headers = {"X-Scope-OrgID": tenant} if tenant else None
        self._rest = RestClient(endpoint, name=NAME, field=SECTION, clock=clock, headers=headers)
        self._clock = clock
        self._selector = selector
        self._label = level_label

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()

    def search(
        self, since: datetime, until: datetime | None = None, contains: str = "", level: str = "", limit: int = 200
    ) -> Found:
        """See `LogsPort.search`."""
        checked(since, until, level, limit)
        query = self._query(contains, level)
        start, end = _nanos(since), _nanos(until or self._clock.now() + timedelta(seconds=1))
        seen: dict[tuple[int, str, str], LogLine] = {}
        kept: list[LogLine] = []
        for _ in range(MOST_PAGES):
            page = list(self._page(query, start, end))
            fresh = {key: line for key, line in page if key not in seen}
            seen.update(fresh)
            kept = [line for line in seen.values() if level in ("", line.level)]
            if len(page) < PAGE:
                return newest(kept, limit, complete=True)
            if len(kept) > limit or not fresh:
                return newest(kept, limit, complete=False)
            # The end is not part of a page: one more keeps lines of the same nanosecond, which were seen already.
            end = min(key[0] for key in fresh) + 1
        return newest(kept, limit, complete=False)

    def check(self) -> str:
        """See `LogsPort.check`."""
        now = self._clock.now()
        params = {"match[]": self._selector, "start": _nanos(now - timedelta(hours=6)), "end": _nanos(now)}
        streams = _data(self._get("/loki/api/v1/series", params))
        if not streams:
            labels = _data(self._get("/loki/api/v1/labels", {"start": params["start"], "end": params["end"]}))
            raise ConfigurationError(
                "logs.selector",
                f"{self._selector} matches no stream of the last six hours; labels there: {_listed(labels)}",
                "Mend the selector, or give the tenant that has the logs",
            )
        return f"{NAME}: Loki, {len(streams)} streams match {self._selector}"

    def _query(self, contains: str, level: str) -> str:
        query = self._selector
        if self._label and level:
            query += f" | {self._label}=~{_quoted('|'.join(words_for(level)))}"
        if contains:
            query += f" |~ {_quoted('(?i)' + _literal(contains))}"
        return query

    def _page(self, query: str, start: int, end: int) -> Iterator[tuple[tuple[int, str, str], LogLine]]:
        params = {"query": query, "start": start, "end": end, "limit": PAGE, "direction": "backward"}
        data = _data(self._get(RANGE, params))
        if not isinstance(data, dict) or data.get("resultType") != "streams":
            raise DependencyLied(NAME, f"{RANGE} answered with no streams", _REMEDY)
        for stream in data.get("result") or []:
            labels, values = _stream(stream)
            for value in values:
                nanos, text = _entry(value)
                if not start <= nanos < end:
                    raise DependencyLied(NAME, f"a line of {_moment(nanos).isoformat()} was not asked for")
                key = (nanos, text, json.dumps(labels, sort_keys=True))
                yield key, self._line(nanos, text, labels)

    def _line(self, nanos: int, text: str, labels: Mapping[str, str]) -> LogLine:
        line = of_text(text, _moment(nanos)) or LogLine(ts=_moment(nanos), level="", event=text)
        level = labels.get(self._label) or labels.get("level") or labels.get("detected_level") or line.level
        return line.model_copy(update={"ts": _moment(nanos), "level": level_of(level)})

    def _get(self, path: str, params: Mapping[str, Any]) -> Any:
        try:
            return self._rest.get(path, params)
        except NotFound as error:
            raise ConfigurationError("logs.http.url", f"nothing answers at {path}", _REMEDY) from error
        except InvalidInput as error:
            raise ConfigurationError("logs.selector", error.problem, "Check logs.selector and logs.tenant") from error


def _data(answer: Any) -> Any:
    if not isinstance(answer, dict) or answer.get("status") != "success":
        raise DependencyLied(NAME, "the answer is not one of Loki's", _REMEDY)
    return answer.get("data") or []


def _stream(stream: Any) -> tuple[Mapping[str, str], list[Any]]:
    labels, values = (stream.get("stream"), stream.get("values")) if isinstance(stream, dict) else (None, None)
    if not isinstance(labels, dict) or not isinstance(values, list):
        raise DependencyLied(NAME, "a stream has no labels or no values", _REMEDY)
    return labels, values


def _entry(value: Any) -> tuple[int, str]:
    try:
        return int(value[0]), str(value[1])
    except (TypeError, ValueError, LookupError) as error:
        raise DependencyLied(NAME, f"an entry is not a time and a line: {str(value)[:80]}", _REMEDY) from error


def _literal(text: str) -> str:
    """Return a regular expression (RE2) for exactly this text."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


def _quoted(text: str) -> str:
    """Return a LogQL string: its escapes are Go's, of which JSON's are a part."""
    return json.dumps(text, ensure_ascii=False)


def _nanos(moment: datetime) -> int:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return int((moment.astimezone(UTC) - epoch) / timedelta(microseconds=1)) * 1000


def _moment(nanos: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanos // 1000)


def _listed(labels: Any) -> str:
    return ", ".join(map(str, labels[:12])) if isinstance(labels, list) and labels else "none"
