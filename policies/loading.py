"""YAML text to plain values or a validated model, or an error that names file, field and remedy.

Whoever can write a file must not be able to end the process that reads it: how deep it nests, and how much it holds
once what it names by alias stands in every place, is bounded before anything is built of it.
"""

from __future__ import annotations

from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from domain.errors import ConfigurationError

Model = TypeVar("Model", bound=BaseModel)
# libyaml's composer recurses in C, where there is no RecursionError: a file that nests too deeply ends the process.
DEEPEST = 100
# So many values, an alias counted as all that it stands for. Far more than any file of ours needs.
MOST = 100_000
# What PyYAML's constructors raise, each as it comes, for a scalar that looks like a date or number and is none.
_NO_VALUE = (ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError)


def read_yaml(text: str, *, file: str) -> Any:
    """Return what `text` holds, plain values in lists and mappings.

    Args:
        file: the name of the file, for the error.

    Raises:
        ConfigurationError: the text is no YAML, nests too deeply, holds too much, or names a key twice.
    """
    try:
        _check_bounds(text, file)
        return yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        raise ConfigurationError(file, f"is not YAML: {_where(error)}", "Mend the syntax at that line") from error
    except _NO_VALUE as error:
        problem = f"holds a value that is none: {error}"
        raise ConfigurationError(file, problem, "Mend that date or number, or quote it if it is text") from error


def parse_yaml(text: str, model: type[Model], *, file: str) -> Model:
    """Return `text` as a `model`.

    Args:
        file: the name of the file, for the error.

    Raises:
        ConfigurationError: as `read_yaml`; or it holds no mapping, or does not validate.
    """
    data = read_yaml(text, file=file)
    if not isinstance(data, dict):
        raise ConfigurationError(file, "holds no mapping", f"Start from the file of that name in policies/: {file}")
    try:
        return model.model_validate(data)
    except OverflowError as error:
        raise ConfigurationError(file, f"holds a number out of range: {error}", "Write a smaller number") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        problem = f"{first['msg'].rstrip('.')}{_shown(first.get('input'))}{more}"
        raise ConfigurationError(f"{file}: {where}", problem, _remedy(first["type"], where)) from error


def _check_bounds(text: str, file: str) -> None:
    """Refuse what nests too deeply or holds too much, by the events of the parser, which come one by one."""
    sizes: dict[str, int] = {}
    standing: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=_Safe):
        if isinstance(event, yaml.CollectionStartEvent):
            standing.append((event.anchor, 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            _counted(standing, sizes, *standing.pop())
        elif isinstance(event, yaml.ScalarEvent):
            _counted(standing, sizes, event.anchor, 1)
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in standing):
                raise _refused(event, file, f"holds {event.anchor} inside itself", "Write what is meant in its place")
            _counted(standing, sizes, None, sizes.get(event.anchor or "", 1))
        if len(standing) > DEEPEST + 1:
            raise _refused(event, file, f"nests more than {DEEPEST} levels deep", "Write it flatter")
        if standing[-1][1] > MOST:
            raise _refused(event, file, f"holds more than {MOST} values, its aliases written out", "Hold less in it")


def _counted(standing: list[tuple[str | None, int]], sizes: dict[str, int], anchor: str | None, size: int) -> None:
    """Count what has ended into what it stands in, and remember how much it was under the name it was given."""
    if anchor is not None:
        sizes[anchor] = size
    around, held = standing[-1]
    standing[-1] = (around, held + size)


def _refused(event: yaml.Event, file: str, problem: str, remedy: str) -> ConfigurationError:
    line = f" at line {event.start_mark.line + 1}" if event.start_mark is not None else ""
    return ConfigurationError(file, f"{problem}{line}", remedy)


def _where(problem: yaml.YAMLError) -> str:
    """Return in one line what stops the reader, with the line and the column where it is known."""
    if isinstance(problem, yaml.MarkedYAMLError) and problem.problem_mark is not None:
        mark = problem.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {problem.problem}"
    return " ".join(str(problem).split())


def _shown(value: Any) -> str:
    try:
        return f" (got {value!r})" if isinstance(value, (str, int, float, bool)) else ""
    except ValueError:  # an integer of more digits than Python prints
        return ""


def _remedy(kind: str, where: str) -> str:
    match kind:
        case "missing":
            return f"Add `{where}`"
        case "extra_forbidden":
            return f"Remove `{where}` or correct its spelling"
        case _:
            return f"Correct `{where}`"


# The same, many times as fast, where PyYAML was built with libyaml.
_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeys(_Safe):  # type: ignore[misc]
    """Refuses a mapping that names a key twice: plain YAML lets the last one win silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            key = str(key_node.value)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} appears twice", key_node.start_mark
                )
            seen.add(key)
        return dict(super().construct_mapping(node, deep=deep))
