"""Grafana Loki's query API over lists of lines: selectors, label and line filters, pages from the newest on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.stubs.small_server import Asked, Said, said

_TEXT = r'"((?:[^"\\]|\\.)*)"'
_MATCHER = re.compile(rf"(\w+)\s*(=~|!~|!=|=)\s*{_TEXT}")
_QUERY = re.compile(rf"^(\{{[^}}]*\}})((?:\s*(?:\|\s*\w+\s*=~\s*{_TEXT}|\|~\s*{_TEXT}))*)$")
_STAGE = re.compile(rf"\|\s*(\w+)\s*=~\s*{_TEXT}|\|~\s*{_TEXT}")


@dataclass
class Stream:
    """Labels, and lines by their time in nanoseconds."""

    labels: Mapping[str, str]
    lines: Sequence[tuple[int, str]]


@dataclass
class LokiApi:
    """Answers as Loki does; `tenant` has to be named when it is set. `most` is the server's limit of a page."""

    streams: Sequence[Stream]
    tenant: str = ""
    most: int = 5000
    queries: list[str] = field(default_factory=list)

    def __call__(self, request: Asked) -> Said:
        if self.tenant and request.headers.get("x-scope-orgid") != self.tenant:
            return Said(401, b"no org id\n", "text/plain")
        match request.path:
            case "/loki/api/v1/query_range":
                return self._range(request.query)
            case "/loki/api/v1/series":
                found = [s.labels for s in self.streams if _selected(s.labels, request.query["match[]"])]
                return said({"status": "success", "data": found})
            case "/loki/api/v1/labels":
                names = sorted({name for stream in self.streams for name in stream.labels})
                return said({"status": "success", "data": names})
        return Said(404, b"404 page not found\n", "text/plain")

    def _range(self, query: Mapping[str, str]) -> Said:
        self.queries.append(query["query"])
        parsed = _QUERY.match(query["query"])
        limit = int(query.get("limit", 100))
        if parsed is None:
            return Said(400, b"parse error at line 1, col 1: syntax error\n", "text/plain")
        if limit > self.most:
            return Said(400, f"max entries limit per query exceeded, limit > {self.most}\n".encode(), "text/plain")
        selector, stages = parsed.group(1), [(m[0], _go(m[1] or m[2])) for m in _STAGE.findall(parsed.group(2))]
        start, end = int(query["start"]), int(query["end"])
        found = [
            (at, text, stream.labels)
            for stream in self.streams
            if _selected(stream.labels, selector)
            for at, text in stream.lines
            if start <= at < end and all(_passes(label, want, text, stream.labels) for label, want in stages)
        ]
        newest = sorted(found, key=lambda item: item[0], reverse=query.get("direction") == "backward")[:limit]
        result: dict[str, dict[str, Any]] = {}
        for at, text, labels in newest:
            entry = result.setdefault(json.dumps(labels, sort_keys=True), {"stream": labels, "values": []})
            entry["values"].append([str(at), text])
        data = {"resultType": "streams", "result": list(result.values()), "stats": {}}
        return said({"status": "success", "data": data})


def _selected(labels: Mapping[str, str], selector: str) -> bool:
    for name, operator, quoted in _MATCHER.findall(selector):
        want, value = _go(quoted), labels.get(name, "")
        equal = bool(re.fullmatch(want, value)) if "~" in operator else value == want
        if equal == operator.startswith("!"):
            return False
    return True


def _passes(label: str, want: str, text: str, labels: Mapping[str, str]) -> bool:
    return bool(re.fullmatch(want, labels.get(label, "")) if label else re.search(want, text))


def _go(quoted: str) -> str:
    """Return what a Go string literal says; of its escapes those that JSON shares."""
    return str(json.loads(f'"{quoted}"'))
