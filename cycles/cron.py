"""When something is due: five-field cron lines (as in crontab(5)) and plain intervals, always in UTC.

A field is ``*``, a number, a range ``1-5``, a list ``1,15`` or a step ``*/10``; Sunday is 0 or 7. Where both the day of
the month and the day of the week are given, either of them is enough, as cron has it. Intervals count from midnight of
1970-01-01, so that every process finds the same moments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.errors import InvalidInput

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A 29th of February comes within eight years, whatever the century.
_FAR = 366 * 8 + 1


class Timing(BaseModel):
    """When a schedule is due: a cron line, or every so often."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: str | None = None
    every: timedelta | None = Field(default=None, ge=timedelta(seconds=1))

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.cron is None) == (self.every is None):
            raise ValueError("give either cron or every")
        if self.cron is not None:
            try:
                parse_cron(self.cron)
            except InvalidInput as problem:
                raise ValueError(str(problem)) from None
        return self

    def __str__(self) -> str:
        return self.cron if self.cron is not None else f"every {self.every}"

    def latest(self, now: datetime) -> datetime:
        """Return the last moment it was due at or before `now`."""
        if self.every is not None:
            return now - (now - _EPOCH) % self.every
        return parse_cron(self.cron or "").latest(now)

    def following(self, now: datetime) -> datetime:
        """Return the first moment it is due after `now`."""
        if self.every is not None:
            return self.latest(now) + self.every
        return parse_cron(self.cron or "").following(now)


@dataclass(frozen=True)
class Cron:
    """A parsed cron line."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def latest(self, now: datetime) -> datetime:
        """Return the last moment at or before `now` (UTC)."""
        moment = now.astimezone(UTC)
        for back in range(_FAR):
            day = moment.date() - timedelta(days=back)
            if self._on(day):
                found = [at for at in self._times() if back or at <= moment.time()]
                if found:
                    return datetime.combine(day, found[-1], UTC)
        raise self._never()

    def following(self, now: datetime) -> datetime:
        """Return the first moment after `now` (UTC)."""
        moment = now.astimezone(UTC)
        for ahead in range(_FAR):
            day = moment.date() + timedelta(days=ahead)
            if self._on(day):
                found = [at for at in self._times() if ahead or at > moment.time()]
                if found:
                    return datetime.combine(day, found[0], UTC)
        raise self._never()

    def _on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return by_day and by_weekday
        return by_day or by_weekday

    def _times(self) -> list[time]:
        return [time(hour, minute) for hour in self.hours for minute in self.minutes]

    def _never(self) -> InvalidInput:
        return InvalidInput("cron", "it is due on no day of any year", "Name a day its months have")


def parse_cron(line: str, field: str = "cron") -> Cron:
    """Return the parsed line.

    Raises:
        InvalidInput: it is no cron line, or never due; names the field of it that is wrong.
    """
    parts = line.split()
    if len(parts) != len(_FIELDS):
        problem = f"{line!r} has {len(parts)} fields, not five"
        raise InvalidInput(field, problem, "Write minute hour day month weekday, e.g. 30 3 * * 0")
    minutes, hours, days, months, weekdays = (
        sorted(_numbers(part, name, low, high, f"{field} {line!r}"))
        for part, (name, low, high) in zip(parts, _FIELDS, strict=True)
    )
    cron = Cron(
        tuple(minutes),
        tuple(hours),
        frozenset(days),
        frozenset(months),
        frozenset(day % 7 for day in weekdays),
        parts[2].startswith("*"),
        parts[4].startswith("*"),
    )
    cron.following(_EPOCH)
    return cron


def _numbers(part: str, name: str, low: int, high: int, field: str) -> set[int]:
    return {number for piece in part.split(",") for number in _piece(piece, name, low, high, field)}


def _piece(piece: str, name: str, low: int, high: int, field: str) -> Iterable[int]:
    span, slash, step = piece.partition("/")
    first, dash, last = span.partition("-")
    if span == "*":
        first, last = str(low), str(high)
    elif not dash:
        last = str(high) if slash else first
    numbers = (first, last, step if slash else "1")
    if all(number.isascii() and number.isdigit() for number in numbers):
        start, end, stride = (int(number) for number in numbers)
        if low <= start <= end <= high and stride >= 1:
            return range(start, end + 1, stride)
    raise InvalidInput(
        field, f"{piece!r} is no {name}", f"Use numbers from {low} to {high}, *, ranges, lists and steps"
    )
