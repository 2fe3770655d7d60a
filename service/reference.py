"""The reference pages, from what they describe: every command, every setting, every field of `evercrew.yaml`.

`python -m service.reference` writes them to `docs/reference/`; a test holds them equal to what it would write.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.core import TyperCommand, TyperGroup, TyperOption

from service.config import Config
from service.misfit import models_in
from service.settings import Settings, names

_FOLDER = Path("docs/reference")


def pages() -> dict[str, str]:
    """Return the text of each page by the name of its file."""
    return {"cli.md": commands(), "settings.md": settings(), "configuration.md": configuration()}


def leaves(command: Any, path: str) -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    """Return every command below this one, with the words that call it; a group that does something itself is one."""
    if isinstance(command, TyperGroup):
        if command.invoke_without_command and path.count(" "):
            yield path, command
        for name, each in command.commands.items():
            if not each.hidden:
                yield from leaves(each, f"{path} {name}")
    else:
        yield path, command


def commands() -> str:
    """Return the page of the command line."""
    from service.cli import app

    root = typer.main.get_command(app)
    lines = ["# Commands", "", "Exit codes: 0 done, 1 the answer is no, 2 misuse, 3 a dependency failed.", ""]
    for name, command in sorted(leaves(root, "evercrew")):
        lines += [f"## {name}", "", inspect.cleandoc(command.help or ""), "", *_usage(command)]
        if command.epilog:
            lines += [f"    {command.epilog.removeprefix('Example: ')}", ""]
    return _page(lines)


def settings() -> str:
    """Return the page of the environment variables."""
    lines = ["# Settings", "", "Environment variables; none has to be set.", "", "| variable | default | meaning |"]
    lines.append("|---|---|---|")
    for field, variable in sorted(names().items(), key=lambda each: each[1]):
        info = Settings.model_fields[field]
        lines.append(f"| `{variable}` | {_code(info.default)} | {_cell(info.description or '')} |")
    return _page(lines)


def configuration() -> str:
    """Return the page of the configuration file."""
    lines = ["# evercrew.yaml", "", "Relative paths are relative to the file; an unknown field is an error.", ""]
    sections: dict[str, type[BaseModel]] = {"": Config}
    shown: set[str] = set()
    while waiting := [name for name in sections if name not in shown]:
        name = waiting[0]
        shown.add(name)
        model = sections[name]
        lines += [f"## {name or 'The file'}", ""]
        if name:
            lines += [inspect.cleandoc(model.__doc__ or ""), ""]
        lines += ["| field | type | default |", "|---|---|---|"]
        for field, info in model.model_fields.items():
            lines.append(f"| `{field}` | {_cell(_type(info.annotation))} | {_default(info)} |")
            path = f"{name}.{field}" if name else field
            sections.update({path + suffix: found for found, suffix in models_in(info.annotation)})
        lines.append("")
    return _page(lines)


def _usage(command: TyperCommand | TyperGroup) -> list[str]:
    rows = [row for each in command.params if (row := _parameter(each))]
    return ["| parameter | meaning | default |", "|---|---|---|", *rows, ""] if rows else []


def _parameter(each: Any) -> str:
    if isinstance(each, TyperOption) and (each.hidden or each.name == "help"):
        return ""
    spelt = (
        ", ".join([*each.opts, *each.secondary_opts]) if isinstance(each, TyperOption) else (each.name or "").upper()
    )
    helped = getattr(each, "help", "") or ""
    default = "required" if each.required else _code(each.default)
    return f"| `{spelt}` | {_cell(helped)} | {default} |"


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        return "nothing"
    if origin is Literal:
        return ", ".join(str(each) for each in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(each) for each in inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"{_type(inner[1])} by name"
    if origin is tuple or origin is list:
        return f"list of {_type(inner[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    plain = {"str": "text", "float": "number", "int": "whole number", "bool": "true or false", "Path": "path"}
    name = getattr(annotation, "__name__", str(annotation))
    return plain.get(name, "anything" if name == "Any" else name)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if info.default_factory is not None:
        return "none"
    return "see below" if isinstance(info.default, BaseModel) else _code(info.default)


def _code(value: Any) -> str:
    if value is None or value is PydanticUndefined or value in ("", (), {}) or callable(value):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else _cell(str(value))}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _page(lines: list[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in pages().items():
        (folder / file).write_text(text, encoding="utf-8")
