"""Runbooks: what the deterministic model does for a task, as data: which tools in which order, which rule answers,
what is said.

A *value* in a runbook is any YAML value in which ``${path}`` stands for what is found at a dotted path: below the id
of a step (that call's result), ``brief``, ``proposal``, ``check``, ``round``, or the name of a derived value.
``${path|filter}`` formats it. A string that is nothing but one ``${path}`` keeps the type of what is found. A path
that leads nowhere is *missing*, which no comparison accepts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from domain.diagnosis import Comparison
from domain.errors import ConfigurationError
from prompts.library import source

_OPERATORS = ("eq", "ne", "gt", "ge", "lt", "le", "one_of", "has", "has_any", "known", "filled")


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Condition(_Data):
    """Exactly one of: all, any, none, the name of a fact, or a path with one operator.

    `known` asks whether the path leads to something that is not null, `filled` whether that is not empty either.
    """

    all: tuple[Condition, ...] | None = None
    any: tuple[Condition, ...] | None = None
    none: tuple[Condition, ...] | None = None
    fact: str | None = None
    at: str | None = None
    eq: Any = None
    ne: Any = None
    gt: Any = None
    ge: Any = None
    lt: Any = None
    le: Any = None
    one_of: Any = None
    has: Any = None
    has_any: Any = None
    known: bool | None = None
    filled: bool | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        kinds = [name for name in ("all", "any", "none", "fact", "at") if name in self.model_fields_set]
        used = [name for name in _OPERATORS if name in self.model_fields_set]
        if len(kinds) != 1 or len(used) != (1 if kinds == ["at"] else 0):
            raise ValueError("a condition is one of all, any, none, fact, or `at` with one operator")
        return self

    @property
    def operator(self) -> str:
        """Return the name of the operator of a comparison."""
        return next(name for name in _OPERATORS if name in self.model_fields_set)


class Step(_Data):
    """One tool call, made when its condition holds. Its result is found under `id`; a `needed` one that fails is a
    reason to hand over.
    """

    id: str = Field(pattern=r"^[a-z_]+$")
    tool: str
    args: Mapping[str, Any] = Field(default_factory=dict)
    when: Condition | None = None
    needed: bool = False


class Derived(_Data):
    """A value worked out of others. Exactly one of the functions is used.

    `first_of`: the first that is known. `plus`: a sum. `union`: the distinct elements of lists in their order, at
    most `limit`. `common`: the elements of the first list that are in the second. `after`: of a list of mappings, the
    field `take` of the one that follows the one whose `key` equals `equals`. `record`: a mapping of values.
    """

    first_of: tuple[Any, ...] | None = None
    plus: tuple[Any, ...] | None = None
    union: tuple[Any, ...] | None = None
    common: tuple[Any, Any] | None = None
    after: str | None = None
    record: Mapping[str, Any] | None = None
    key: str = ""
    equals: Any = None
    take: str = ""
    limit: int = 1000

    @model_validator(mode="after")
    def _is_one_function(self) -> Self:
        used = {"first_of", "plus", "union", "common", "after", "record"} & self.model_fields_set
        if len(used) != 1:
            raise ValueError("a derived value uses one function")
        return self


class ClaimTemplate(_Data):
    """A claim about the result of step `of`. It is left out when `when` does not hold or its path leads nowhere."""

    statement: str
    of: str
    path: str
    comparison: Comparison
    value: Any
    when: Condition | None = None


class Rule(_Data):
    """When the condition holds, this is the answer. Rules are tried in their order."""

    name: str
    when: Condition
    answer: Mapping[str, Any]
    claims: tuple[ClaimTemplate, ...] = ()


class Fallback(_Data):
    """The answer when no rule holds."""

    answer: Mapping[str, Any]
    claims: tuple[ClaimTemplate, ...] = ()


class Runbook(_Data):
    """The runbook of one task. `groups` are lists to be named as ``${group}``; `facts` are named conditions."""

    task: str
    about: str
    groups: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    steps: tuple[Step, ...] = Field(default=(), max_length=12)
    facts: Mapping[str, Condition] = Field(default_factory=dict)
    derived: Mapping[str, Derived] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    fallback: Fallback
    version: Literal[1]

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        steps = [step.id for step in self.steps]
        names = [*steps, *self.groups, *self.derived]
        if len(set(names)) != len(names):
            raise ValueError("steps, groups and derived values need names of their own")
        cited = [claim.of for rule in self.rules for claim in rule.claims]
        cited += [claim.of for claim in self.fallback.claims]
        if unknown := sorted(set(cited) - set(steps)):
            raise ValueError(f"claims cite steps that do not exist: {unknown}")
        return self


def names() -> list[str]:
    """Return the tasks that have a runbook."""
    folder = files("prompts").joinpath("runbooks")
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))


@cache
def runbook(task: str) -> Runbook:
    """Return the runbook of a task.

    Raises:
        ConfigurationError: there is none, or it is not valid; names the place.
    """
    path = f"runbooks/{task}.yaml"
    try:
        book = Runbook.model_validate(yaml.safe_load(source(path)))
    except yaml.YAMLError as problem:
        raise ConfigurationError(f"prompts/{path}", f"not YAML: {problem}", "Correct the file") from None
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"prompts/{path} {place}", first["msg"], "Correct the file") from None
    if book.task != task:
        raise ConfigurationError(f"prompts/{path}", f"it says it is for {book.task!r}", "Name the file after its task")
    return book
