"""Model cards (Mitchell et al. 2019) as markdown, from facts alone: what is not known says so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from adapters.tracking.base import CardMetric, ModelCard
from domain.markdown import literal

_UNKNOWN = "not known"
_MOST = 300


def markdown(card: ModelCard) -> str:
    """Return the card; every section stands there, whatever is known of it."""
    lines = [f"# {_plain(card.title)}", "", _plain(card.what) or _UNKNOWN, ""]
    lines += ["## Data", "", *_list(card.data), ""]
    lines += ["## Metrics", "", *_metrics(card), ""]
    lines += ["## Gates", "", *_gates(card), ""]
    lines += ["## Limits", "", *([f"- {_plain(limit)}" for limit in card.limits] or [f"- {_UNKNOWN}"]), ""]
    lines += ["## Lineage", "", *_list(card.lineage)]
    return "\n".join(lines) + "\n"


def first_card(
    model: str, digest: str, tags: Mapping[str, str], run_id: str, metrics: Mapping[str, float]
) -> ModelCard:
    """Return the card of a version that has just been registered: nothing has judged it yet."""
    data = {"dataset": tags.get("dataset_path", ""), "hash": tags.get("dataset_md5", "")}
    lineage = {
        "digest": digest,
        "run": run_id,
        "cycle": tags.get("cycle_id", ""),
        "alert": tags.get("alert_fingerprint", ""),
        "code": tags.get("code_revision", ""),
        "trained at": tags.get("trained_at", ""),
        "dataset revision": tags.get("dataset_rev") or tags.get("dataset_revision", ""),
    }
    return ModelCard(
        title=model,
        what=f"A version of {model}, registered as a candidate.",
        data=data,
        metrics=tuple(CardMetric(name=name, value=value) for name, value in sorted(metrics.items())),
        limits=("The metrics are the training's own; they say nothing about held-out queries.",),
        lineage=lineage,
    )


def _list(facts: Mapping[str, str]) -> list[str]:
    known = [f"- {_plain(name)}: {_code(value)}" for name, value in facts.items() if value]
    return known or [f"- {_UNKNOWN}"]


def _metrics(card: ModelCard) -> Iterator[str]:
    if not card.metrics:
        yield "None was measured."
        return
    yield "| metric | value | interval | n | baseline |"
    yield "|---|---|---|---|---|"
    for metric in card.metrics:
        interval = "-" if metric.low is None or metric.high is None else f"{_n(metric.low)} to {_n(metric.high)}"
        count = "-" if metric.n is None else str(metric.n)
        yield f"| {_plain(metric.name)} | {_n(metric.value)} | {interval} | {count} | {_n(metric.baseline)} |"


def _gates(card: ModelCard) -> Iterator[str]:
    if not card.gates:
        yield "No gate has judged this version yet."
        return
    for gate in card.gates:
        yield f"- {_plain(gate.name)}: **{gate.verdict.value}**. {_plain(gate.reason)}"


def _n(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.4g}"


def _plain(text: str) -> str:
    """Return text that cannot become markup, a link or a new line: some of it was written by others."""
    return literal(" ".join(text.split())[:_MOST])


def _code(text: str) -> str:
    return f"`{' '.join(text.split())[:_MOST].replace('`', chr(39))}`"
