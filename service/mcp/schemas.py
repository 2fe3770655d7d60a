"""The schemas of tools, made from the OpenAPI of the REST API: what an operation takes is what its tool takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from service.mcp.offers import API, Offer

_COMPONENTS = "#/components/schemas/"
# What a text may look like is no promise any more once it is marked as untrusted.
_OF_TEXT = ("pattern", "format", "maxLength", "minLength", "const")


class Operation:
    """One operation: where each argument goes, and the schemas of a tool for it."""

    def __init__(self, offer: Offer, openapi: Mapping[str, Any]) -> None:
        self._openapi = openapi
        self._told = openapi["paths"][f"{API}{offer.path}"][offer.method]
        listed = [
            p for p in self._told.get("parameters", ()) if p["in"] != "header" and p["name"] not in offer.left_out
        ]
        self.in_path = tuple(p["name"] for p in listed if p["in"] == "path")
        self.in_query = tuple(p["name"] for p in listed if p["in"] == "query")
        self._parameters = listed
        self._body = self._body_schema()

    @property
    def in_body(self) -> tuple[str, ...]:
        """The arguments that go into the body."""
        return tuple(self._body.get("properties", {}))

    def takes(self) -> dict[str, Any]:
        """Return the schema of the arguments; an argument that is not in it is an error."""
        properties = {p["name"]: _described(p) for p in self._parameters} | dict(self._body.get("properties", {}))
        required = [p["name"] for p in self._parameters if p.get("required")] + list(self._body.get("required", ()))
        made = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        return self._standing(made)

    def answers(self) -> dict[str, Any]:
        """Return the schema of the answer, without what marked texts cannot keep to."""
        responses = self._told["responses"]
        told = next(responses[code] for code in ("200", "202", "201") if code in responses)
        return dict(_loosened(self._standing(dict(self._resolved(told["content"]["application/json"]["schema"])))))

    def _body_schema(self) -> dict[str, Any]:
        content = self._told.get("requestBody", {}).get("content", {}).get("application/json", {})
        schema = content.get("schema", {})
        # A body that may be left out is an object or null; its fields may be left out then.
        whole = next((part for part in schema.get("anyOf", ()) if part.get("type") != "null"), schema)
        return dict(self._resolved(whole))

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        name = schema.get("$ref", "").removeprefix(_COMPONENTS)
        found: Mapping[str, Any] = self._openapi["components"]["schemas"][name] if name else schema
        return found

    def _standing(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a schema that stands alone: what it refers to goes along."""
        needed: dict[str, Any] = {}
        waiting = list(_refs(schema))
        while waiting:
            name = waiting.pop()
            if name not in needed:
                needed[name] = self._openapi["components"]["schemas"][name]
                waiting += _refs(needed[name])
        whole = {**schema, "$defs": needed} if needed else schema
        return dict(_rewritten(whole))


def _described(parameter: Mapping[str, Any]) -> dict[str, Any]:
    about = {"description": parameter["description"]} if "description" in parameter else {}
    return {**parameter.get("schema", {}), **about}


def _refs(schema: Any) -> Iterator[str]:
    match schema:
        case Mapping():
            if isinstance(schema.get("$ref"), str):
                yield schema["$ref"].removeprefix(_COMPONENTS)
            for inner in schema.values():
                yield from _refs(inner)
        case list():
            for inner in schema:
                yield from _refs(inner)


def _rewritten(schema: Any) -> Any:
    match schema:
        case Mapping():
            return {
                key: f"#/$defs/{inner.removeprefix(_COMPONENTS)}" if key == "$ref" else _rewritten(inner)
                for key, inner in schema.items()
            }
        case list():
            return [_rewritten(inner) for inner in schema]
        case _:
            return schema


def _loosened(schema: Any) -> Any:
    match schema:
        case Mapping() if schema.get("type") == "string":
            return {key: inner for key, inner in schema.items() if key not in _OF_TEXT}
        case Mapping():
            return {key: _loosened(inner) for key, inner in schema.items()}
        case list():
            return [_loosened(inner) for inner in schema]
        case _:
            return schema
