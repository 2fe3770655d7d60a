"""The values file: reading it and patching it with its comments kept."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from domain.candidate import VariantState
from domain.errors import InvalidInput

CHAMPION = "champion"
CANDIDATE = "candidate"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ModelValues(_Section):
    name: str
    version: str
    digest: str


class SearchValues(_Section):
    mode: str = "balanced"
    tier: str = "standard"


class IndexValues(_Section):
    generation: int = 1


class Values(_Section):
    """What Evercrew reads of the values file; other sections are left as they are."""

    model: ModelValues
    variants: tuple[VariantState, ...] = ()
    search: SearchValues = SearchValues()
    index: IndexValues = IndexValues()


def parse_values(text: str) -> Values:
    """Return the typed values.

    Raises:
        InvalidInput: the text is not YAML or lacks what a release needs; names the field.
    """
    try:
        return Values.model_validate(_yaml().load(text))
    except YAMLError as problem:
        raise InvalidInput(
            "values.yaml", f"not YAML: {problem}", "Mend the file by hand; nothing was changed"
        ) from None
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"values.yaml {field}", first["msg"], "Mend the file by hand; nothing was changed") from None


def patch_values(text: str, changes: Mapping[str, Any]) -> str:
    """Return `text` with dotted paths set to new values; comments, order and everything else stay.

    Raises:
        InvalidInput: a path does not lead to a mapping, or the result does not parse.
    """
    yaml = _yaml()
    parse_values(text)
    tree = yaml.load(text)
    for path, value in changes.items():
        *parents, leaf = path.split(".")
        node = tree
        for part in parents:
            if part not in node:
                node[part] = {}
            node = node[part]
        if not isinstance(node, dict):
            raise InvalidInput(path, "does not lead to a mapping", "Use a dotted path of the values file")
        node[leaf] = value
    out = io.StringIO()
    yaml.dump(tree, out)
    patched = out.getvalue()
    parse_values(patched)
    return patched


def split(champion: str, candidate: str, share: float) -> list[dict[str, str | int]]:
    """Return the variants of an A/B test that gives `share` (0-1) of the users the candidate."""
    percent = round(100 * share)
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


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml
