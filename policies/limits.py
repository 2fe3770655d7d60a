"""How much may change, how fast, and when: cool-down, blast radius and change windows of an environment."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from policies.durations import Duration

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# How far ahead an opening is looked for: whoever closes a whole month means it.
_HORIZON = timedelta(days=40)
_DAY_MINUTES = 24 * 60


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _minutes(value: object) -> int:
    """Return minutes since midnight from ``"08:30"``; YAML reads an unquoted ``12:30`` as the number 750."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    hours, colon, minutes = str(value).partition(":")
    if not (colon and hours.isdigit() and minutes.isdigit() and len(minutes) == 2 and int(minutes) < 60):
        raise ValueError(f"{value!r} is no time of day; write it as '12:00', up to '24:00'")
    return int(hours) * 60 + int(minutes)


TimeOfDay = Annotated[int, BeforeValidator(_minutes), Field(ge=0, le=_DAY_MINUTES)]


class Limits(_Strict):
    """What one environment bears.

    Nothing new is begun on a target until `cool_down` after the last change there, `cool_down_after_bad` where that
    change was taken back or did not show. `max_share` is the largest share of users (0-1) a candidate may get in a
    test; at most `max_models_per_day` models are promoted in a day (UTC), and `max_models_at_once` may be live and not
    judged yet.
    """

    cool_down: Duration = timedelta()
    cool_down_after_bad: Duration = timedelta()
    max_share: float = Field(default=0.5, gt=0, le=1)
    max_models_per_day: int = Field(default=3, ge=0)
    max_models_at_once: int = Field(default=1, ge=1)

    @property
    def max_share_bp(self) -> int:
        """The largest share in hundredths of a percent."""
        return round(self.max_share * 10_000)


class ClosedTime(_Strict):
    """Hours of some weekdays in which nothing is promoted, `start` included, `end` not."""

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = Field(min_length=1)
    start: TimeOfDay = 0
    end: TimeOfDay = _DAY_MINUTES

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.end <= self.start:
            raise ValueError("end must be after start; write hours past midnight as a second entry for the next day")
        return self


class ChangeWindows(_Strict):
    """When models are promoted: always, but for `closed` hours and `holidays`, in `timezone`.

    What waits for an opening waits at most `patience`.
    """

    timezone: str = "UTC"
    closed: tuple[ClosedTime, ...] = ()
    holidays: tuple[date, ...] = ()
    patience: Duration = timedelta(days=4)

    @model_validator(mode="after")
    def _zone_is_known(self) -> Self:
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
            raise ValueError(f"{self.timezone!r} is no time zone here; use e.g. Europe/Berlin or UTC") from problem
        return self

    def open_at(self, moment: datetime) -> bool:
        """Whether something may be promoted then."""
        local = moment.astimezone(ZoneInfo(self.timezone))
        if local.date() in self.holidays:
            return False
        minute, day = local.hour * 60 + local.minute, DAYS[local.weekday()]
        return not any(day in c.days and c.start <= minute < c.end for c in self.closed)

    def opens(self, moment: datetime) -> datetime | None:
        """Return the first open moment from then on, in UTC; None when there is none within forty days."""
        zone = ZoneInfo(self.timezone)
        day = moment.astimezone(zone).date()
        marks = sorted({0, *(c.end for c in self.closed if c.end < _DAY_MINUTES)})
        candidates = [moment.astimezone(UTC)]
        for ahead in range(_HORIZON.days):
            on = day + timedelta(days=ahead)
            candidates += [datetime.combine(on, time(m // 60, m % 60), zone).astimezone(UTC) for m in marks]
        return next((at for at in sorted(candidates) if at >= candidates[0] and self.open_at(at)), None)
