"""The values file: where a release's values live in it, reading them, and patching them with all else kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import unified_diff
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from domain.candidate import VariantState
from domain.errors import InvalidInput
from tools.deliver.paths import PathExpression, parse_path
from tools.deliver.yamltext import YamlText

CHAMPION = "champion"
CANDIDATE = "candidate"
_REMEDY = "Mend the file by hand; nothing was changed"


class ValuesLayout(BaseModel):
    """Where each value lives in the values file, as path expressions (see `tools/deliver/paths.py`).

    None says that the file has no such place; only `model_digest` must have one. Where `model_digest` is named, the
    other defaults are guesses: one that does not fit the file is as good as None. `file` is how errors call the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_digest: str = "model.digest"
    model_name: str | None = "model.name"
    model_version: str | None = "model.version"
    variants: str | None = "variants"
    mode: str | None = "search.mode"
    tier: str | None = "search.tier"
    index_generation: str | None = "index.generation"
    candidates: str | None = "search.candidates"
    title_chars: str | None = "search.title_chars"
    etl_workers: str | None = "etl.workers"
    etl_batch: str | None = "etl.batch"
    file: str = "values.yaml"

    @model_validator(mode="after")
    def _paths_parse(self) -> Self:
        for role, text in self._given():
            try:
                parse_path(text, role)
            except InvalidInput as problem:
                raise ValueError(str(problem)) from None
        return self

    def roles(self) -> dict[str, PathExpression]:
        """Return the paths of the roles that have one."""
        return {role: parse_path(text, f"values.layout.{role}") for role, text in self._given()}

    def path(self, role: str) -> PathExpression:
        """Return the path of a role; what is no role is a path itself.

        Raises:
            InvalidInput: the file has no place for the role, or it is neither role nor path.
        """
        if role in type(self).model_fields:
            text = getattr(self, role)
            if text is None:
                raise InvalidInput(
                    f"values.layout.{role}", f"{self.file} has no place for it", "Name its place by a path expression"
                )
            return parse_path(text, f"values.layout.{role}")
        return parse_path(role, role)

    def _given(self) -> list[tuple[str, str]]:
        given = [(role, getattr(self, role)) for role in type(self).model_fields if role != "file"]
        return [(role, text) for role, text in given if text is not None]


DEFAULT_LAYOUT = ValuesLayout()


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ModelValues(_Section):
    digest: str
    name: str = ""
    version: str = ""


class SearchValues(_Section):
    mode: str = "balanced"
    tier: str = "standard"
    candidates: int | None = None
    title_chars: int | None = None


class IndexValues(_Section):
    generation: int = 1


class EtlValues(_Section):
    workers: int | None = None
    batch: int | None = None


class Values(_Section):
    """What Evercrew reads of the values file; everything else is left as it is."""

    model: ModelValues
    variants: tuple[VariantState, ...] = ()
    search: SearchValues = SearchValues()
    index: IndexValues = IndexValues()
    etl: EtlValues = EtlValues()

    def settings(self) -> dict[str, str | int | None]:
        """Return what can be tuned, by role; None where the file says nothing."""
        plain = self.model_dump()
        return {role: plain[_PLACES[role][0]][_PLACES[role][1]] for role in SETTINGS}


SETTINGS = ("mode", "tier", "candidates", "title_chars", "etl_workers", "etl_batch")
"""The roles of settings that change nothing but how the platform runs; a higher index generation rebuilds the index."""

_PLACES: Mapping[str, tuple[str, ...]] = {
    "model_digest": ("model", "digest"),
    "model_name": ("model", "name"),
    "model_version": ("model", "version"),
    "variants": ("variants",),
    "mode": ("search", "mode"),
    "tier": ("search", "tier"),
    "index_generation": ("index", "generation"),
    "candidates": ("search", "candidates"),
    "title_chars": ("search", "title_chars"),
    "etl_workers": ("etl", "workers"),
    "etl_batch": ("etl", "batch"),
}
_REQUIRED = ("model_digest", "model_name", "model_version")


