"""What to do next week, by fixed rules over what the week shows; the rule is told beside each.

In this order: people are waited for; something was handed over; the same signal failed for the same cause again; a
schedule failed; an indicator missed its target; a reaction came too late; a class of action is near to what it has to
earn; a cycle is still open. What no rule finds is not a priority.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from domain.autonomy import Level
from domain.outcome import OutcomeKind
from service.weekly.material import Material
from service.weekly.report import Figure, Priority
from service.wording import signal_label, words

AGAIN = 2
"""So many cycles of one signal and cause are a repeated cause."""
NEAR = 5
"""So many successes missing at most are near."""
_MOST = 10


def priorities(material: Material, figures: Sequence[Figure], bar: float, confidence: float) -> tuple[Priority, ...]:
    """Return what to do next, the most urgent first, ten at most."""
    found = [
        *_waiting(material),
        *_handed_over(material),
        *_repeated(material),
        *_schedules(material),
        *_missed(figures),
        *_near(material, bar, confidence),
        *_open(material),
    ]
    return tuple(p.model_copy(update={"rank": n}) for n, p in enumerate(found[:_MOST], start=1))


def _priority(what: str, rule: str, cycles: Sequence[str] = ()) -> Priority:
    return Priority(rank=0, what=what, rule=rule, cycles=tuple(cycles))


def _waiting(material: Material) -> Iterator[Priority]:
    if material.waiting:
        tools = ", ".join(sorted({words(r.binding.tool) for r in material.waiting}))
        what = f"Decide what waits for people: {len(material.waiting)} ({tools})"
        yield _priority(what, "a request waits for an approval", [r.binding.cycle_id for r in material.waiting])


def _handed_over(material: Material) -> Iterator[Priority]:
    mine = [c for c in material.cycles if c.outcome is OutcomeKind.HANDED_OFF]
    if mine:
        signals = ", ".join(sorted({signal_label(c.signal) for c in mine}))
        what = f"Take over what was handed to people: {len(mine)} ({signals})"
        yield _priority(what, "a cycle ended as handed off", [c.id for c in mine])


def _repeated(material: Material) -> Iterator[Priority]:
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for cycle in material.cycles:
        if cycle.cause and cycle.cause != "noise":
            found[cycle.target, cycle.signal, cycle.cause].append(cycle.id)
    for (target, signal, cause), cycles in sorted(found.items(), key=lambda row: (-len(row[1]), row[0])):
        if len(cycles) >= AGAIN:
            what = f"Find the source of {words(cause)} on {target}: {signal_label(signal)}, {len(cycles)} cycles"
            yield _priority(what, f"one signal and cause came {AGAIN} times or more", cycles)


def _schedules(material: Material) -> Iterator[Priority]:
    bad = sorted({n.stage for n in material.notes if n.status in ("scheduled_failed", "scheduled_abandoned")})
    for name in bad:
        yield _priority(f"Mend the schedule {words(name)}", "a scheduled job failed")


def _missed(figures: Sequence[Figure]) -> Iterator[Priority]:
    for figure in figures:
        # How many cycles there were is the platform's doing, and nothing to work on.
        if figure.met is False and figure.name != "month":
            # With few samples a miss may be chance: whether the interval rules the target out is told by it.
            what = f"{figure.label} missed its target ({figure.target})"
            yield _priority(what, f"an indicator is outside of its target, n = {figure.n}")


def _near(material: Material, bar: float, confidence: float) -> Iterator[Priority]:
    from learning.autonomy import lower_bound

    for standing in material.levels:
        if standing.level is Level.ACT or standing.trials == 0:
            continue
        wins, trials = standing.successes, standing.trials
        missing = next((k for k in range(1, NEAR + 1) if lower_bound(wins + k, trials + k, confidence) >= bar), None)
        if missing is not None:
            what = f"{words(standing.kind)} may act by itself after {missing} more successes in a row"
            yield _priority(what, f"{NEAR} successes or fewer are missing to the bar of {bar:g}")


def _open(material: Material) -> Iterator[Priority]:
    mine = [c for c in material.open_now if c.opened_at < material.span.end]
    if mine:
        signals = ", ".join(sorted({signal_label(c.alert.signal) for c in mine}))
        what = f"Follow what is still open: {len(mine)} ({signals})"
        yield _priority(what, "a cycle of the stretch has not ended", [c.id for c in mine])
