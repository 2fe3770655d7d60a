"""Durations as people write them in configuration."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

_SHORT = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_ISO = re.compile(r"P(?:(?P<d>\d+)D)?(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: object) -> timedelta:
    """Return a duration from ``5s``, ``1h30m``, ``250ms``, ``7d`` or ISO 8601 (``PT2H``, ``P7D``).

    Raises:
        ValueError: `value` is something else; a bare number has no unit and is refused.
    """
    if isinstance(value, timedelta):
        return value
    text = value.strip() if isinstance(value, str) else ""
    parts = _SHORT.findall(text)
    match = _ISO.fullmatch(text)
    try:
        if parts and "".join(number + unit for number, unit in parts) == text:
            return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))
        if match and any(match.groups()):
            return timedelta(seconds=sum(float(match[unit] or 0) * _SECONDS[unit] for unit in "dhms"))
    except OverflowError as error:
        raise ValueError(f"{value!r} is longer than any duration that can be waited for") from error
    raise ValueError(f"{value!r} is no duration; write it as 5s, 10m, 1h30m, 7d or ISO 8601 such as PT2H")


def _seconds(value: timedelta) -> str:
    return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(_seconds, when_used="json")]
