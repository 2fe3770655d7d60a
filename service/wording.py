"""How people read names, numbers and text from outside; the terminal and the report say the same thing the same way."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import timedelta
from typing import Any

from domain.actor import Role
from domain.stage import Stage

MISSING = "\N{EN DASH}"

_STAGES = {Stage.AB.value: "A/B test", Stage.ROLL_BACK.value: "roll back"}
_ROLES = {role.value: role.label for role in Role} | {"engine": "Engine"}
_SIGNALS = {
    "ndcg_at_10": "nDCG@10",
    "recall_at_20": "recall@20",
    "latency_p95_ms": "p95 latency",
    "etl_backlog_s": "index lag",
    "cost_per_1k_requests": "cost per 1,000",
    "budget_used": "budget used",
    "budget_share": "share of the budget",
    "vector_index_errors": "index errors",
    "user_satisfaction": "satisfaction",
    "error_rate": "error rate",
    "sample_ratio": "sample ratio",
}
_WHERE = {"evaluation": "offline", "ab_test_results": "A/B", "watch": "watch"}
# A signal's name where it stands by itself, not as a part of a path, of an address or of a longer name.
_NAMED = re.compile(rf"(?<![\w./-])({'|'.join(name for name in _SIGNALS if '_' in name)})(?![\w/-]|\.\w)")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(text: object, limit: int = 400) -> str:
    """Return text on one line without control, escape and direction characters, cut at `limit` characters."""
    seen = visible(" ".join(str(text).split()))
    return seen if len(seen) <= limit else f"{seen[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"


def visible(line: str) -> str:
    """Return a line without control, escape and direction characters, its spaces kept."""
    return "".join(c for c in line.expandtabs(4) if unicodedata.category(c) not in _INVISIBLE)


def readable(text: object, limit: int = 400, *, about: str = "") -> str:
    """Return a sentence of the record as people read it: names of signals are their labels.

    Args:
        about: the gate (as `gate_label` takes it) that stands beside the sentence: its name is not said once more.
    """
    said = " ".join(str(text).split()).removeprefix(f"{about.rpartition(': ')[2]}: ").replace(".; ", "; ")
    return clean(_NAMED.sub(lambda found: _SIGNALS[found[0]], said), limit)


def stage_label(name: str) -> str:
    """Return a stage as people read it."""
    return _STAGES.get(name, clean(name.replace("_", " "), 40))


def role_label(actor: str) -> str:
    """Return the role of an actor (``ml_engineer`` or ``ml_engineer/agent``), or the name of a person."""
    role = actor.partition("/")[0]
    return _ROLES.get(role, clean(role, 40))


def signal_label(name: str) -> str:
    """Return a signal or gate as people read it."""
    return _SIGNALS.get(name, clean(name.replace("_", " "), 60))


def gate_label(name: str) -> str:
    """Return a gate as people read it; ``evaluation: ndcg_at_10`` says where it stood."""
    where, _, gate = name.rpartition(": ")
    return f"{signal_label(gate)}, {_WHERE.get(where, words(where))}" if where else signal_label(gate)


def words(name: str | None) -> str:
    """Return an identifier as words."""
    return clean(name.replace("_", " "), 60) if name else MISSING


def finite(value: Any) -> float | None:
    """Return the number, or None when it is none or not finite: missing is not zero."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def signal_value(name: str, value: Any) -> str:
    """Return a signal's value in its unit."""
    number = finite(value)
    if number is None:
        return MISSING
    if name.endswith("_ms"):
        return f"{number:,.0f} ms" if number >= 100 else f"{number:.1f} ms"
    if name.endswith("_s"):
        return f"{number:.1f} s"
    if name.startswith("cost"):
        return f"${number:.3f}"
    if name == "user_satisfaction":
        return f"{number:.2f}"
    if name.endswith("_errors"):
        return f"{number:,.0f}"
    if name == "budget_share":
        return f"{100 * number:.0f} %"
    return f"{number:.3f}"


def score(value: Any) -> str:
    """Return a score in [0, 1] with three digits."""
    number = finite(value)
    return MISSING if number is None else f"{number:.3f}"


def percent(value: Any, digits: int = 1) -> str:
    """Return a share as a signed percentage."""
    number = finite(value)
    if number is None:
        return MISSING
    rounded = round(100 * number, digits)
    return f"{rounded:+.{digits}f} %".replace("-", "\N{MINUS SIGN}") if rounded else "0 %"


def dollars(value: float) -> str:
    """Return an amount of US dollars; a small one is not rounded to nothing."""
    return f"${value:,.2f}" if value >= 0.01 or not value else f"${value:.4f}"


def duration(seconds: float | timedelta) -> str:
    """Return a duration in the unit that fits it."""
    total = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    if total < 60:
        return f"{total:.1f} s"
    if total < 3600:
        return f"{int(total // 60)} min {int(total % 60):02d} s"
    if total < 86400:
        return f"{int(total // 3600)} h {int(total % 3600 // 60):02d} min"
    return f"{int(total // 86400)} d {int(total % 86400 // 3600)} h"


def digest_label(digest: str) -> str:
    """Return enough of a digest or revision to recognise it."""
    bare = clean(digest, 100).removeprefix("sha256:")
    return bare[:12] or MISSING
