"""Whether the clocks of the systems around agree with this one: windows of metrics, leases and tokens rest on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime

import httpx

from domain.clock import Clock
from domain.errors import DependencyLied
from service.config import Config

ALLOWED = timedelta(seconds=5)
"""What two clocks may differ by; an answer's date is in whole seconds, and the answer took its time."""
_TIMEOUT_S = 5.0


def addresses(config: Config) -> dict[str, str]:
    """Return where the systems that answer over HTTP are, by the name of their section."""
    sections = {
        "platform": config.platform,
        "metrics": config.metrics,
        "delivery": config.delivery,
        "alertmanager": config.alertmanager,
        "grafana": config.grafana,
        "costs": config.costs,
        "vectors": config.vectors,
        "search": config.search,
    }
    found = {name: str(getattr(section, "url", None) or "") for name, section in sections.items()}
    if config.tracking.uri.startswith("http"):
        found["tracking"] = config.tracking.uri
    return {name: url for name, url in found.items() if url.startswith("http")}


def compared(asked: Mapping[str, str], clock: Clock) -> str:
    """Ask each address for its time and return in a line how far the furthest clock is away.

    The `Date` of any answer counts, whatever its status; who does not answer or gives none is not compared.

    Raises:
        DependencyLied: a clock differs by more than `ALLOWED`; names it and by how much.
    """
    apart: dict[str, timedelta] = {}
    for name, url in asked.items():
        away = _away(url, clock)
        if away is not None:
            apart[name] = away
    wrong = {name: away for name, away in apart.items() if abs(away) > ALLOWED}
    if wrong:
        told = ", ".join(f"{name} is {away.total_seconds():+.0f} s away" for name, away in sorted(wrong.items()))
        raise DependencyLied("clock", f"{told}; more than {ALLOWED.total_seconds():.0f} s")
    if not apart:
        return "nobody to compare with"
    most = max(abs(away) for away in apart.values())
    return f"{len(apart)} compared ({', '.join(sorted(apart))}), at most {most.total_seconds():.1f} s apart"


def _away(url: str, clock: Clock) -> timedelta | None:
    before = clock.now()
    try:
        said = httpx.head(url, timeout=_TIMEOUT_S, verify=False, follow_redirects=False).headers.get("date", "")
        theirs = parsedate_to_datetime(said)
    except (httpx.HTTPError, ValueError, TypeError):
        return None
    between = before + (clock.now() - before) / 2
    return theirs - between if theirs.tzinfo is not None else None
