"""Identities: cycles, calls, idempotency keys."""

from __future__ import annotations

import re
from datetime import date

from domain.canonical import canonical_hash
from domain.errors import InvalidInput

CYCLE_ID = re.compile(r"^si_\d{4}_\d{2}_\d{2}_\d{3,}$")
TALK = re.compile(r"^ch_[0-9a-f]{16}$")
"""The form of a conversation's identity: what is read for one stands on record under it."""


def cycle_id(day: date, number: int) -> str:
    """Return the identity of the `number`-th cycle (from 1) of `day`, e.g. ``si_2026_01_31_001``."""
    if number < 1:
        raise InvalidInput("number", f"{number} is not a cycle number", "Count the cycles of a day from 1")
    return f"si_{day:%Y_%m_%d}_{number:03d}"


def check_cycle_id(value: str) -> str:
    """Return `value` when it has the form of a cycle identity.

    Raises:
        InvalidInput: it has not.
    """
    if not CYCLE_ID.match(value):
        raise InvalidInput("cycle_id", f"{value!r} is not a cycle identity", "Use the form si_YYYY_MM_DD_NNN")
    return value


def idempotency_key(cycle: str, stage: str, tool: str, args_hash: str) -> str:
    """Return the key under which one effect can be found again (32 hexadecimal digits)."""
    return canonical_hash([cycle, stage, tool, args_hash])[:32]
