"""On which channels a telling goes, and not before when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from adapters.notices.base import SEVERITIES, NewNotice
from service.notices.telling import Telling
from service.notify_sections import NotifyConfig, QuietConfig, RouteConfig


class Routes:
    """The routes of a configuration; without any, everything goes to every channel.

    Every route that fits counts; a channel that several name is told once.
    """

    def __init__(self, config: NotifyConfig, public_url: str = "") -> None:
        self._config = config
        self._base = (config.public_url or public_url).rstrip("/")

    def notices(self, telling: Telling, now: datetime) -> list[NewNotice]:
        """Return the notices of a telling, ready to be put."""
        return [self.draft(telling, channel, now) for channel in self.channels(telling)]

    def draft(self, telling: Telling, channel: str, now: datetime) -> NewNotice:
        """Return the notice of a telling on one channel."""
        fit = telling.fit()
        return NewNotice(
            channel=channel,
            key=fit.key,
            kind=fit.kind.value,
            severity=fit.severity,
            environment=fit.environment,
            cycle_id=fit.cycle_id,
            title=fit.title,
            body=fit.body,
            link=self.link(fit.page),
            facts=fit.facts,
            due_at=self.due(fit, now),
        )

    def channels(self, telling: Telling) -> Sequence[str]:
        """Return where it goes, each channel once."""
        if not self._config.routes:
            return self._config.channels
        wanted = {name for route in self._config.routes if _fits(route, telling) for name in route.channels}
        return tuple(name for name in self._config.channels if name in wanted)

    def link(self, page: str) -> str:
        """Return the address of a page of the console, or nothing when its place is not known."""
        return f"{self._base}{page}" if self._base and page else ""

    def due(self, telling: Telling, now: datetime) -> datetime:
        """Return when it may be told: now, or after the quiet hours."""
        quiet = self._config.quiet
        if quiet is None or _at_least(telling.severity, quiet.severity):
            return now
        return ends_at(quiet, now) or now


def ends_at(quiet: QuietConfig, now: datetime) -> datetime | None:
    """Return when the quiet hours end that `now` is in, in UTC; None outside of them.

    By the clock on the wall: on the day a clock is changed they are an hour shorter or longer.
    """
    local = now.astimezone(ZoneInfo(quiet.timezone))
    minute = local.hour * 60 + local.minute
    over_midnight = quiet.start > quiet.end
    since, before = minute >= quiet.start, minute < quiet.end
    if not ((since or before) if over_midnight else (since and before)):
        return None
    day = local.date() + timedelta(days=1 if over_midnight and minute >= quiet.start else 0)
    midnight = datetime(day.year, day.month, day.day, tzinfo=local.tzinfo)
    wall = midnight.replace(hour=quiet.end // 60 % 24, minute=quiet.end % 60)
    if quiet.end == _DAY:
        wall += timedelta(days=1)
    return wall.astimezone(UTC)


_DAY = 24 * 60


def _fits(route: RouteConfig, telling: Telling) -> bool:
    of_kind = not route.kinds or telling.kind in route.kinds
    # What belongs to no environment concerns all of them.
    here = not route.environments or not telling.environment or telling.environment in route.environments
    return of_kind and here and _at_least(telling.severity, route.severity)


def _at_least(severity: str, least: str) -> bool:
    return SEVERITIES.index(severity) <= SEVERITIES.index(least)
