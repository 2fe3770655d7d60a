"""What does not fit into a configuration, in words: the field, what is wrong with it, and what to write instead."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_REFERENCE = "docs/reference/configuration.md has every field"
_NO_MAPPING = frozenset({"model_type", "model_attributes_type", "dict_type", "mapping_type"})


def misfit(problem: ValidationError, model: type[BaseModel]) -> tuple[str, str, str]:
    """Return the dotted name of the first field that does not fit `model` (empty: the whole), why, and the remedy."""
    found = problem.errors()
    first = _misspelt(found, model) if found[0]["type"] == "missing" else found[0]
    place, kind = first["loc"], first["type"]
    field = ".".join(str(part) for part in place)
    if kind == "extra_forbidden":
        return field, "there is no such field", _meant(str(place[-1]), fields_at(model, place[:-1]))
    if kind == "missing":
        return field, "is missing", f"Set it; {_REFERENCE}"
    if kind in _NO_MAPPING:
        return field, "holds no fields", f"Write `name: value` lines; {_REFERENCE}"
    return field, str(first["msg"]), _REFERENCE


def fields_at(model: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    """Return the fields of the section that stands at `place`; names and indices of what is in it lead nowhere else."""
    sections = [model]
    for part in place:
        infos = [info for section in sections if (info := section.model_fields.get(str(part))) is not None]
        sections = [found for info in infos for found, _ in models_in(info.annotation)] or sections
    return sorted({name for section in sections for name in section.model_fields})


def models_in(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    """Return the sections an annotation leads to, with what stands behind the field's name to reach them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, ""
        return
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        for each in inner:
            yield from models_in(each)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        yield from ((found, f".<name>{suffix}") for found, suffix in models_in(inner[1]))
    elif origin is tuple or origin is list:
        yield from ((found, f"[]{suffix}") for found, suffix in models_in(inner[0]))


def _misspelt(found: Sequence[ErrorDetails], model: type[BaseModel]) -> ErrorDetails:
    """Return the field that was meant to be the first, which is missing; where there is none, the first."""
    section, wanted = found[0]["loc"][:-1], found[0]["loc"][-1]
    known = fields_at(model, section)
    for each in found:
        beside = each["type"] == "extra_forbidden" and each["loc"][:-1] == section
        if beside and get_close_matches(str(each["loc"][-1]), known, n=1) == [wanted]:
            return each
    return found[0]


def _meant(given: str, known: Sequence[str]) -> str:
    near = get_close_matches(given, known, n=1)
    return f"Write {near[0]}" if near else f"Fields there are: {', '.join(known)}"
