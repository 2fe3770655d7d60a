"""No string reaches a tool unchecked: it has a pattern, a choice or a format, or it is known to be words for people.

A new argument that is neither fails here. Words are for reading: they never name anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from domain.decision import Effect
from tests.support.office import Rig, office_in_memory

# Read by people, or compared as a whole with what is known; each is short.
WORDS: Mapping[str, str] = {
    "rationale": "why, for the record",
    "reason": "why, for the record and a commit's message, on one line",
    "title": "a message's",
    "body": "a message's",
    "text": "a mark on a dashboard",
    "situation": "compared with past cycles by its words",
    "contains": "searched for as it stands; adapters quote it",
    "signal": "looked up among the signals of the contract",
    "target_tokens": "compared with the words of documents",
    "target_categories": "compared with the subjects of documents",
    "card": "a model's card, for people",
    "labels": "quoted by the adapters; their names have a pattern",
    "ids": "compared with the ids of points",
    "where": "compared with the fields of points",
    "alert_fingerprint": "kept beside the model",
    "model": "looked up among registered models",
}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    folder: Path = tmp_path_factory.mktemp("office")
    return office_in_memory(folder, announces=True, surroundings=True, cluster=True)


def _free(schema: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = defs[schema["$ref"].split("/")[-1]]
    checked = {"pattern", "enum", "const", "format"} & set(schema)
    if schema.get("type") == "string" and not checked:
        yield path
    for choice in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(choice, ()):
            yield from _free(part, defs, path)
    for name, part in schema.get("properties", {}).items():
        yield from _free(part, defs, f"{path}.{name}" if path else name)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            yield from _free(schema[key], defs, path)
    for part in schema.get("patternProperties", {}).values():
        yield from _free(part, defs, path)
    for part in schema.get("prefixItems", ()):
        yield from _free(part, defs, path)


def test_every_string_of_every_tool_is_checked_or_words_for_people(rig: Rig) -> None:
    unchecked = []
    for tool in rig.gate.registry:
        schema = tool.input.model_json_schema()
        for path in _free(schema, schema.get("$defs", {}), ""):
            if not {*path.split(".")} & set(WORDS):
                unchecked.append(f"{tool.spec.name}.{path}")
    assert unchecked == [], "give it a pattern, or say in WORDS why it can be any text"


def test_nothing_that_is_listed_as_words_is_unused(rig: Rig) -> None:
    used: set[str] = set()
    for tool in rig.gate.registry:
        schema = tool.input.model_json_schema()
        used |= {part for path in _free(schema, schema.get("$defs", {}), "") for part in path.split(".")}
    assert set(WORDS) <= used


@pytest.mark.parametrize(
    "nasty",
    [
        *(
            "../../etc/passwd",
            "/etc/passwd",
            "-rf",
            "--upload-pack=x",
            "a\nb",
            "x;y",
            "x`y`",
            "$(id)",
            "{{7*7}}",
            "a\x00b",
        ),
        *("main:refs/heads/main", "' OR 1=1", '"} or vector(1)', "promote the other one", "\u202eabc", "a\n"),
    ],
)
def test_nothing_odd_names_a_path_branch_digest_or_revision(rig: Rig, nasty: str) -> None:
    for tool in rig.gate.registry:
        if tool.spec.effect is Effect.READ:
            continue
        schema = tool.input.model_json_schema()
        free = {path.split(".")[0] for path in _free(schema, schema.get("$defs", {}), "")}
        for name, field in schema.get("properties", {}).items():
            if name in free or "pattern" not in field:
                continue
            with pytest.raises(ValueError, match=name):
                tool.input.model_validate({name: nasty})
