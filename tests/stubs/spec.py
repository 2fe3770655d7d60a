"""Checking exchanges against an OpenAPI 3.0 document, by JSON Schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema

from tests.stubs.small_server import Asked, Said

CONTRACTS = Path(__file__).resolve().parents[3] / "shared" / "contracts"


class Spec:
    """An OpenAPI document; `violations` lists where an exchange breaks it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = _plain(document)
        self._paths = {
            re.compile("^" + re.sub(r"\{[^}]+\}", "[^/]+", path) + "$"): path for path in self._document["paths"]
        }

    def violations(self, request: Asked, answer: Said) -> list[str]:
        """Return what is wrong with the request's path, parameters and body, and with the answer's body."""
        method = request.method.lower()
        paths = [path for pattern, path in self._paths.items() if pattern.match(request.path)]
        # The one with the fewest placeholders is meant.
        path = min((p for p in paths if method in self._document["paths"][p]), key=lambda p: p.count("{"), default=None)
        if path is None:
            return [f"{request.method} {request.path} is not described"]
        operation = self._document["paths"][path][method]
        where = f"{request.method} {path}"
        found = [f"{where}: no parameter {name}" for name in set(request.query) - _parameters(operation)]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if body is not None and request.body:
            found += self._wrong(body, request.json(), f"{where}: request")
        said = operation["responses"].get(str(answer.status), operation["responses"].get("default"))
        if said is None and 400 <= answer.status < 500:
            said = operation["responses"].get("4XX")
        if said is None:
            return [*found, f"{where}: the status {answer.status} is not described"]
        schema = said.get("content", {}).get("application/json", {}).get("schema")
        return [*found, *(self._wrong(schema, json.loads(answer.body), f"{where}: answer") if schema else [])]

    def _wrong(self, schema: Mapping[str, Any], value: Any, where: str) -> list[str]:
        whole = {**schema, "components": self._document.get("components", {})}
        validator = jsonschema.Draft202012Validator(whole)
        return [f"{where} {error.json_path}: {error.message[:300]}" for error in validator.iter_errors(value)]


def _parameters(operation: Mapping[str, Any]) -> set[str]:
    return {parameter["name"] for parameter in operation.get("parameters", []) if parameter.get("in") == "query"}


def _plain(node: Any) -> Any:
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {name: _plain(value) for name, value in node.items() if name not in ("nullable", "discriminator")}
    if node.get("nullable") is not True:
        return made
    return {"anyOf": [made, {"type": "null"}]} if made else {"type": "null"}
