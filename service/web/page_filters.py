"""How pages of approvals, policies and money say things: filters of the templates beside those of every page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from policies.contract import GateSpec
from service import wording
from service.web.moments import span

_EVERY = re.compile(r"every (?:(\d+) days?, )?(\d+):(\d{2}):(\d{2})(?:\.\d+)?")
_VIAS = {"engine": "engine", "agent": "agent", "person": "person"}


def until(at: datetime, now: datetime) -> str:
    """Return how long there is left, in two units, or that it is over."""
    seconds = int((at - now).total_seconds())
    if seconds <= 0:
        return "expired"
    days, hours, minutes = seconds // 86400, seconds % 86400 // 3600, seconds % 3600 // 60
    if days:
        return f"expires in {days} d {hours} h"
    return f"expires in {hours} h {minutes} min" if hours else f"expires in {minutes} min {seconds % 60} s"


def plain(value: Any) -> str:
    """Return a fact of a decision as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return wording.clean(value, 80) or "nothing"


def who_is(answers: Mapping[str, str], word: str) -> list[str]:
    """Return who is told `word`: the engine, an agent, a person."""
    return [said for via, said in _VIAS.items() if answers.get(via) == word]


def gate_rule(gate: GateSpec) -> str:
    """Return the rule of a gate in words."""
    level = "" if gate.min_level is None else f", and at least {gate.min_level:g}"
    match gate.kind:
        case "min_relative_delta":
            return f"at least {100 * gate.threshold:+g} % against the baseline{level}"
        case "max_relative_delta":
            return f"at most {100 * gate.threshold:+g} % against the baseline{level}"
        case "min":
            return f"at least {gate.threshold:g}{level}"
        case _:
            return f"at most {gate.threshold:g}{level}"


def timing(text: str) -> str:
    """Return when a schedule is due as people read it: an interval in its unit, a cron line with its name."""
    found = _EVERY.fullmatch(text)
    if found is None:
        return f"cron {text} (UTC)"
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return f"every {span(86400 * days + 3600 * hours + 60 * minutes + seconds)}"


FILTERS = {"timing": timing, "gate_rule": gate_rule, "plain": plain, "until": until, "who_is": who_is}
