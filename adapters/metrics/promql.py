"""Queries in PromQL."""

from __future__ import annotations

from adapters.metrics.evaluate import is_summed, metric_of
from domain.signal import SeriesQuery, Stat


def render(query: SeriesQuery) -> str:
    """Return the query in PromQL; `scale` is left to the caller.

    Raises:
        InvalidInput: a label's name is not one, or the quantile is missing.
    """
    selector = f"{metric_of(query)}{_matchers(query)}"
    windowed = f"{selector}[{max(round(query.window_s * 1000), 1)}ms]"
    together = "sum" if is_summed(query.metric) else "avg"
    match query.stat:
        case Stat.LAST:
            return f"{together}({selector})"
        case Stat.MEAN:
            return f"{together}(avg_over_time({windowed}))"
        case Stat.RATE | Stat.INCREASE:
            return f"sum({query.stat.value}({windowed}))"
        case Stat.QUANTILE:
            return f"histogram_quantile({query.q!r}, sum by (le) (rate({windowed})))"


def _matchers(query: SeriesQuery) -> str:
    pairs = [f'{name}="{_escaped(value)}"' for name, value in sorted(query.labels.items())]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
