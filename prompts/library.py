"""Prompts are files. They are rendered strictly: a missing file, a missing variable or one that no template uses is
an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, TemplateError, meta, nodes

from domain.canonical import sha256_text
from domain.errors import ConfigurationError


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt; `sha256` is over the template's source and that of every partial it includes, `name` is its
    path.
    """

    name: str
    text: str
    sha256: str


def render(name: str, /, **variables: Any) -> Prompt:
    """Return the template `name` (a path below the package, such as ``diagnosis_propose/task.md``) filled with
    `variables`.

    Raises:
        ConfigurationError: there is no such file, it is no template, a variable is missing, or one is not used.
    """
    sources = _sources(name)
    wanted = frozenset().union(*(_variables(text) for text in sources.values()))
    missing, unused = sorted(wanted - set(variables)), sorted(set(variables) - wanted)
    if missing or unused:
        raise ConfigurationError(
            f"prompts/{name}",
            f"missing variables {missing}, unused variables {unused}",
            "Give exactly the variables the template names",
        )
    try:
        text = _environment().get_template(name).render(**variables)
    except TemplateError as problem:
        raise ConfigurationError(f"prompts/{name}", str(problem), "Correct the template") from problem
    return Prompt(name=name, text=text.strip(), sha256=fingerprint(name))


def fingerprint(name: str) -> str:
    """Return the SHA-256 over the template and its partials, each with its name, in the order of their names.

    Raises:
        ConfigurationError: there is no such file.
    """
    return sha256_text("\0".join(f"{path}\0{text}" for path, text in sorted(_sources(name).items())))


def source(name: str) -> str:
    """Return the text of a file of this package.

    Raises:
        ConfigurationError: there is no such file.
    """
    try:
        return files("prompts").joinpath(name).read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise ConfigurationError(f"prompts/{name}", "there is no such file", "Name an existing prompt") from None


def _load(name: str) -> str | None:
    try:
        return source(name)
    except ConfigurationError:
        return None


@cache
def _environment() -> Environment:
    # Prompts are plain text for a model, not markup: nothing to escape, and escaping would alter what the model is
    # shown.
    return Environment(
        loader=FunctionLoader(_load),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _parsed(text: str) -> nodes.Template:
    return _environment().parse(text)


def _variables(text: str) -> frozenset[str]:
    return frozenset(meta.find_undeclared_variables(_parsed(text)))


@cache
def _sources(name: str) -> dict[str, str]:
    """Return the template and every partial it includes, by path."""
    found: dict[str, str] = {}
    waiting = [name]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found[path] = source(path)
        try:
            waiting += [partial for partial in meta.find_referenced_templates(_parsed(found[path])) if partial]
        except TemplateError as problem:
            raise ConfigurationError(f"prompts/{path}", str(problem), "Correct the template") from problem
    return found
