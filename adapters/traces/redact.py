"""What leaves the machine in a trace carries no secret: values under telling names and strings that look like keys
are masked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "<redacted>"
_NAMES = re.compile(r"(api[_-]?key|secret|passw(or)?d|authorization|credential|private[_-]?key|^token$|_token$)", re.I)
_VALUES = re.compile(
    r"\b(sk|pk|ghp|gho|lsv2|xox[abp]|AKIA)[-_A-Za-z0-9]{12,}|\bBearer\s+[-._~+/A-Za-z0-9]{8,}|://[^/\s:@]+:[^/\s@]+@"
)
_DEEPEST = 12


def redacted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy with secrets masked; nesting beyond twelve levels is cut."""
    return {str(name): _value(str(name), value, 0) for name, value in values.items()}


def _value(name: str, value: Any, depth: int) -> Any:
    if _NAMES.search(name) and value:
        return MASK
    if depth >= _DEEPEST:
        return "..."
    match value:
        case str():
            return _VALUES.sub(MASK, value)
        case Mapping():
            return {str(key): _value(str(key), inner, depth + 1) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_value("", inner, depth + 1) for inner in value]
        case None | bool() | int() | float():
            return value
        case _:
            return _VALUES.sub(MASK, str(value))
