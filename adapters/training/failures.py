"""Errors of ours as plain fields, for the way out of a process: a traceback would lose what to do about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.errors import (
    ConfigurationError,
    DependencyError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    EvercrewError,
    InvalidInput,
)

FIELD = "failure"
_DEPENDENCY: Mapping[str, type[DependencyError]] = {
    kind.__name__: kind for kind in (DependencyUnavailable, DependencyTimeout, DependencyLied)
}
_INPUT: Mapping[str, type[InvalidInput]] = {kind.__name__: kind for kind in (InvalidInput, ConfigurationError)}


def told(error: DependencyError | InvalidInput) -> dict[str, Any]:
    """Return the output of a job that ended with this error."""
    name = error.dependency if isinstance(error, DependencyError) else error.field
    kinds = [kind.__name__ for kind in type(error).__mro__]
    known = next((kind for kind in kinds if kind in _DEPENDENCY or kind in _INPUT), DependencyUnavailable.__name__)
    return {FIELD: {"kind": known, "name": name, "problem": error.problem, "remedy": error.remedy}}


def error_of(fields: object, name: str) -> EvercrewError:
    """Return the error again; `name` stands for who sent fields that are none."""
    if not isinstance(fields, Mapping):
        return DependencyLied(name, f"the job told of a failure as {type(fields).__name__}")
    who, problem, remedy = (str(fields.get(part, "")) for part in ("name", "problem", "remedy"))
    kind = str(fields.get("kind"))
    if kind in _INPUT:
        return _INPUT[kind](who, problem, remedy)
    return _DEPENDENCY.get(kind, DependencyUnavailable)(who or name, problem, remedy)
