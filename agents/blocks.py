"""Typed JSON inside prompts: marked blocks that a person, a model and the playbook read alike.

A block is a fence of its own, ```` ```json brief ````. JSON has no raw line breaks inside strings, so nothing inside
a value can open or close one; readers take the first block of a label, and every untrusted text stands after the
typed blocks in a prompt.

Which text is untrusted is decided by its form and not by a list of fields, so that a new field cannot be forgotten: a
string that is no plain name stands in a marked block, whoever wrote it; a key that is none is made one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from domain.canonical import json_ready
from domain.untrusted import Untrusted, name_of, one_line, plain
from domain.untrusted import shown as shown_text

BRIEF = "brief"
PROPOSAL = "proposal"
CHECK = "check"
HELD = "results you already hold"
REASON = "reason"

# A block on lines of its own; one inside of JSON is on a single line, with what is typed around it.
_UNTRUSTED = re.compile(r"^<<untrusted source=[^\n]*\n(?:\| [^\n]*\n)+untrusted>>$", flags=re.MULTILINE)
# What CrewAI would replace in any prompt it formats, wherever it stands.
_PLACEHOLDERS = re.compile(r"\{(input|tools|tool_names|role|goal|backstory)\}")


def block(label: str, value: Mapping[str, Any], *, marked: bool = False) -> str:
    """Return `value` as a marked block; untrusted texts inside are marked too, unless they are `marked` already."""
    ready = json_ready(value)
    text = json.dumps(ready if marked else shown(ready, label), ensure_ascii=False, sort_keys=True)
    return inert(f"```json {label}\n{text}\n```")


def read(text: str, label: str) -> dict[str, Any] | None:
    """Return the content of the first block of that label outside untrusted text, or None; for programs, which are
    given what stands in the marked texts inside.
    """
    typed = _UNTRUSTED.sub("", text)
    found = re.search(rf"^```json {re.escape(label)}\n(.*)\n```$", typed, flags=re.MULTILINE)
    if found is None:
        return None
    try:
        value = json.loads(found.group(1))
    except json.JSONDecodeError:
        return None
    return unmarked(value) if isinstance(value, dict) else None


def inert(text: str) -> str:
    """Return `text` with the placeholders of CrewAI's own templates defused."""
    return _PLACEHOLDERS.sub(r"{ \1 }", text)


def shown(value: Any, source: str = "a result") -> Any:
    """Return a JSON value as a model may see it.

    Every `{text, source}` of an untrusted text becomes its marked block, and so does every string that is no name;
    keys are made names.
    """
    match value:
        case {"text": str(), "source": str()} if len(value) == 2:
            return Untrusted.model_validate(value).block()
        case Mapping():
            return {name_of(str(key)): shown(item, source) for key, item in value.items()}
        case str():
            return shown_text(value, source)
        case Sequence():
            return [shown(item, source) for item in value]
        case _:
            return value


def unmarked(value: Any) -> Any:
    """Return a shown value with the texts of its marked blocks, for programs that follow no text."""
    match value:
        case Mapping():
            return {key: unmarked(item) for key, item in value.items()}
        case str():
            return plain(value)
        case Sequence():
            return [unmarked(item) for item in value]
        case _:
            return value


def first_json(text: str) -> dict[str, Any]:
    """Return the JSON object an answer consists of, alone or inside a fence.

    Raises:
        ValueError: the answer is not one JSON object.
    """
    stripped = text.strip()
    fenced = re.fullmatch(r"```(?:json)?[^\n]*\n(.*)\n```", stripped, flags=re.DOTALL)
    value = json.loads(fenced.group(1) if fenced else stripped)
    if not isinstance(value, dict):
        raise ValueError(f"the answer is a JSON {type(value).__name__}, not an object")
    return value


def complaint(problem: ValidationError | ValueError) -> str:
    """Return what is wrong with an answer, in words its author can act on; of the answer itself only names, cut."""
    if isinstance(problem, ValidationError):
        return "; ".join(
            f"{name_of('.'.join(str(part) for part in error['loc'])) or 'answer'}: {one_line(error['msg'])}"
            for error in problem.errors()[:5]
        )
    return f"the answer is not one JSON object: {one_line(str(problem))}"


def schema_text(model: type[BaseModel]) -> str:
    """Return the JSON Schema of an answer, compact."""
    return json.dumps(model.model_json_schema(), sort_keys=True)