def parse_values(text: str, layout: ValuesLayout = DEFAULT_LAYOUT) -> Values:
    """Return the typed values.

    Raises:
        InvalidInput: the text is not YAML or lacks what a release needs; names the path and where it stopped.
    """
    return _values(YamlText(text, layout.file), layout)


def values_diff(before: str, after: str, layout: ValuesLayout = DEFAULT_LAYOUT) -> str:
    """Return the unified diff of two texts of the values file; empty when they are the same."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(unified_diff(old, new, f"a/{layout.file}", f"b/{layout.file}"))


def patch_values(text: str, changes: Mapping[str, Any], layout: ValuesLayout = DEFAULT_LAYOUT) -> str:
    """Return `text` with values set by role (`model_digest`, `variants` ...) or path expression; all else stays.

    Raises:
        InvalidInput: a path leads nowhere, the change would alter something else, or the result does not parse.
    """
    before = YamlText(text, layout.file)
    _values(before, layout)
    patched = before.changed({layout.path(role): value for role, value in changes.items()})
    _values(patched, layout)
    return patched.text


def _values(text: YamlText, layout: ValuesLayout) -> Values:
    tree: dict[str, Any] = {}
    paths = layout.roles()
    for role, place in _PLACES.items():
        path = paths.get(role)
        value = _read(text, path, layout, role) if path is not None else None
        if value is None and path is not None and role in _REQUIRED:
            raise InvalidInput(f"{layout.file} {path}", "is not there, and a release needs it", _REMEDY)
        if value is not None:
            node = tree
            for part in place[:-1]:
                node = node.setdefault(part, {})
            node[place[-1]] = _as_text(value) if role in _REQUIRED else value
    try:
        return Values.model_validate(tree)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        role = next((r for r, place in _PLACES.items() if first["loc"][: len(place)] == place), "")
        raise InvalidInput(f"{layout.file} {paths.get(role, where)}", f"{where}: {first['msg']}", _REMEDY) from None


def _read(text: YamlText, path: PathExpression, layout: ValuesLayout, role: str) -> Any:
    """Return the value; a place that a layout of one's own does not name need not fit the file."""
    try:
        return text.value(path, f"{layout.file} {path}")
    except InvalidInput:
        if "model_digest" in layout.model_fields_set and role not in layout.model_fields_set:
            return None
        raise


def _as_text(value: Any) -> Any:
    """A version or tag may stand as a number."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def release_of(digest: str, name: str, version: str, layout: ValuesLayout = DEFAULT_LAYOUT) -> dict[str, Any]:
    """Return the changes, by role, that serve a model to everybody; roles without a place in the file are left out."""
    whole = {"model_name": name, "model_version": version, "model_digest": digest, "variants": only(digest)}
    return {role: value for role, value in whole.items() if getattr(layout, role) is not None}


def split(champion: str, candidate: str, share: float) -> list[dict[str, str | int]]:
    """Return the variants of an A/B test that gives `share` (0-1) of the users the candidate.

    Raises:
        InvalidInput: it is not whole percents, or leaves one of the two without users.
    """
    percent = round(100 * share) if 0 < share < 1 else 0
    if not 0 < percent < 100 or not math.isclose(100 * share, percent, rel_tol=1e-9):
        raise InvalidInput("share", f"{share:g} of the users cannot be served", "Give whole percents, e.g. 0.2")
    return [
        {"name": CHAMPION, "digest": champion, "weight": 100 - percent},
        {"name": CANDIDATE, "digest": candidate, "weight": percent},
    ]


def only(champion: str) -> list[dict[str, str | int]]:
    """Return the variants without a test: everybody gets the champion."""
    return [{"name": CHAMPION, "digest": champion, "weight": 100}]


def weights(variants: Sequence[VariantState]) -> dict[str, int]:
    """Return the weight in percent by variant name."""
    return {variant.name: variant.weight for variant in variants}
