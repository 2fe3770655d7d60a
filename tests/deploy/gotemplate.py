"""Renders a Helm chart without helm: the part of Go's text/template and of Helm's functions that our chart keeps to.

What it does not know is an error, so that a template which goes beyond it cannot pass by being left out. Where helm is
installed, the same chart is rendered by it too, and both have to come to the same objects.

Follows the Go documentation of text/template: actions, trimming, pipelines, `if`, `with`, `range`, `define`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_ACTION = re.compile(r"\{\{(-\s)?\s*(.*?)\s*(\s-)?\}\}", flags=re.DOTALL)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\(|\)|\||[^\s()|]+')
_PATH = re.compile(r"(\$|\.)?[A-Za-z0-9_.]*")


class TemplateError(ValueError):
    """A template has something in it that is not known here, or that is wrong."""


@dataclass
class Block:
    """A part of a template: text, an action, or one with a body and an alternative."""

    kind: str
    told: str = ""
    body: list[Block] = field(default_factory=list)
    otherwise: list[Block] = field(default_factory=list)


class Chart:
    """A chart in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.about: dict[str, Any] = yaml.safe_load((folder / "Chart.yaml").read_text())
        self.values: dict[str, Any] = yaml.safe_load((folder / "values.yaml").read_text())
        self._named: dict[str, list[Block]] = {}
        files = sorted((folder / "templates").iterdir())
        self._parsed = {file.name: _parsed(file.read_text()) for file in files}
        for blocks in self._parsed.values():
            self._named |= {block.told: block.body for block in blocks if block.kind == "define"}

    def render(self, values: Mapping[str, Any] | None = None, release: str = "evercrew") -> dict[str, str]:
        """Return the text of every template but the helpers, by its name."""
        merged = laid_over(self.values, values or {})
        root = {
            "Values": merged,
            "Chart": {
                "Name": self.about["name"],
                "Version": self.about["version"],
                "AppVersion": self.about["appVersion"],
            },
            "Release": {"Name": release, "Namespace": "default", "Service": "Helm"},
        }
        wanted = {name: blocks for name, blocks in self._parsed.items() if not name.startswith("_")}
        return {name: self._text(blocks, root, root) for name, blocks in wanted.items()}

    def objects(self, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the objects of a release."""
        texts = {name: text for name, text in self.render(values).items() if name.endswith(".yaml")}
        return [found for text in texts.values() for found in yaml.safe_load_all(text) if found]

    def _text(self, blocks: list[Block], dot: Any, root: Any) -> str:
        return "".join(self._block(block, dot, root) for block in blocks)

    def _block(self, block: Block, dot: Any, root: Any) -> str:
        match block.kind:
            case "text":
                return block.told
            case "define":
                return ""
            case "action":
                return _said(self._value(block.told, dot, root))
            case "if":
                return self._text(block.body if self._value(block.told, dot, root) else block.otherwise, dot, root)
            case "with":
                value = self._value(block.told, dot, root)
                return self._text(block.body, value, root) if value else self._text(block.otherwise, dot, root)
            case "range":
                return "".join(self._text(block.body, each, root) for each in self._value(block.told, dot, root) or ())
        raise TemplateError(f"{block.kind} is not known")

    def _value(self, told: str, dot: Any, root: Any) -> Any:
        tokens = _TOKEN.findall(told)
        value, rest = self._pipeline(tokens, dot, root)
        if rest:
            raise TemplateError(f"{told!r}: {rest[0]!r} is left over")
        return value

    def _pipeline(self, tokens: list[str], dot: Any, root: Any) -> tuple[Any, list[str]]:
        value, rest = self._command(tokens, dot, root, ())
        while rest and rest[0] == "|":
            value, rest = self._command(rest[1:], dot, root, (value,))
        return value, rest

    def _command(self, tokens: list[str], dot: Any, root: Any, piped: tuple[Any, ...]) -> tuple[Any, list[str]]:
        name = tokens[0]
        function = self._functions(root).get(name)
        rest = tokens[1:] if function else tokens
        given: list[Any] = []
        while rest and rest[0] not in ("|", ")"):
            value, rest = self._term(rest, dot, root)
            given.append(value)
        if function:
            return function(*given, *piped), rest
        if len(given) != 1 or piped:
            raise TemplateError(f"{name!r} is no function that is known here")
        return given[0], rest

    def _term(self, tokens: list[str], dot: Any, root: Any) -> tuple[Any, list[str]]:
        token = tokens[0]
        if token == "(":
            value, rest = self._pipeline(tokens[1:], dot, root)
            if not rest or rest[0] != ")":
                raise TemplateError("a bracket is not closed")
            return value, rest[1:]
        if token.startswith('"'):
            return token[1:-1].replace('\\"', '"'), tokens[1:]
        if re.fullmatch(r"-?\d+", token):
            return int(token), tokens[1:]
        if token[0] in ".$" and _PATH.fullmatch(token):
            return _found(root if token[0] == "$" else dot, token.lstrip("$.")), tokens[1:]
        raise TemplateError(f"{token!r} is not known")

    def _functions(self, root: Any) -> Mapping[str, Callable[..., Any]]:
        return {**_FUNCTIONS, "include": lambda name, dot: self._text(self._named[name], dot, root).strip("\n")}


def laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with others laid over them, map by map."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = laid_over(merged[key], value) if both else value
    return merged


def _found(value: Any, path: str) -> Any:
    for name in path.split(".") if path else ():
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _indented(count: int, text: str) -> str:
    return "\n".join(" " * count + line for line in text.split("\n"))


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "and": lambda *values: next((v for v in values if not v), values[-1]),
    "or": lambda *values: next((v for v in values if v), values[-1]),
    "not": lambda value: not value,
    "eq": lambda one, *others: one in others,
    "default": lambda otherwise, value=None: value or otherwise,
    "quote": lambda value: '"' + _said(value).replace("\\", "\\\\").replace('"', '\\"') + '"',
    "indent": _indented,
    "nindent": lambda count, text: "\n" + _indented(count, text),
    "toYaml": lambda value: yaml.safe_dump(value, default_flow_style=False, sort_keys=True, width=10_000).rstrip("\n"),
    "trunc": lambda count, text: text[:count],
    "trimSuffix": lambda tail, text: text.removesuffix(tail),
    "sha256sum": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "printf": lambda form, *values: form.replace("%d", "%s") % tuple(_said(v) for v in values),
}


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Give texts and actions in turn, with the white space next to a dash taken away."""
    at, trimmed = 0, False
    for found in _ACTION.finditer(text):
        before = text[at : found.start()]
        before = before.lstrip() if trimmed else before
        yield "text", before.rstrip() if found[1] else before
        yield "action", found[2]
        at, trimmed = found.end(), bool(found[3])
    yield "text", text[at:].lstrip() if trimmed else text[at:]


def _parsed(text: str) -> list[Block]:
    top = Block("top")
    stack, elses = [top], [False]
    for kind, told in _pieces(text):
        into = stack[-1].otherwise if elses[-1] else stack[-1].body
        word, _, rest = told.partition(" ")
        if kind == "text":
            into.append(Block("text", told))
        elif told.startswith("/*"):
            continue
        elif word in ("if", "with", "range", "define"):
            block = Block(word, rest.strip('"') if word == "define" else rest)
            into.append(block)
            stack.append(block)
            elses.append(False)
        elif told == "else":
            elses[-1] = True
        elif told == "end":
            stack.pop()
            elses.pop()
            if not stack:
                raise TemplateError("an end has no beginning")
        else:
            into.append(Block("action", told))
    if len(stack) != 1:
        raise TemplateError(f"{stack[-1].kind} has no end")
    return top.body
