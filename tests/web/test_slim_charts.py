"""Every wide picture of a cycle has one for a phone: as narrow, under a name of its own, and all within its frame."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from markupsafe import Markup

from service.report import comparisons, signals, timecharts
from service.report.comparisons import Pair
from service.report.signals import Trouble
from service.report.svg import CHARACTER, SLIM
from service.report.timecharts import Segment
from service.wording import score

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LOOKS = [
    {
        "lift": 0.1,
        "lower": 0.05 * k,
        "upper": 0.3,
        "verdict": "pass",
        "users_baseline": 90 * k,
        "users_candidate": 20 * k,
    }
    for k in range(1, 8)
]


def _series(count: int) -> list[tuple[datetime, float | None]]:
    return [(NOW + timedelta(minutes=k), 0.7 - 0.01 * (k > count // 2)) for k in range(count)]


def _slim() -> Sequence[Markup | None]:
    pairs = [Pair("a-subject-with-a-long-name", 0.5, 0.7, "n 12"), Pair("json", None, 0.6), Pair("xml", 0.6, None)]
    events = [(NOW, "alert"), (NOW + timedelta(minutes=9), "the candidate gets a fifth of the users")]
    trouble = Trouble(NOW, NOW + timedelta(minutes=5), 0.7)
    segments = [Segment("observe", NOW, NOW + timedelta(seconds=70)), Segment("ab", NOW, NOW + timedelta(hours=26))]
    return [
        comparisons.dumbbell("lost", "Lost", pairs, score, judged=True, slim=True),
        comparisons.lift_chart(LOOKS, 0.03, slim=True),
        timecharts.watch_chart("ndcg_at_10", [0.6] * 12, [(0.7, "pass")] * 6, 0.7, slim=True),
        timecharts.stage_chart(segments, [(NOW, "promote")], NOW, slim=True),
        signals.signal_chart("ndcg_at_10", _series(40), events, trouble, signals.PHONE),
    ]


def test_a_slim_picture_is_as_wide_as_a_phone_and_has_a_name_of_its_own() -> None:
    for picture in _slim():
        assert picture is not None
        assert f'viewBox="0 0 {SLIM} ' in picture
        assert '-slim-t"' in picture


def test_no_label_of_a_slim_picture_is_cut_off_at_an_edge() -> None:
    cut = []
    for picture in _slim():
        found = re.findall(r'<text class="[^"]*" x="([-\d.]+)" y="[-\d.]+" text-anchor="(\w+)">([^<]*)<', str(picture))
        assert found
        for at, anchor, text in found:
            width = len(text) * CHARACTER
            left = float(at) - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
            if left < -1 or left + width > SLIM + 1:
                cut.append(text)
    assert cut == []
