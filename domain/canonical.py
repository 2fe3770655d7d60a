"""Canonical JSON and the digests over it: equal content, equal bytes, equal hash, in every process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel


def _plain(value: object) -> object:
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Enum():
            return value.value
        case Path():
            return value.as_posix()
        case set() | frozenset():
            return sorted(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no canonical JSON form")


# Built once: it is asked a dozen times for every call through the door.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain)


def canonical_json(value: object) -> str:
    """Return `value` as JSON with sorted keys and no white space.

    Raises:
        TypeError: a value has no JSON form.
        ValueError: a float is NaN or infinite (they have no JSON form either).
    """
    return _ENCODER.encode(value)


def sha256_text(text: str) -> str:
    """Return the hexadecimal SHA-256 of `text` in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def canonical_hash(value: object) -> str:
    """Return the hexadecimal SHA-256 of the canonical JSON of `value`."""
    return sha256_text(canonical_json(value))


def json_ready(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return `value` as plain JSON types, by way of its canonical form."""
    return dict(json.loads(canonical_json(value)))
