"""Judged sessions on both sides of the alert, and the nDCG@10 each of them tells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.platform.base import JudgementRow, PlatformPort
from tools.observe.reading import SignalReader

DEPTH = 10


@dataclass(frozen=True)
class Sides:
    """Sessions of the baseline window before the alert, and those since the alert started minus one current window."""

    before: Sequence[JudgementRow]
    after: Sequence[JudgementRow]
    since: datetime


def sides(platform: PlatformPort, reader: SignalReader, alert_at: datetime) -> Sides:
    """Return the judged sessions on both sides of the alert."""
    windows = reader.windows
    end = alert_at - windows.gap
    since = alert_at - windows.current / 2
    before = platform.judgements(end - windows.baseline, end)
    after = platform.judgements(since, None)
    return Sides(before, after, since)


def session_ndcg(row: JudgementRow) -> float:
    """Return nDCG@10 of one session with one judged document: 1/log2(rank + 1), or 0 beyond the first ten."""
    try:
        rank = row.shown[:DEPTH].index(row.doc_id) + 1
    except ValueError:
        return 0.0
    return 1.0 / math.log2(rank + 1)
