"""Letting another key sign tokens: on the audit record first, like every change of who may use the service."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from adapters.accounts.jwts import LEEWAY
from adapters.accounts.keys import rotated
from adapters.audit.base import AuditPort
from domain.clock import Clock
from domain.errors import EvercrewError
from domain.receipt import AuditEntry, RecordKind

STATUS = "access_key_rotated"


class Rotated(BaseModel):
    """Which key signs now, which one did, and until when its tokens are taken (None: none is any more)."""

    model_config = ConfigDict(frozen=True)

    new: str
    old: str
    old_until: datetime | None


def rotate(audit: AuditPort, clock: Clock, folder: Path, lasts: timedelta | None, *, by: str) -> Rotated:
    """Put a new key in the place of the one in a folder.

    Args:
        lasts: how long a token of the old key lasts, all of which are taken until they are over; None: none is taken.

    Raises:
        ConflictError: the key before the present one still counts.
        ConfigurationError: the folder cannot be used. AuditUnavailable: it could not be put on record.
    """
    until = None if lasts is None else clock.now() + lasts + LEEWAY
    said = {"old_until": "now" if until is None else until.isoformat()}
    _note(audit, STATUS, by, said)
    try:
        old, new = rotated(folder, clock, until)
    except EvercrewError as problem:
        _note(audit, f"{STATUS}_failed", by, {**said, "problem": str(problem)})
        raise
    return Rotated(new=new.id, old=old.id, old_until=until)


def _note(audit: AuditPort, status: str, by: str, body: dict[str, Any]) -> None:
    audit.append(AuditEntry(kind=RecordKind.NOTE, cycle_id="", actor=by, status=status, body=body))
