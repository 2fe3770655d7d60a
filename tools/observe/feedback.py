"""`feedback_report`: how satisfied users say they are, and with which queries they are not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import Field

from adapters.feedback.base import MOST_EVENTS, FeedbackEvent, FeedbackPort, Kind
from adapters.platform.base import PlatformPort
from domain.clock import Clock
from domain.untrusted import Untrusted
from tools.observe.feedback_events import clean, mean, on_five, unhappiest
from tools.tool import Arguments, Call, Result, Tool, ToolSpec

SOURCE = "feedback"


class FeedbackArgs(Arguments):
    """How many hours up to now, and how many opinions a query or category needs to be named."""

    hours: float = Field(default=24, gt=0, le=744)
    least: int = Field(default=3, ge=1, le=1000)
    limit: int = Field(default=10, ge=1, le=50)


class Unhappy(Result):
    """Opinions of one query or category on the scale of 1 to 5."""

    name: Untrusted
    satisfaction: float
    opinions: int


class FeedbackReport(Result):
    """What people said in [start, end); None is what nobody said anything about.

    `satisfaction` is the mean opinion from 1 to 5 (a thumb is one end of the scale) over `opinions`, with its standard
    error; `rating` and `thumbs_up` are its two parts apart. `repeats` and `robots` are events that were not counted.
    Not `complete` when there were more events than could be read.
    """

    start: datetime
    end: datetime
    events: int
    repeats: int
    robots: Mapping[str, int]
    users: int
    clicks: int
    satisfaction: float | None
    opinions: int
    stderr: float | None
    rating: float | None
    ratings: int
    thumbs_up: float | None
    thumbs: int
    queries: tuple[Unhappy, ...]
    categories: tuple[Unhappy, ...]
    complete: bool


class FeedbackRead(Tool[FeedbackArgs, FeedbackReport]):
    """Reads feedback and sets repeats and robots aside."""

    spec = ToolSpec(
        "feedback_report",
        "What users say: satisfaction from 1 to 5 without repeats and robots, and the unhappiest queries.",
    )
    input = FeedbackArgs
    output = FeedbackReport

    def __init__(self, feedback: FeedbackPort, platform: PlatformPort, clock: Clock) -> None:
        self._feedback = feedback
        self._platform = platform
        self._clock = clock

    def run(self, args: FeedbackArgs, call: Call) -> FeedbackReport:
        end = self._clock.now()
        start = end - timedelta(hours=args.hours)
        told = self._feedback.events(start, end, MOST_EVENTS)
        kept = clean(told)
        window = end - start
        scores = [score for event in kept.events if (score := on_five(event)) is not None]
        ratings = [event.value for event in kept.events if event.kind is Kind.RATING]
        thumbs = [float(event.value > 0) for event in kept.events if event.kind is Kind.THUMB]
        satisfied = mean(scores, "score_1_5", window, SOURCE, end)
        return FeedbackReport(
            start=start,
            end=end,
            events=len(told),
            repeats=kept.repeats,
            robots=kept.robots,
            users=len({event.user_id for event in kept.events}),
            clicks=sum(event.kind is Kind.CLICK for event in kept.events),
            satisfaction=satisfied.value,
            opinions=satisfied.n,
            stderr=satisfied.stderr,
            rating=mean(ratings, "score_1_5", window, SOURCE, end).value,
            ratings=len(ratings),
            thumbs_up=mean(thumbs, "share", window, SOURCE, end).value,
            thumbs=len(thumbs),
            queries=_named(_by_query(kept.events), args),
            categories=_named(self._by_category(kept.events), args),
            complete=len(told) < MOST_EVENTS,
        )

    def _by_category(self, events: Sequence[FeedbackEvent]) -> Mapping[str, Sequence[float]]:
        """Opinions by the subject of the document they are about."""
        about = {event.doc_id for event in events if event.doc_id is not None}
        subjects = {d.id: d.subject for d in self._platform.documents() if d.id in about} if about else {}
        found: dict[str, list[float]] = defaultdict(list)
        for event in events:
            score, subject = on_five(event), subjects.get(event.doc_id or "")
            if score is not None and subject:
                found[subject].append(score)
        return found


def _by_query(events: Sequence[FeedbackEvent]) -> Mapping[str, Sequence[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for event in events:
        score = on_five(event)
        if score is not None:
            found[" ".join(event.query.lower().split())].append(score)
    return found


def _named(groups: Mapping[str, Sequence[float]], args: FeedbackArgs) -> tuple[Unhappy, ...]:
    return tuple(
        Unhappy(name=Untrusted(text=name[:200], source=SOURCE), satisfaction=score, opinions=n)
        for name, score, n in unhappiest(groups, args.least, args.limit)
    )
