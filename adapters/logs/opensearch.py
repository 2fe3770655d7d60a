"""Log lines in OpenSearch: `POST /{index}/_search` with a range of times, newest first.

Text is matched as a phrase of whole words, as the index analyses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from adapters.logs.base import Found, LogLine, checked, level_of, newest, words_for
from adapters.logs.parsing import of_json
from adapters.rest import Endpoint, NotFound, RestClient
from adapters.search.answers import hits
from domain.clock import Clock
from domain.errors import ConfigurationError, DependencyLied, InvalidInput

NAME = "logs"
SECTION = "logs.http"
_TICK = timedelta(milliseconds=1)


class OpenSearchLogs:
    """`LogsPort` on the index pattern `index` of the OpenSearch at `endpoint`.

    Args:
        time_field, text_field, level_field: of a log document; the level must be a keyword.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        clock: Clock,
        index: str,
        time_field: str = "@timestamp",
        text_field: str = "message",
        level_field: str = "level",
    ) -> None:
        if not index or index.startswith(("_", "/")):
            raise ConfigurationError("logs.index", f"{index!r} is no index", "Name an index or a pattern, like logs-*")
        self._rest = RestClient(endpoint, name=NAME, field=SECTION, clock=clock)
        self._clock = clock
        self._index = index
        self._time, self._text, self._level = time_field, text_field, level_field

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()

    def search(
        self, since: datetime, until: datetime | None = None, contains: str = "", level: str = "", limit: int = 200
    ) -> Found:
        """See `LogsPort.search`."""
        checked(since, until, level, limit)
        span = {"gte": _stamp(since), "format": "strict_date_optional_time"}
        if until is not None:
            span["lt"] = _stamp(until)
        wanted: list[dict[str, Any]] = [{"range": {self._time: span}}]
        if contains:
            wanted.append({"match_phrase": {self._text: contains}})
        if level:
            wanted.append({"terms": {self._level: words_for(level)}})
        body = {
            "size": limit + 1,
            "sort": [{self._time: {"order": "desc", "unmapped_type": "date"}}],
            "query": {"bool": {"filter": wanted}},
        }
        found = [self._line(hit) for hit in hits(NAME, SECTION, self._ask("_search", body))]
        for line in found:
            # Times are asked for in whole milliseconds.
            if line.ts < since - _TICK or (until is not None and line.ts >= until + _TICK):
                raise DependencyLied(NAME, f"a line of {line.ts.isoformat()} was not asked for")
        kept = [line for line in found if line.ts >= since and (until is None or line.ts < until)]
        return newest(kept, limit, complete=len(found) <= limit)

    def check(self) -> str:
        """See `LogsPort.check`."""
        mapping = self._mapped(self._time, self._text, self._level)
        for field, name in (("time_field", self._time), ("text_field", self._text), ("level_field", self._level)):
            if name not in mapping:
                raise ConfigurationError(f"logs.{field}", f"{self._index} has no field {name!r}", "Name its own field")
        since = self._clock.now() - timedelta(days=1)
        body = {"query": {"range": {self._time: {"gte": _stamp(since), "format": "strict_date_optional_time"}}}}
        answer = self._ask("_count", body)
        count = answer.get("count") if isinstance(answer, dict) else None
        if not isinstance(count, int):
            raise DependencyLied(NAME, "the answer is no count", "Check logs.http.url: OpenSearch answers there")
        return f"{NAME}: OpenSearch, {count} lines of the last day in {self._index}"

    def _mapped(self, *fields: str) -> set[str]:
        path = f"/{quote(self._index, safe='*,')}/_field_caps"
        answer = self._found(lambda: self._rest.get(path, {"fields": ",".join(fields)}))
        caps = answer.get("fields") if isinstance(answer, dict) else None
        if not isinstance(caps, dict):
            raise DependencyLied(NAME, "the answer names no fields", "Check logs.http.url: OpenSearch answers there")
        return set(caps)

    def _ask(self, what: str, body: Mapping[str, Any]) -> Any:
        path = f"/{quote(self._index, safe='*,')}/{what}"
        return self._found(lambda: self._rest.request("POST", path, json=dict(body), repeatable=True))

    def _found(self, ask: Any) -> Any:
        try:
            return ask()
        except NotFound as error:
            raise ConfigurationError("logs.index", f"there is no index {self._index!r}", "Name one there is") from error
        except InvalidInput as error:
            raise ConfigurationError("logs.index", error.problem, "Check the fields named in logs") from error

    def _line(self, hit: Mapping[str, Any]) -> LogLine:
        source = hit.get("_source")
        if not isinstance(source, dict):
            raise DependencyLied(NAME, "a hit has no _source", "Let the index keep _source")
        known = {self._time: "ts", self._text: "event", self._level: "level"}
        line = of_json({known.get(str(name), str(name)): value for name, value in source.items()})
        if line is None:
            raise DependencyLied(NAME, f"a hit has no time in {self._time}", "Check logs.time_field")
        return line.model_copy(update={"level": level_of(line.level)})


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
