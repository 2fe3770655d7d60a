"""Path expressions: where in a YAML file a value lives.

    model.digest
    images[name=search].newTag
    spec.template.spec.containers[name=app].env[name=MODEL_DIGEST].value
    metadata.annotations."search.example/digest"
    Deployment/search#spec.replicas

Keys are joined by dots and quoted where they hold more than letters, digits and ``_-/``; ``[0]`` is the first item of a
list, ``[name=app]`` the one item whose `name` is app; ``Kind/name#`` picks a document of a file that holds several.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from domain.errors import InvalidInput

_KEY = re.compile(r'"((?:[^"\\]|\\["\\])+)"|([\w/-]+)')
_CHOICE = re.compile(r'\[(?:(\d{1,6})|([\w-]+)=(?:"((?:[^"\\]|\\["\\])*)"|([^\]"]+)))\]')
_BARE = re.compile(r'^[^\]"]+$')
_DOCUMENT = re.compile(r"^([A-Za-z]\w*)/([\w.-]+)#")
_REMEDY = "Write it like images[name=search].newTag"


@dataclass(frozen=True)
class Key:
    """A key of a mapping."""

    name: str

    def __str__(self) -> str:
        return self.name if re.fullmatch(r"[\w/-]+", self.name) else _quoted(self.name)


@dataclass(frozen=True)
class Index:
    """A place in a list, from 0."""

    place: int

    def __str__(self) -> str:
        return f"[{self.place}]"


@dataclass(frozen=True)
class Choice:
    """The one item of a list whose `field` has this value."""

    field: str
    value: str

    def __str__(self) -> str:
        return f"[{self.field}={self.value if _BARE.match(self.value) else _quoted(self.value)}]"


Step = Key | Index | Choice


@dataclass(frozen=True)
class PathExpression:
    """A parsed expression; `document` is kind and name of the document it is for, None for the only one."""

    document: tuple[str, str] | None
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return self.upto(len(self.steps))

    def upto(self, count: int) -> str:
        """Return the expression of the first `count` steps, to say where a path stopped."""
        text = "".join(f".{step}" if isinstance(step, Key) else str(step) for step in self.steps[:count]).lstrip(".")
        return f"{self.document[0]}/{self.document[1]}#{text}" if self.document else text


def parse_path(text: str, field: str = "path") -> PathExpression:
    """Return the parsed expression.

    Raises:
        InvalidInput: it is none; names `field`, the expression and the character where it stops being one.
    """
    document = _DOCUMENT.match(text)
    place = document.end() if document else 0
    steps: list[Step] = []
    while place < len(text):
        step, place = _step(text, place, first=not steps, field=field)
        steps.append(step)
    if not steps or not isinstance(steps[0], Key):
        raise InvalidInput(field, f"{text!r} does not begin with a key", _REMEDY)
    return PathExpression((document[1], document[2]) if document else None, tuple(steps))


def _step(text: str, place: int, *, first: bool, field: str) -> tuple[Step, int]:
    if text[place] == "[" and not first:
        found = _CHOICE.match(text, place)
        if found:
            if found[1] is not None:
                return Index(int(found[1])), found.end()
            return Choice(found[2], _plain(found[3]) if found[3] is not None else found[4]), found.end()
    elif first or text[place] == ".":
        found = _KEY.match(text, place if first else place + 1)
        if found:
            return Key(_plain(found[1]) if found[1] is not None else found[2]), found.end()
    raise InvalidInput(field, f"{text!r} is no path expression: it stops at character {place + 1}", _REMEDY)


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
