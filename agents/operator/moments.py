"""Days and times in a sentence, as absolute periods by the clock, in UTC.

A day of the week is the last one that has begun, today included only where nothing else can be meant; a night is from
18:00 to 06:00. What lies in the future, or cannot be a date, is not understood.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta

from agents.operator.words import Word
from domain.intent import Period

_DAYS: Mapping[str, int] = {
    **{n: i for i, n in enumerate(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"))},
    **{n: i for i, n in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))},
    "tues": 1,
    "weds": 2,
    "thur": 3,
    "thurs": 3,
    **{n: i for i, n in enumerate(("poniedziałek", "wtorek", "środa", "czwartek", "piątek", "sobota", "niedziela"))},
    "poniedziałku": 0,
    "wtorku": 1,
    "środy": 2,
    "środę": 2,
    "czwartku": 3,
    "piątku": 4,
    "soboty": 5,
    "niedzieli": 6,
    **{n: i for i, n in enumerate(("понеділок", "вівторок", "середа", "четвер", "п'ятниця", "субота", "неділя"))},
    "понеділка": 0,
    "вівторка": 1,
    "середи": 2,
    "середу": 2,
    "четверга": 3,
    "п'ятниці": 4,
    "суботи": 5,
    "неділі": 6,
}
_MONTHS: Mapping[str, int] = {
    **{
        n: i
        for i, n in enumerate(
            ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
             "november", "december"), start=1)
    },
    **{
        n: i
        for i, n in enumerate(
            ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1)
    },
}  # fmt: skip
_NUMBERS: Mapping[str, float] = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "couple": 2, "few": 3, "half": 0.5, "dozen": 12,
}  # fmt: skip
_UNITS: Mapping[str, timedelta] = {
    **dict.fromkeys(("minute", "min", "mins", "m", "minuty", "minut", "хвилин"), timedelta(minutes=1)),
    **dict.fromkeys(("hour", "hr", "hrs", "h", "godzin", "godziny", "годин", "години"), timedelta(hours=1)),
    **dict.fromkeys(("day", "d", "dni", "dzień", "дні", "днів", "день"), timedelta(days=1)),
    **dict.fromkeys(("week", "tydzień", "tygodnie", "тиждень", "тижні"), timedelta(days=7)),
    **dict.fromkeys(("month", "miesiąc", "місяць"), timedelta(days=30)),
    **dict.fromkeys(("quarter",), timedelta(days=90)),
    **dict.fromkeys(("year",), timedelta(days=365)),
}
_LAST = frozenset({"last", "past", "previous", "ostatni", "ostatnie", "ostatnich", "останні", "останній", "recent"})
_YESTERDAY = frozenset({"yesterday", "wczoraj", "вчора", "wczorajszy"})
_TODAY = frozenset({"today", "dziś", "dzisiaj", "сьогодні"})
_NIGHT = frozenset({"night", "overnight", "tonight", "evening"})
_SINCE = frozenset({"since", "from", "od", "від", "з"})
_IN = frozenset({"in", "during", "of", "for", "this", "last", "since", "all", "whole"})
_ORDINAL = re.compile(r"^(\d{1,2})(?:st|nd|rd|th)?$")


class Calendar:
    """Reads days and times as seen at `now`."""

    def __init__(self, now: datetime) -> None:
        self._now = now.astimezone(UTC)
        self._today = self._now.date()

    def period(self, said: tuple[Word, ...]) -> tuple[Period | None, frozenset[int]]:
        """Return the period a sentence speaks of, and the places of its words."""
        readers: tuple[Callable[[tuple[Word, ...], int], tuple[Period, tuple[int, ...]] | None], ...] = (
            self._dated,
            self._named_date,
            self._month,
            self._last_span,
            self._ago,
            self._night,
            self._word_day,
            self._weekday,
            self._weekend,
            self._this,
        )
        for read in readers:
            for at in range(len(said)):
                found = read(said, at)
                if found is not None:
                    period, places = found
                    return self._since(said, period, places)
        return None, frozenset()

    def day(self, said: tuple[Word, ...]) -> tuple[date | None, frozenset[int]]:
        """Return the one day a sentence speaks of that is over or has begun, and the places of its words."""
        period, places = self.period(said)
        if period is None or period.start > self._now:
            return None, places
        whole = period.end - period.start <= timedelta(days=1)
        since = any(said[place].text in _SINCE for place in places)
        if not (whole or since):
            return None, places
        return period.start.date(), places

    # -- one way of saying it each -----------------------------------------------------------------------------------

    def _dated(self, said: tuple[Word, ...], at: int) -> tuple[Period, tuple[int, ...]] | None:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", said[at].text):
            return None
        try:
            return self._whole(date.fromisoformat(said[at].text)), (at,)
        except ValueError:
            return None

    def _named_date(self, said: tuple[Word, ...], at: int) -> tuple[Period, tuple[int, ...]] | None:
        """``march 10``, ``10 march``, ``the 10th of march``."""
        month = _MONTHS.get(said[at].text)
        if month is None:
            return None
        for place in (at + 1, at - 1, at - 2):
            number = _ORDINAL.match(said[place].text) if 0 <= place < len(said) else None
            if number is None or (place == at - 2 and said[at - 1].text != "of"):
                continue
            try:
                day = date(self._today.year, month, int(number.group(1)))
                day = day if day <= self._today else date(self._today.year - 1, month, day.day)
            except ValueError:
                return None
            return self._whole(day), (min(at, place), max(at, place))
        return None

    def _month(self, said: tuple[Word, ...], at: int) -> tuple[Period, tuple[int, ...]] | None:
        """``in november``: the last one that has begun, as far as it is over."""
        month = _MONTHS.get(said[at].text)
        if month is None or at == 0 or said[at - 1].text not in _IN:
            return None
        year = self._today.year - (month > self._today.month)
        start = datetime(year, month, 1, tzinfo=UTC)
        after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        return Period(start=start, end=min(after, self._now), said="a month"), (at - 1, at)

    def _last_span(self, said: tuple[Word, ...], at: int) -> tuple[Period, tuple[int, ...]] | None:
        """``last week``, ``the past three days``, ``last 24 hours``."""
        if said[at].text not in _LAST or at + 1 >= len(said):
            return None
        count, unit_at = self._count(said, at + 1)
        if unit_at >= len(said):
            return None
        unit = _UNITS.get(said[unit_at].text) or _UNITS.get(said[unit_at].stem)
        if unit is None:
            return None
        span = unit * count
        if unit_at == at + 1 and unit == timedelta(days=1):
            span = timedelta(days=1)
        if not timedelta() < span <= timedelta(days=3660):
            return None
        return Period(start=self._now - span, end=self._now, said="a span"), tuple(range(at, unit_at + 1))

    def _ago(self, said: tuple[Word, ...], at: int) -> tuple[Period, tuple[int, ...]] | None:
        """``two days ago``, ``an hour ago``."""
        if said[at].text not in ("ago", "temu", "тому") or at < 2:
            return None
        unit = _UNITS.get(said[at - 1].text) or _UNITS.get(said[at - 1].stem)
        count, unit_at = self._count(said, at - 2)
        if unit is None or unit_at != at - 1:
            return None
        when = self._now - unit * count
        if unit >= timedelta(days=1):
            return self._whole(when.date()), (at - 2, at - 1, at)
        return Period(start=when, end=self._now, said="a span"), (at - 2, at - 1, at)

    def _night(self, said: tuple[Word, ...], at: int) -> tuple[Period, tuple[int, ...]] | None:
        """``last night``, ``overnight``, ``yesterday evening``, ``Tuesday night``."""
        if said[at].text not in _NIGHT:
            return None
        before = said[at - 1].text if at else ""
        if said[at].text == "overnight" or before in _LAST or before in _YESTERDAY:
            evening = self._today - timedelta(days=1)
        elif before in _DAYS:
            evening = self._last_weekday(_DAYS[before])
        else:
            return None
        start = datetime.combine(evening, time(18), UTC)
        end = min(start + timedelta(hours=12), max(self._now, start))
        places = (at,) if said[at].text == "overnight" else (at - 1, at)
        return Period(start=start, end=end, said="a night"), places

    def _word_day(self, said: tuple[Word, ...], at: int) -> tuple[Period, tuple[int, ...]] | None:
        if said[at].text in _YESTERDAY:
            before = at > 0 and said[at - 1].text == "before" and at > 1 and said[at - 2].stem == "day"
            back = 2 if before else 1
            return self._whole(self._today - timedelta(days=back)), tuple(range(at - 2 if before else at, at + 1))
        if said[at].text in _TODAY:
            return self._whole(self._today), (at,)
        return None

    def _weekday(self, said: tuple[Word, ...], at: int) -> tuple[Period, tuple[int, ...]] | None:
        if said[at].text not in _DAYS or (said[at].text in ("sun", "sat", "wed", "mon") and len(said) == 1):
            return None
        if at and said[at - 1].text in ("next", "coming", "black", "good"):
            return None
        day = self._last_weekday(_DAYS[said[at].text])
        if at and said[at - 1].text in _LAST and self._today - day < timedelta(days=1):
            day -= timedelta(days=7)
        return self._whole(day), ((at - 1, at) if at and said[at - 1].text in _LAST else (at,))

    def _weekend(self, said: tuple[Word, ...], at: int) -> tuple[Period, tuple[int, ...]] | None:
        """``the weekend``: the last one that has begun."""
        if said[at].text not in ("weekend", "weekends") or (at and said[at - 1].text in ("next", "coming")):
            return None
        start = datetime.combine(self._last_weekday(_DAYS["saturday"]), time(), UTC)
        return Period(start=start, end=min(start + timedelta(days=2), max(self._now, start)), said="a weekend"), (at,)

    def _this(self, said: tuple[Word, ...], at: int) -> tuple[Period, tuple[int, ...]] | None:
        """``this week``, ``this month``; and ``this morning``."""
        if at == 0 or said[at - 1].text not in ("this", "current", "tym", "цього", "цей"):
            return None
        midnight = datetime.combine(self._today, time(), UTC)
        match said[at].stem:
            case "week" | "tygodniu" | "тижня" | "тиждень":
                start = midnight - timedelta(days=self._today.weekday())
            case "month":
                start = midnight.replace(day=1)
            case "year":
                start = midnight.replace(month=1, day=1)
            case "morning" | "afternoon" | "evening":
                start = midnight
            case _:
                return None
        return Period(start=start, end=self._now, said=f"this {said[at].stem}"), (at - 1, at)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _since(
        self, said: tuple[Word, ...], period: Period, places: tuple[int, ...]
    ) -> tuple[Period | None, frozenset[int]]:
        first = places[0]
        if first and said[first - 1].text in _SINCE and period.start <= self._now:
            since = period.model_copy(update={"end": max(self._now, period.start)})
            return since, frozenset({*places, first - 1})
        return period, frozenset(places)

    def _whole(self, day: date) -> Period:
        start = datetime.combine(day, time(), UTC)
        return Period(start=start, end=start + timedelta(days=1), said=f"{day:%A}")

    def _last_weekday(self, weekday: int) -> date:
        """Return the last such day; today's own name means today a week ago is not: it has begun."""
        back = (self._today.weekday() - weekday) % 7
        return self._today - timedelta(days=back)

    @staticmethod
    def _count(said: tuple[Word, ...], at: int) -> tuple[float, int]:
        """Return the number at a place, 1 where there is none, and where it ends."""
        text = said[at].text
        if text in _NUMBERS:
            more = 2 if at + 1 < len(said) and said[at + 1].text == "of" else 1
            return _NUMBERS[text], at + more
        if re.fullmatch(r"\d{1,4}", text):
            return float(text), at + 1
        return 1.0, at


