"""What feedback is worth: repeats and robots are set aside, the rest is averaged with its doubt.

Pure functions. Sources of the heuristics:

* Repeats: a second click of the same user on the same document within 30 seconds is a double-click, of which one is
  counted (COUNTER Code of Practice, release 5: double-click filtering). An opinion may be changed: of those of a user
  on a query and a document that follow one another within ten minutes the last counts.
* Robots by name: user agents that say so (COUNTER, release 5: robots and crawlers are excluded by their user agent).
* Robots by behaviour: more events in a minute than a person makes, and intervals that are all alike. Tan and Kumar,
  "Discovery of Web Robot Sessions Based on their Navigational Patterns", Data Mining and Knowledge Discovery 6 (2002),
  tell robots from people by features of their sessions; the two here and their limits are ours.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from adapters.feedback.base import FeedbackEvent, Kind
from domain.measurement import Measurement

DOUBLE_CLICK = timedelta(seconds=30)
CHANGED_MIND = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)
MOST_A_MINUTE = 60
ALIKE_LEAST = 10
# Standard deviation over mean of the seconds between events; people come to 0.5 and more.
ALIKE_SPREAD = 0.05
_ROBOT = re.compile(
    # Cubot makes telephones.
    r"(?<!cu)bot\b|bot[/;]|crawl|spider|slurp|headless|phantomjs|selenium|puppeteer|playwright|curl/|wget/|python-requests|"
    r"python-httpx|go-http-client|okhttp|java/|libwww|scrapy|monitor|pingdom|uptime|health.?check",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Clean:
    """What is left, and how many events were set aside for what reason."""

    events: Sequence[FeedbackEvent]
    repeats: int
    robots: Mapping[str, int]


def clean(events: Iterable[FeedbackEvent]) -> Clean:
    """Return the events of people, each once; all events of a user who is a robot are set aside."""
    ordered = sorted(events, key=lambda event: event.ts)
    robots = {user: why for user, theirs in _by_user(ordered).items() if (why := robot(theirs))}
    people = [event for event in ordered if event.user_id not in robots]
    kept = once(people)
    reasons = Counter(robots[event.user_id] for event in ordered if event.user_id in robots)
    return Clean(kept, len(people) - len(kept), dict(reasons))


def robot(events: Sequence[FeedbackEvent]) -> str:
    """Return why a user's events, oldest first, are a robot's, or the empty string."""
    if any(_ROBOT.search(event.user_agent) for event in events):
        return "user_agent"
    times = [event.ts for event in events]
    if any(later - first < MINUTE for first, later in zip(times, times[MOST_A_MINUTE:], strict=False)):
        return "rate"
    return "timing" if _alike(times) else ""


def once(events: Iterable[FeedbackEvent]) -> list[FeedbackEvent]:
    """Return the events without repeats, oldest first."""
    seen: set[str] = set()
    last: dict[tuple[str, str, str | None, Kind], datetime] = {}
    kept: dict[tuple[str, str, str | None, Kind, int], FeedbackEvent] = {}
    runs: Counter[tuple[str, str, str | None, Kind]] = Counter()
    for event in sorted(events, key=lambda event: event.ts):
        if event.event_id and event.event_id in seen:
            continue
        seen.add(event.event_id)
        about = (event.user_id, event.query, event.doc_id, event.kind)
        within = DOUBLE_CLICK if event.kind is Kind.CLICK else CHANGED_MIND
        repeated = about in last and event.ts - last[about] <= within
        last[about] = event.ts
        if not repeated:
            runs[about] += 1
        # Of a run of opinions the last stays, of a run of clicks the first.
        if not repeated or event.kind is not Kind.CLICK:
            kept[*about, runs[about]] = event
    return sorted(kept.values(), key=lambda event: event.ts)


def on_five(event: FeedbackEvent) -> float | None:
    """Return an opinion on the scale of 1 to 5: a thumb is one end of it; None for a click, which is no opinion."""
    if event.kind is Kind.RATING:
        return event.value
    return (5.0 if event.value > 0 else 1.0) if event.kind is Kind.THUMB else None


def mean(values: Sequence[float], unit: str, window: timedelta, source: str, at: datetime) -> Measurement:
    """Return the mean with its standard error; missing without a value."""
    n = len(values)
    if not n:
        return Measurement.missing(unit, source, at)
    middle = sum(values) / n
    spread = math.sqrt(sum((v - middle) ** 2 for v in values) / (n - 1) / n) if n > 1 else None
    return Measurement(value=middle, unit=unit, n=n, window=window, source=source, at=at, stderr=spread)


def unhappiest(groups: Mapping[str, Sequence[float]], least: int, most: int) -> list[tuple[str, float, int]]:
    """Return the groups with the lowest mean that rest on `least` opinions or more: name, mean, number of opinions."""
    means = [(name, sum(found) / len(found), len(found)) for name, found in groups.items() if len(found) >= least]
    return sorted(means, key=lambda row: (row[1], -row[2], row[0]))[:most]


def _by_user(events: Iterable[FeedbackEvent]) -> dict[str, list[FeedbackEvent]]:
    found: dict[str, list[FeedbackEvent]] = defaultdict(list)
    for event in events:
        found[event.user_id].append(event)
    return found


def _alike(times: Sequence[datetime]) -> bool:
    gaps = [(b - a).total_seconds() for a, b in pairwise(times)]
    if len(gaps) < ALIKE_LEAST:
        return False
    middle = sum(gaps) / len(gaps)
    if middle <= 0:
        return True
    return math.sqrt(sum((gap - middle) ** 2 for gap in gaps) / len(gaps)) / middle < ALIKE_SPREAD
