"""Queries in PromQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from adapters.metrics.evaluate import is_summed, metric_of
from domain.signal import SeriesQuery, Stat


def render(query: SeriesQuery, *, offset: timedelta = timedelta(), freshness: timedelta | None = None) -> str:
    """Return the query in PromQL; `scale` is left to the caller.

    With `offset` it is evaluated that much earlier. With `freshness` a last value older than that is left out; without,
    the server's own five minutes count.

    Raises:
        InvalidInput: a label's name is not one, or the quantile is missing.
    """
    shift = f" offset {_milliseconds(offset)}ms" if offset else ""
    selector = f"{metric_of(query)}{matchers(query.labels)}"
    windowed = f"{selector}[{_milliseconds(timedelta(seconds=query.window_s))}ms]{shift}"
    together = "sum" if is_summed(query.metric) else "avg"
    match query.stat:
        case Stat.LAST:
            return f"{together}({_fresh(f'{selector}{shift}', offset, freshness)})"
        case Stat.MEAN:
            return f"{together}(avg_over_time({windowed}))"
        case Stat.RATE | Stat.INCREASE:
            return f"sum({query.stat.value}({windowed}))"
        case Stat.QUANTILE:
            return f"histogram_quantile({query.q!r}, sum by (le) (rate({windowed})))"


def matchers(labels: Mapping[str, str]) -> str:
    """Return the labels as a selector has them, in braces; nothing where there are none."""
    pairs = [f'{name}="{_escaped(value)}"' for name, value in sorted(labels.items())]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _fresh(selector: str, offset: timedelta, freshness: timedelta | None) -> str:
    if freshness is None:
        return selector
    oldest = (offset + freshness).total_seconds()
    return f"{selector} and (timestamp({selector}) >= time() - {oldest:.3f})"


def _milliseconds(duration: timedelta) -> int:
    return max(round(duration / timedelta(milliseconds=1)), 1)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
