"""The pictures of a cycle, drawn on the server: what the report of a cycle draws, as far as the cycle has come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from domain.cycle import Cycle
from service.report import comparisons, signals, story, timecharts
from service.report.comparisons import Pair
from service.report.material import ReportMaterial
from service.report.timecharts import Segment
from service.web.standing import reading_of
from service.wording import MISSING, finite, percent, score, signal_label, signal_value

Key = tuple[str, str]
_SINCE, _ANSWERED = "since the alert", "from the alert to the change that answered it"
_BEFORE, _AFTER = ("k-before", "before the alert"), ("k-accent", "after it")


@dataclass(frozen=True)
class Chart:
    """A picture with its title, what it says, what its colours mean, and the same as a table.

    `slim` is the picture as a phone shows it; one without is small enough for both.
    """

    name: str
    title: str
    said: str
    picture: Markup
    keys: tuple[Key, ...] = ()
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    half: bool = False
    slim: Markup | None = None


def charts_of(
    material: ReportMaterial,
    artifacts: Mapping[str, Mapping[str, Any]],
    now: datetime,
    asked: float | None = None,
) -> list[Chart]:
    """Return the charts that the cycle has come far enough for, in the order of its story.

    Args:
        asked: the lift with users that the contract asks for, where the test itself has not said it yet.
    """
    makers: tuple[Callable[[], list[Chart]], ...] = (
        lambda: _signals(material, artifacts, now),
        lambda: _slices(
            "lost", "What was lost, by subject", "live sessions before and after the alert", story.lost(material)
        ),
        lambda: _attribution(material),
        lambda: _slices(
            "gained",
            "What was gained, by subject",
            "held-out queries, the live model and the candidate",
            story.gained(artifacts),
        ),
        lambda: _ab(material, artifacts, asked),
        lambda: _watch(material, artifacts),
        lambda: _stages(material, now),
    )
    return [chart for make in makers for chart in make()]


def _signals(material: ReportMaterial, artifacts: Mapping[str, Mapping[str, Any]], now: datetime) -> list[Chart]:
    lead = material.cycle.alert.signal
    names = sorted(material.series, key=lambda name: (name != lead, name))
    found = []
    for name in names:
        first = name == names[0]
        trouble = _trouble(material, artifacts, name, now)
        events = sorted(material.events) if first else ()
        sizes = (signals.FULL, signals.PHONE) if first else (signals.HALF,)
        drawn = [signals.signal_chart(name, material.series[name], events, trouble, size) for size in sizes]
        picture, slim = drawn[0], drawn[1] if first else None
        if picture is not None:
            keys: tuple[Key, ...] = (
                ("k-accent", signal_label(name)),
                ("k-trouble", (_SINCE if ongoing(material.cycle) else _ANSWERED) if first else "the trouble"),
            )
            said = "As the platform reported it." if first else ""
            found.append(Chart(f"signal-{name}", signal_label(name), said, picture, keys, half=not first, slim=slim))
    return found


def _trouble(
    material: ReportMaterial, artifacts: Mapping[str, Mapping[str, Any]], name: str, now: datetime
) -> signals.Trouble:
    """Return the trouble; while nothing has answered it, it goes on."""
    found = story.trouble(material, artifacts, name)
    level = found.baseline if found.baseline is not None else finite(reading_of(material.cycle, name).get("baseline"))
    return signals.Trouble(found.begin, max(now, found.begin) if ongoing(material.cycle) else found.end, level)


def ongoing(cycle: Cycle) -> bool:
    """Whether nothing has answered the trouble of a cycle yet."""
    return not cycle.stage.terminal and "changed_at" not in cycle.facts


def _slices(name: str, title: str, of: str, pairs: Sequence[Pair]) -> list[Chart]:
    picture, slim = (
        comparisons.dumbbell(name, f"nDCG@10 by subject: {title.lower()}", pairs, score, judged=True, slim=slim)
        for slim in (False, True)
    )
    if picture is None:
        return []
    keys = (("k-before", "before"), ("", "after, better"), ("k-bad", "after, worse"), ("k-accent", "new"))
    rows = tuple((pair.name, score(pair.before), score(pair.after), pair.note.removeprefix("n ")) for pair in pairs)
    heads = ("Subject", "Before", "After", "Sample")
    said = f"nDCG@10 of {of}; new subjects first, then the largest change."
    return [Chart(name, title, said, picture, keys, heads, rows, slim=slim)]


def _attribution(material: ReportMaterial) -> list[Chart]:
    pairs = [Pair(share.feature, share.before, share.after) for share in material.attribution or ()]
    title = "What the re-ranker attends to"
    picture, slim = (
        comparisons.dumbbell("attribution", title, pairs, _share, judged=False, slim=slim) for slim in (False, True)
    )
    if picture is None:
        return []
    rows = tuple((pair.name, _share(pair.before), _share(pair.after)) for pair in pairs)
    said = "Share of each feature in the scores of the live model (TreeSHAP), on queries before and after the alert."
    heads = ("Feature", "Before", "After")
    return [Chart("attribution", title, said, picture, (_BEFORE, _AFTER), heads, rows, slim=slim)]


def _ab(material: ReportMaterial, artifacts: Mapping[str, Mapping[str, Any]], asked: float | None) -> list[Chart]:
    ab = artifacts.get("ab_test_results.json") or material.cycle.facts.get("ab") or {}
    looks = list(ab.get("looks") or ())
    margin = _margin(ab)
    wanted = asked if margin is None else margin
    picture, slim = (comparisons.lift_chart(looks, wanted, slim=slim) if looks else None for slim in (False, True))
    if picture is None:
        return []
    keys = (("k-accent", "lift and its interval, not decided yet"), ("", "pass"), ("k-bad", "fail"))
    last = looks[-1]
    said = (
        f"Lift of the candidate with users: {percent(last.get('lift'))}, between {percent(last.get('lower'))} and "
        f"{percent(last.get('upper'))}. The interval holds at all looks together, so looking often costs nothing."
    )
    rows = tuple(
        (
            str(number),
            f"{int(look.get('users_baseline') or 0):,}",
            f"{int(look.get('users_candidate') or 0):,}",
            percent(look.get("lift")),
            f"{percent(look.get('lower'))} to {percent(look.get('upper'))}",
            str(look.get("verdict") or MISSING),
        )
        for number, look in enumerate(looks, 1)
    )
    heads = ("Look", "Users, live", "Users, candidate", "Lift", "Interval", "Verdict")
    return [Chart("ab", "A/B test on live traffic", said, picture, keys, heads, rows, slim=slim)]


def _margin(ab: Mapping[str, Any]) -> float | None:
    """Return the lift that was asked for, as the gate itself recorded it."""
    figures = [gate.get("figures") or {} for gate in ab.get("gates") or ()]
    return next((margin for each in figures if (margin := finite(each.get("margin"))) is not None), None)


def _watch(material: ReportMaterial, artifacts: Mapping[str, Mapping[str, Any]]) -> list[Chart]:
    looks = artifacts.get("watch.json", {}).get("looks") or material.cycle.facts.get("watch") or ()
    seen = story.watched(material, artifacts)
    marks = [(finite(look.get("value")), str(look.get("verdict", ""))) for look in looks]
    picture, slim = (
        timecharts.watch_chart(seen.signal, seen.before, marks, seen.healthy, slim=slim) if marks else None
        for slim in (False, True)
    )
    if picture is None:
        return []
    keys = (("k-before", "before the change"), ("k-accent", "not decided yet"), ("", "pass"), ("k-bad", "fail"))
    rows = tuple(
        (
            str(number),
            signal_value(seen.signal, look.get("value")),
            str(look.get("n", "")),
            str(look.get("verdict", "")),
        )
        for number, look in enumerate(looks, 1)
    )
    said = f"{signal_label(seen.signal)} at each look since the change went live."
    heads = ("Look", "Value", "Sample", "Verdict")
    return [Chart("watch", "Before and after the change", said, picture, keys, heads, rows, slim=slim)]


def _stages(material: ReportMaterial, now: datetime) -> list[Chart]:
    segments = story.segments(material)
    cycle = material.cycle
    if not cycle.stage.terminal:
        begin = segments[-1].end if segments else cycle.opened_at
        segments = [*segments, Segment(cycle.stage.value, begin, max(now, begin))]
    effects = story.effects(material.audit)
    picture, slim = (timecharts.stage_chart(segments, effects, cycle.opened_at, slim=slim) for slim in (False, True))
    if picture is None:
        return []
    keys = (("k-accent", "a stage at work or waiting"), ("k-effect", "an effect"))
    return [Chart("stages", "Where the time went", "", picture, keys, slim=slim)]


def _share(value: float | None) -> str:
    return MISSING if value is None else f"{100 * value:.0f} %"
