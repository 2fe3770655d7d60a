"""What the pages' forms share: a fault at its field, with the remedy, and the reading of times and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from domain.errors import InvalidInput


@dataclass(frozen=True)
class Fault:
    """What is wrong with a field, and what to write instead."""

    field: str
    problem: str
    remedy: str

    @classmethod
    def of(cls, problem: InvalidInput, fields: Mapping[str, str] | None = None) -> Fault:
        """Return the fault of an error; `fields` renames fields of the domain to those of the form."""
        return cls((fields or {}).get(problem.field, problem.field), problem.problem, problem.remedy)

    @property
    def said(self) -> str:
        """The fault in a sentence or two, beginning with a capital."""
        first = self.problem[:1].upper() + self.problem[1:]
        return f"{first.rstrip('.')}. {self.remedy.rstrip('.')}."


def by_field(faults: Iterable[Fault]) -> dict[str, Fault]:
    """Return the first fault of each field."""
    found: dict[str, Fault] = {}
    for fault in faults:
        found.setdefault(fault.field, fault)
    return found


def moment(text: str, field: str) -> datetime | None:
    """Return the moment of a date-and-time field, which is in UTC; None where it is empty.

    Raises:
        InvalidInput: it is no date and time.
    """
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        remedy = "Write it like 2026-01-31T08:00, in UTC"
        raise InvalidInput(field, f"{text!r} is no date and time", remedy) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def number(text: str, field: str) -> float:
    """Return the number of a field.

    Raises:
        InvalidInput: it is none, or not finite.
    """
    import math

    try:
        found = float(text.strip().replace(",", "."))
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise InvalidInput(field, f"{text!r} is no number", "Write a number, such as 0.02")
    return found
