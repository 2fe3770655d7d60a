"""YAML text to a validated model, or an error that names file, field and remedy."""

from __future__ import annotations

from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from domain.errors import ConfigurationError

Model = TypeVar("Model", bound=BaseModel)
# libyaml's composer recurses in C, where there is no RecursionError: a file that nests too deeply ends the process.
DEEPEST = 100
# What PyYAML's constructors raise, each as it comes, for a scalar that looks like a date or number and is none.
_NO_VALUE = (ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError)


def parse_yaml(text: str, model: type[Model], *, file: str) -> Model:
    """Return `text` as a `model`.

    Args:
        file: the name of the file, for the error.

    Raises:
        ConfigurationError: the text is no YAML mapping, nests too deeply, names a key twice, or does not validate.
    """
    try:
        _check_depth(text, file)
        data = yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        raise ConfigurationError(file, f"is not valid YAML: {error}", "Mend the syntax at that line") from error
    except _NO_VALUE as error:
        problem = f"holds a value that is none: {error}"
        raise ConfigurationError(file, problem, "Mend that date or number, or quote it if it is text") from error
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


def _check_depth(text: str, file: str) -> None:
    """Refuse what nests too deeply, by the events of the parser, which come one by one and need no stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Safe):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            line = f" at line {event.start_mark.line + 1}" if event.start_mark is not None else ""
            problem = f"nests more than {DEEPEST} levels deep{line}"
            raise ConfigurationError(file, problem, "Write it flatter: a file of policies/ needs less than ten")


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
