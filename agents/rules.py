"""How a runbook is read: paths are looked up, conditions are weighed, values are filled. Pure functions of what the
messages say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from prompts.runbook import ClaimTemplate, Condition, Derived, Runbook


class _Missing:
    """What a path that leads nowhere gives."""

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()

_REFERENCE = re.compile(r"\$\{([^}|]+)(?:\|([a-z_0-9]+))?\}")


def _percent(value: Any) -> str:
    return f"{value:+.1%}"


def _share(value: Any) -> str:
    return f"{value:.1%}"


def _number(value: Any) -> str:
    return f"{value:.4g}"


def _listed(value: Any) -> str:
    items = [str(item) for item in value]
    return ", ".join(items[:5]) + (f" and {len(items) - 5} more" if len(items) > 5 else "")


def _pairs(value: Any) -> str:
    return ", ".join(f"{key} {item}" for key, item in sorted(value.items()))


def _names(value: Any) -> str:
    return ", ".join(str(item["name"]) for item in value)


def _short(value: Any) -> str:
    return str(value)[:19] if str(value).startswith("sha256:") else str(value)[:12]


def _clock(value: Any) -> str:
    return f"{datetime.fromisoformat(str(value)):%H:%M:%S}"


FILTERS: Mapping[str, Callable[[Any], str]] = {
    "percent": _percent,
    "share": _share,
    "number": _number,
    "listed": _listed,
    "names": _names,
    "pairs": _pairs,
    "short": _short,
    "clock": _clock,
}


class Facts:
    """What is known: results by step, the blocks of the prompt, and the runbook's own groups, facts and derived
    values.
    """

    def __init__(self, book: Runbook, known: Mapping[str, Any]) -> None:
        self._book = book
        self._known = known

    def at(self, path: str) -> Any:
        """Return what is found at a dotted path, or MISSING. Null counts as found."""
        head, _, rest = path.partition(".")
        if head in self._known:
            return _walk(self._known[head], rest)
        if head in self._book.groups:
            return list(self._book.groups[head])
        if head in self._book.derived:
            return _walk(self._derive(self._book.derived[head]), rest)
        return MISSING

    def fill(self, value: Any) -> Any:
        """Return a runbook value with its references filled; MISSING when a reference that stands alone leads nowhere.

        Entries of mappings and lists that are missing are left out; in the middle of a text a missing value reads as
        *unknown*.
        """
        match value:
            case str():
                return self._fill_text(value)
            case Mapping():
                filled = {key: self.fill(item) for key, item in value.items()}
                return {key: item for key, item in filled.items() if item is not MISSING}
            case Sequence():
                return [item for item in map(self.fill, value) if item is not MISSING]
            case _:
                return value

    def holds(self, condition: Condition | None) -> bool:
        """Return whether the condition holds; none at all always does."""
        if condition is None:
            return True
        if condition.all is not None:
            return all(map(self.holds, condition.all))
        if condition.any is not None:
            return any(map(self.holds, condition.any))
        if condition.none is not None:
            return not any(map(self.holds, condition.none))
        if condition.fact is not None:
            return self.holds(self._book.facts[condition.fact])
        return self._compares(condition)

    def claims(self, templates: Iterable[ClaimTemplate], calls: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the claims whose condition holds, with the call of their step in `calls` and what is found at their
        path.
        """
        made = []
        for template in templates:
            found = self.at(f"{template.of}.{template.path}")
            if template.of not in calls or found is MISSING or found is None or not self.holds(template.when):
                continue
            value = self.fill(template.value)
            if value is MISSING or value is None:
                continue
            made.append(
                {
                    "statement": self.fill(template.statement),
                    "call": calls[template.of],
                    "path": template.path,
                    "comparison": template.comparison.value,
                    "value": value,
                }
            )
        return made

    def _fill_text(self, text: str) -> Any:
        alone = _REFERENCE.fullmatch(text)
        if alone is not None and alone.group(2) is None:
            return self.at(alone.group(1))
        return _REFERENCE.sub(lambda match: self._said(match.group(1), match.group(2)), text)

    def _said(self, path: str, name: str | None) -> str:
        found = self.at(path)
        if found is MISSING or found is None:
            return "unknown"
        return FILTERS[name](found) if name else str(found)

    def _compares(self, condition: Condition) -> bool:
        found = self.at(condition.at or "")
        operator = condition.operator
        wanted = self.fill(getattr(condition, operator))
        if operator == "known":
            return (found is not MISSING and found is not None) is wanted
        if operator == "filled":
            return bool(found) is wanted
        if found is MISSING or wanted is MISSING:
            return False
        return _COMPARISONS[operator](found, wanted)

    def _derive(self, derived: Derived) -> Any:
        if derived.first_of is not None:
            return next((v for v in map(self.fill, derived.first_of) if v is not MISSING and v is not None), MISSING)
        if derived.record is not None:
            return self.fill(derived.record)
        if derived.plus is not None:
            terms = [self.fill(term) for term in derived.plus]
            return sum(terms) if all(map(_is_number, terms)) else MISSING
        if derived.union is not None:
            items = [item for value in map(self.fill, derived.union) if isinstance(value, list) for item in value]
            return list(dict.fromkeys(items))[: derived.limit]
        if derived.common is not None:
            first, second = map(self.fill, derived.common)
            return [x for x in first if x in second][: derived.limit] if first and second else []
        return self._following(derived)

    def _following(self, derived: Derived) -> Any:
        items, wanted = self.at(derived.after or ""), self.fill(derived.equals)
        if not isinstance(items, list) or wanted is MISSING:
            return MISSING
        found = (_walk(b, derived.take) for a, b in pairwise(items) if _walk(a, derived.key) == wanted)
        return next(found, MISSING)


def _walk(value: Any, path: str) -> Any:
    for part in path.split(".") if path else ():
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ordered(test: Callable[[float, float], bool]) -> Callable[[Any, Any], bool]:
    return lambda found, wanted: _is_number(found) and _is_number(wanted) and test(found, wanted)


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda found, wanted: bool(found == wanted),
    "ne": lambda found, wanted: bool(found != wanted),
    "gt": _ordered(lambda found, wanted: found > wanted),
    "ge": _ordered(lambda found, wanted: found >= wanted),
    "lt": _ordered(lambda found, wanted: found < wanted),
    "le": _ordered(lambda found, wanted: found <= wanted),
    "one_of": lambda found, wanted: found in wanted,
    "has": lambda found, wanted: isinstance(found, list | str | Mapping) and wanted in found,
    "has_any": lambda found, wanted: isinstance(found, list) and any(item in found for item in wanted),
}
