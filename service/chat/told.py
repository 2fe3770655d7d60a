"""How answers are told: sentences with the places they rest on, each looked up before it is cited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from domain.errors import InvalidInput
from domain.intent import Period
from domain.untrusted import one_line
from service.chat.events import ChatEvent, Cite, Cites, Said

if TYPE_CHECKING:
    from domain.cycle import Cycle
    from service.wiring import App

UNKNOWN = "That is not known"
MOST = 10
LOOK_BACK = 500
"""Cycles that an answer looks at, the newest."""


def tell(*sentences: str) -> Iterator[ChatEvent]:
    """Say sentences, each a piece of its own; empty ones are left out."""
    for sentence in sentences:
        if sentence:
            yield Said(text=sentence)


def cite(*cites: Cite) -> Iterator[ChatEvent]:
    """Name places, each once."""
    if cites:
        yield Cites(cites=tuple(dict.fromkeys(cites)))


def cycle_cite(cycle: Cycle) -> Cite:
    """Return the place of a cycle."""
    return Cite(kind="cycle", id=cycle.id, label=f"{cycle.alert.signal} on {cycle.target}")


def cycle_line(cycle: Cycle) -> str:
    """Return a cycle in a line."""
    did = cycle.action.value if cycle.action else "no diagnosis yet"
    ended = cycle.outcome.value.replace("_", " ") if cycle.outcome else f"at {cycle.stage.value}"
    return f"{cycle.id}: {cycle.alert.signal} on {cycle.target} ({cycle.environment}), {did}, {ended}"


def counted(number: int, what: str) -> str:
    """Return so many of something: *1 cycle*, *2 cycles*."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def reason_line(cycle: Cycle) -> str:
    """Return why a cycle stands where it does; the words may quote what came from outside."""
    reason = str(cycle.facts.get("outcome_reason") or cycle.reason)
    return one_line(reason, 400) if reason else ""


def diagnosis_of(cycle: Cycle) -> Mapping[str, Any]:
    """Return the typed diagnosis of a cycle, or nothing."""
    found = cycle.facts.get("diagnosis")
    return found.get("value", {}) if isinstance(found, Mapping) else {}


def reading_line(cycle: Cycle) -> str:
    """Return how the signal of the alert stood when the cycle looked, in numbers of the record."""
    seen = cycle.facts.get("snapshot") or cycle.facts.get("first_snapshot") or {}
    lead = seen.get("readings", {}).get(cycle.alert.signal, {}) if isinstance(seen, Mapping) else {}
    current, baseline = lead.get("current"), lead.get("baseline")
    if current is None:
        return f"{cycle.alert.signal} could not be read then."
    moved = f", {current / baseline - 1:+.1%}" if baseline else ""
    against = f" against {baseline:.4g} before" if baseline is not None else ""
    return f"{cycle.alert.signal} was {current:.4g}{against}{moved}."


def listed(rows: Sequence[str], none: str) -> Iterator[ChatEvent]:
    """Say rows, the first of them, and how many more there are."""
    if not rows:
        yield from tell(none)
        return
    yield from tell(*(f"- {row}" for row in rows[:MOST]))
    if len(rows) > MOST:
        yield from tell(f"and {len(rows) - MOST} more.")


def known(app: App, cycle_id: str) -> Cycle:
    """Return a cycle.

    Raises:
        InvalidInput: there is none.
    """
    cycle = app.ports.store.cycle(cycle_id)
    if cycle is None:
        raise InvalidInput("cycle", f"{cycle_id} is not a cycle", "Ask which cycles there are")
    return cycle


def during(period: Period | None) -> str:
    """Return a period as the end of a sentence."""
    return f" ({period.absolute()})" if period is not None else ""


def within(cycle: Cycle, period: Period | None) -> bool:
    """Whether a cycle was opened, or its alert began, in a period; in none is always."""
    if period is None:
        return True
    return any(period.start <= moment < period.end for moment in (cycle.opened_at, cycle.alert.starts_at))
