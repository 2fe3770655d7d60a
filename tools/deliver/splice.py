"""Writes values into the text of a YAML file: from nodes that know their places to edits, and no other byte."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from domain.errors import InvalidInput

_PLAIN = re.compile(r"^[A-Za-z][\w./:@+-]*[\w/]$")
NULL, _MAP, _SEQ = (f"tag:yaml.org,2002:{kind}" for kind in ("null", "map", "seq"))


@dataclass(frozen=True)
class Edit:
    """Characters `start` to `end` become `text`."""

    start: int
    end: int
    text: str


def replaced(text: str, node: yaml.Node, value: Any, field: str) -> list[Edit]:
    """Return the edits that make `value` of a node; what is equal already is not touched."""
    start, end = node.start_mark.index, node.end_mark.index
    if text[start : start + 1] in ("&", "!"):
        raise InvalidInput(field, "carries an anchor or a tag", "Write the value out without it")
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        raise InvalidInput(field, "is a block of text", "Write the value on one line")
    if isinstance(node, yaml.ScalarNode) and not isinstance(value, Mapping | list):
        if constructed(node) == value and type(constructed(node)) is type(value):
            return []
        return [Edit(start, end, (" " if start == end else "") + _scalar(value, node.style))]
    if isinstance(node, yaml.MappingNode) and isinstance(value, Mapping) and not node.flow_style:
        inner = {name_of(key): item for key, item in node.value}
        if set(inner) == set(value):
            return [edit for name, item in inner.items() for edit in replaced(text, item, value[name], field)]
    if isinstance(node, yaml.SequenceNode) and isinstance(value, list) and value and not node.flow_style:
        return _set_items(text, node, value, field)
    return [Edit(start, _end(text, node), (" " if start == end else "") + _flow(value))]


def _set_items(text: str, node: yaml.SequenceNode, value: Sequence[Any], field: str) -> list[Edit]:
    """Write the items that both have in their places, then take lines away or put lines behind the last."""
    common = min(len(node.value), len(value))
    edits = [edit for n in range(common) for edit in replaced(text, node.value[n], value[n], field)]
    last = _line_end(text, _end(text, node.value[common - 1]))
    if len(node.value) > common:
        return [*edits, Edit(last, _line_end(text, _end(text, node)), "")]
    gap = node.value[0].start_mark.column - node.start_mark.column
    dash = " " * node.start_mark.column + "-".ljust(max(gap, 2))
    added = "".join(_newline(text) + _block(dash, item, _newline(text)) for item in value[common:])
    return [*edits, Edit(last, last, added)] if added else edits


def added(text: str, node: yaml.Node, missing: Sequence[str], value: Any, field: str) -> list[Edit]:
    """Return the edit that puts the missing keys, and the value below them, into a mapping that is there."""
    if not isinstance(node, yaml.MappingNode) or (node.flow_style and not node.value):
        whole = value
        for name in reversed(missing):
            whole = {name: whole}
        return replaced(text, node, whole, field)
    if node.flow_style:
        whole = value
        for name in reversed(missing[1:]):
            whole = {name: whole}
        end = max(_end(text, part) for part in node.value[-1])
        return [Edit(end, end, f", {_scalar(missing[0], None)}: {_flow(whole)}")]
    new, column, deeper = _newline(text), _column(text, node), _indent(node)
    lines = "".join(f"{new}{' ' * (column + deeper * n)}{_scalar(name, None)}:" for n, name in enumerate(missing))
    end = _line_end(text, _end(text, node))
    if isinstance(value, list) and value:
        dash = " " * (column + deeper * len(missing)) + "- "
        return [Edit(end, end, lines + "".join(new + _block(dash, item, new) for item in value))]
    return [Edit(end, end, f"{lines} {_flow(value)}")]


def _column(text: str, node: yaml.MappingNode) -> int:
    """Where the keys of a block mapping stand."""
    first = node.value[0][0].start_mark
    return int(first.column) - (2 if text[first.index - 2 : first.index] == "? " else 0)


def _indent(node: yaml.MappingNode) -> int:
    """How much deeper this mapping's own mappings stand."""
    inner = (value for _, value in node.value if isinstance(value, yaml.MappingNode) and not value.flow_style)
    columns = (value.start_mark.column - node.start_mark.column for value in inner)
    return next((column for column in columns if column > 0), 2)


def spliced(text: str, edits: Sequence[Edit]) -> str:
    for edit in sorted(edits, key=lambda e: (e.start, e.end), reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _end(text: str, node: yaml.Node) -> int:
    """The index behind a node's last character; of block collections the parser only tells where the next begins."""
    if isinstance(node, yaml.ScalarNode):
        # A block of text ends with its line end, which belongs to the file.
        last = node.end_mark.index
        return len(text[:last].rstrip()) if node.style in ("|", ">") else last
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    # An alias tells the place of its anchor, which stands before it: the key beside it is further down.
    return max(_end(text, part) for part in parts)


def _line_end(text: str, index: int) -> int:
    """The index of the line end at or behind `index`."""
    found = text.find("\n", index)
    if found < 0:
        return len(text)
    return found - 1 if found > index and text[found - 1] == "\r" else found


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _block(dash: str, item: Any, newline: str) -> str:
    """One item of a block list; a mapping has a line for each key."""
    if not isinstance(item, Mapping) or not item:
        return dash + _flow(item)
    pairs = [f"{_scalar(name, None)}: {_flow(value)}" for name, value in item.items()]
    return dash + (newline + " " * len(dash)).join(pairs)


def _flow(value: Any) -> str:
    match value:
        case Mapping():
            return "{" + ", ".join(f"{_scalar(k, None)}: {_flow(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(_flow(item) for item in value) + "]"
        case _:
            return _scalar(value, None)


def _scalar(value: Any, style: str | None) -> str:
    """Write a scalar in the quotes of the one it replaces, or in none where it would be read as the same text."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case int():
            return str(value)
        case float():
            # Python's own 1e-05 is a text to YAML.
            return str(yaml.safe_dump(value)).splitlines()[0]
    text = str(value)
    if style == "'" and "\n" not in text:
        return "'" + text.replace("'", "''") + "'"
    if style is None and _PLAIN.match(text) and yaml.safe_load(text) == text:
        return text
    return json.dumps(text, ensure_ascii=False)


# -- nodes ------------------------------------------------------------------------------------------------------------


def constructed(node: yaml.ScalarNode) -> Any:
    return yaml.SafeLoader("").construct_document(node)


def is_text(node: yaml.Node, text: str) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == text


def name_of(key: yaml.Node) -> str:
    return str(key.value) if isinstance(key, yaml.ScalarNode) else f"?{key.start_mark.index}"


def field_of(item: yaml.Node, name: str) -> str:
    pairs = item.value if isinstance(item, yaml.MappingNode) else []
    return next((str(v.value) for k, v in pairs if is_text(k, name) and isinstance(v, yaml.ScalarNode)), "")


def kind_of(node: yaml.Node) -> str:
    return {_MAP: "a mapping", _SEQ: "a list"}.get(node.tag, f"the plain value {str(node.value)[:40]!r}")