def days_named(said: tuple[Word, ...]) -> frozenset[int]:
    """Return the places of words that name a day: of the week, of the calendar, or from today on."""
    day = re.compile(r"\d{4}-\d{2}-\d{2}")
    known = {*_DAYS, *_MONTHS, *_YESTERDAY, *_TODAY} - {"may", "mar", "sun", "sat", "wed"}
    return frozenset(word.place for word in said if word.text in known or day.fullmatch(word.text))


def duration(said: tuple[Word, ...]) -> tuple[timedelta | None, frozenset[int]]:
    """Return for how long something is to be, and the places of its words: ``for two hours``, ``30m``."""
    for at, word in enumerate(said):
        unit = _UNITS.get(word.text) or _UNITS.get(word.stem)
        if unit is None or at == 0:
            continue
        half = at >= 2 and said[at - 1].text in ("a", "an") and said[at - 2].text == "half"
        number = said[at - 1].text
        if half:
            return unit * 0.5, frozenset({at - 2, at - 1, at})
        if number == "of" and at >= 2:
            number = said[at - 2].text
        if number in _NUMBERS or re.fullmatch(r"\d{1,4}(?:\.\d)?", number):
            return unit * (_NUMBERS.get(number) or float(number)), frozenset({at - 1, at})
        if number in ("next", "the") and {"for", "during", "over"} & {word.text for word in said[max(0, at - 3) : at]}:
            return unit, frozenset({at - 1, at})
    return None, frozenset()
