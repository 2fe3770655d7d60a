"""Checks exchanges against an OpenAPI 2 document: path, method, query, both bodies, status."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator, FormatChecker

from testbed.argocd import Exchange

SWAGGER = Path(__file__).resolve().parents[4] / "shared" / "contracts" / "argo-cd" / "swagger.json"
_FORMATS = FormatChecker(formats=())
# Parameters that span several segments of a path there.
_LONG = frozenset({"subresource"})


@_FORMATS.checks("date-time")
def _date_time(value: object) -> bool:
    return not isinstance(value, str) or bool(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value)
    )


class Specification:
    """The document; objects with named fields take no others."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._definitions = {name: _closed(name, document["definitions"]) for name in document["definitions"]}
        self._validators: dict[str, Draft4Validator] = {}
        paths = sorted(document["paths"], key=lambda path: (path.count("{"), path))
        self._paths = [(_pattern(path), document["paths"][path]) for path in paths]

    @classmethod
    def load(cls, path: Path = SWAGGER) -> Specification:
        """Return the specification of a file."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def violations(self, exchange: Exchange) -> list[str]:
        """Return what is wrong with an exchange."""
        what = f"{exchange.method} {exchange.path}"
        operation = self._operation(exchange)
        if operation is None:
            return [f"{what}: there is no such operation"]
        found = [
            *self._query(operation, exchange),
            *self._sent(operation, exchange),
            *self._answered(operation, exchange),
        ]
        return [f"{what}: {problem}" for problem in found]

    def problems(self, value: object, definition: str) -> list[str]:
        """Return where a value does not fit a definition."""
        if definition not in self._validators:
            schema = {"definitions": self._definitions, "$ref": f"#/definitions/{definition}"}
            self._validators[definition] = Draft4Validator(schema, format_checker=_FORMATS)
        errors = self._validators[definition].iter_errors(value)
        return [f"{'.'.join(map(str, error.absolute_path)) or '(all)'}: {error.message[:160]}" for error in errors]

    def _operation(self, exchange: Exchange) -> Mapping[str, Any] | None:
        for pattern, methods in self._paths:
            if pattern.fullmatch(exchange.path) and exchange.method.lower() in methods:
                found: Mapping[str, Any] = methods[exchange.method.lower()]
                return found
        return None

    def _query(self, operation: Mapping[str, Any], exchange: Exchange) -> Iterator[str]:
        known = {p["name"]: p for p in operation.get("parameters", ()) if p["in"] == "query"}
        for name, value in exchange.query:
            if name not in known:
                yield f"query parameter {name!r} is not known"
            elif known[name].get("type") == "integer" and not re.fullmatch(r"-?\d+", value):
                yield f"query parameter {name!r} is no integer: {value!r}"
            elif known[name].get("type") == "boolean" and value not in ("true", "false"):
                yield f"query parameter {name!r} is no boolean: {value!r}"
        for name, parameter in known.items():
            if parameter.get("required") and name not in dict(exchange.query):
                yield f"query parameter {name!r} is missing"

    def _sent(self, operation: Mapping[str, Any], exchange: Exchange) -> Iterator[str]:
        body = next((p for p in operation.get("parameters", ()) if p["in"] == "body"), None)
        if body is None:
            if exchange.sent:
                yield "a body was sent, and none is foreseen"
            return
        if not exchange.sent:
            yield "the body is missing"
            return
        for problem in self._fits(exchange.sent, body["schema"]):
            yield f"request: {problem}"

    def _answered(self, operation: Mapping[str, Any], exchange: Exchange) -> Iterator[str]:
        responses = operation["responses"]
        if str(exchange.status) not in responses and exchange.status < 400:
            yield f"status {exchange.status} is not foreseen"
            return
        response = responses.get(str(exchange.status), responses.get("default"))
        for problem in self._fits(exchange.answered, response["schema"]):
            yield f"answer {exchange.status}: {problem}"

    def _fits(self, content: bytes, schema: Mapping[str, Any]) -> list[str]:
        try:
            value = json.loads(content)
        except ValueError:
            return ["is no JSON"]
        return self.problems(value, schema["$ref"].rpartition("/")[2])


class Recorder:
    """Takes every exchange of a server and keeps what breaks the specification; damage done on purpose is left out."""

    def __init__(self, specification: Specification | None) -> None:
        self._specification = specification
        self.exchanges: list[Exchange] = []
        self.violations: list[str] = []

    def __call__(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        if self._specification is not None and not exchange.broken:
            self.violations += self._specification.violations(exchange)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{([^}]+)\}", path)
    names = parts[1::2]
    pieces = [re.escape(parts[0])]
    for name, rest in zip(names, parts[2::2], strict=True):
        pieces += [".+" if name in _LONG else "[^/]+", re.escape(rest)]
    return re.compile("".join(pieces))


def _closed(name: str, definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return a definition whose object takes named fields only, its `allOf` merged in."""
    definition = dict(definitions[name])
    fields = dict(definition.get("properties", {}))
    for part in definition.pop("allOf", ()):
        fields |= _closed(part["$ref"].rpartition("/")[2], definitions).get("properties", {})
    if fields:
        definition["properties"] = fields
        definition.setdefault("additionalProperties", False)
    return definition
