"""What of a policy set a question needs: the policies its action can meet, and whether it fits the schema.

A policy whose scope names other actions can neither decide nor fail, so leaving it out changes no answer. And where the
schema knows nothing but truth values, whole numbers and text, whether a question fits it depends on its kinds alone,
not on the values: the library is asked about each kind of question once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping
from typing import Any

import cedarpy

# The library gives a schema back as text in one form, whatever it was written in.
_ACTION = re.compile(r'^action "([^"]+)"(?: in \[([^\]]*)\])?', re.MULTILINE)
_GROUP = re.compile(r'Action::"([^"]+)"')
_FIELD = re.compile(r"^\s+[^\s:]+: ([^\n]+?),?$", re.MULTILINE)
_RECORD = re.compile(r"^type (\w+) = \{$", re.MULTILINE)
_ALIAS = re.compile(r"^type .*[^{]$", re.MULTILINE)
_PLAIN = frozenset({"Bool", "Long", "String"})
_KINDS = frozenset({bool, int, str})


def groups_of(schema: str) -> dict[str, frozenset[str]]:
    """Return every action of a schema with itself and all the groups it is in, directly or not."""
    direct = {name: frozenset(_GROUP.findall(groups)) for name, groups in _ACTION.findall(schema)}

    def upwards(name: str, seen: frozenset[str]) -> frozenset[str]:
        for group in direct.get(name, frozenset()) - seen:
            seen = upwards(group, seen | {group})
        return seen

    return {name: upwards(name, frozenset({name})) for name in direct}


def is_flat(schema: str) -> bool:
    """Whether no value in a context can make a question fit the schema or not: only its type can."""
    allowed = _PLAIN | set(_RECORD.findall(schema))
    fields = all(kind in allowed or kind.startswith("[") for kind in _FIELD.findall(schema))
    return fields and not _ALIAS.search(schema) and " enum " not in schema


def kind_of(context: Mapping[str, bool | int | str]) -> tuple[tuple[str, ...], tuple[type, ...]] | None:
    """Return the fields of a context and their types; None where a value is of none that the schema knows."""
    kinds = tuple(map(type, context.values()))
    return (tuple(context), kinds) if _KINDS.issuperset(kinds) else None


class Slices:
    """The policies that an action can meet, and the kinds of questions that are known to fit the schema.

    Args:
        static: the policies as JSON, by id. whole: the same as a set. schema: the text the library gives it back in.
    """

    def __init__(self, static: Mapping[str, Mapping[str, Any]], whole: cedarpy.PolicySet, schema: str) -> None:
        self._static = static
        self._whole = whole
        self._groups = groups_of(schema)
        self._flat = is_flat(schema)
        self._slices: dict[str, cedarpy.PolicySet] = {}
        self._fitting: set[Hashable] = set()

    def of(self, action: str) -> cedarpy.PolicySet:
        """Return the policies that can say something about an action; all of them where it is not known."""
        if action not in self._groups:
            return self._whole
        if action not in self._slices:
            met = {name: policy for name, policy in self._static.items() if _meets(policy, self._groups[action])}
            document = {"staticPolicies": met, "templates": {}, "templateLinks": []}
            self._slices[action] = cedarpy.PolicySet.from_json_str(json.dumps(document))
        return self._slices[action]

    def question(self, principal: str, action: str, context: Mapping[str, bool | int | str]) -> Hashable | None:
        """Return the kind of a question; None where only the library can say whether it fits."""
        kinds = kind_of(context) if self._flat else None
        return None if kinds is None else (principal, action, kinds)

    def fits(self, question: Hashable | None) -> bool:
        """Whether the library said before that questions of this kind fit the schema."""
        return question is not None and question in self._fitting

    def fitted(self, question: Hashable | None) -> None:
        """Remember that the library found a question of this kind to fit."""
        if question is not None:
            self._fitting.add(question)


def _meets(policy: Mapping[str, Any], groups: frozenset[str]) -> bool:
    """Whether a policy's scope lets one of these actions in; a scope of a form that is not known does."""
    scope = policy.get("action", {})
    named = scope.get("entities", [scope["entity"]] if "entity" in scope else None)
    if scope.get("op") not in ("==", "in") or named is None:
        return True
    return any(entity.get("type") != "Action" or entity.get("id") in groups for entity in named)
