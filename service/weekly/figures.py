"""The indicators of a week, each with its rule, its source, its sample and its target.

The targets are those of the self-improvement loop's indicators: 60-80 cycles in thirty days, more than 90 % of them
successful, less than six hours each, less than 5 % taken back, 2-5 % of nDCG@10 gained and 5-10 % of cost saved by
each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from domain.outcome import OutcomeKind
from service.weekly.estimates import count, mean, share
from service.weekly.material import QUALITY, Change, CycleFacts, Material
from service.weekly.report import Approvals, Figure

# People and switches end these; they say nothing of how good the crew is.
CALLED_OFF = frozenset({OutcomeKind.CANCELLED, OutcomeKind.STOPPED, OutcomeKind.NO_CYCLE})
MONTHLY, SUCCESS, HOURS, TAKEN_BACK, GAIN, COST = (60, 80), 0.90, 6.0, 0.05, (0.02, 0.05), (-0.10, -0.05)
_STORE, _CHAIN, _LEDGER = "store, table cycles", "audit chain", "ledger"


def successful(cycle: CycleFacts) -> bool:
    """Whether a cycle did what it was for: verified, and its own change not taken back."""
    return cycle.outcome.verified and cycle.outcome is not OutcomeKind.ROLLED_BACK


def judged(cycles: Sequence[CycleFacts]) -> list[CycleFacts]:
    """Return the cycles that count as tries: all that ended, but for those that were called off."""
    return [c for c in cycles if c.outcome not in CALLED_OFF]


def figures(now: Material, before: Material) -> tuple[Figure, ...]:
    """Return the indicators of a stretch, with those of the stretch before beside them."""
    earlier = {f.name: f.value for f in _figures(before)}
    cost = _cost_change(now, before)
    found = [*_figures(now), cost]
    told = [f.model_copy(update={"previous": earlier.get(f.name)}) for f in found]
    # A target of thirty days is neither met nor missed by a record that is younger.
    return tuple(f.model_copy(update={"met": _met(f) if f.name != "month" or now.month_known else None}) for f in told)


def _figures(material: Material) -> list[Figure]:
    return [*_counts(material), *_rates(material), *_money(material), _late(material)]


def _counts(material: Material) -> list[Figure]:
    cycles, tries = material.cycles, judged(material.cycles)
    good = [c for c in tries if successful(c)]
    return [
        count(len(cycles), name="cycles", label="Cycles that ended", source=f"{_STORE}: ended in the stretch"),
        count(
            material.opened_month,
            name="month",
            label="Cycles in thirty days",
            source=f"{_STORE}: opened in the 30 days up to the end",
            target="60-80",
        ),
        count(len(good), name="successful", label="Successful", source=f"{_STORE}: outcome verified, not taken back"),
        count(len(tries) - len(good), name="failed", label="Not successful", source=f"{_STORE}: every other try"),
        count(
            len(cycles) - len(tries),
            name="called_off",
            label="Called off",
            source=f"{_STORE}: cancelled, stopped by the kill switch, or no cycle; in no share below",
        ),
    ]


def _rates(material: Material) -> list[Figure]:
    cycles, tries = material.cycles, judged(material.cycles)
    changed = [c for c in tries if c.promoted]
    back = [c for c in changed if c.outcome is OutcomeKind.ROLLED_BACK or c.taken_back]
    gains = [best.lift for c in tries if (best := gain(c)) is not None and best.lift is not None]
    return [
        share(
            sum(successful(c) for c in tries),
            len(tries),
            name="success",
            label="Success",
            source=f"{_STORE}: successful of tries",
            target="> 90 %",
        ),
        mean(
            [c.hours for c in cycles],
            "hours",
            name="hours",
            label="Time of a cycle",
            source=f"{_STORE}: from opening to end, mean",
            target="< 6 h",
        ),
        share(
            len(back),
            len(changed),
            name="taken_back",
            label="Taken back by itself",
            source=f"{_CHAIN}: of tries that made a change live",
            target="< 5 %",
        ),
        mean(
            gains,
            "relative",
            name="gain",
            label="nDCG@10 gained by a cycle",
            source="artifacts ab_test_results.json, else evaluation.json, of cycles that improved",
            target="+2 to +5 %",
        ),
    ]


def _money(material: Material) -> list[Figure]:
    costs = [c.cost_usd for c in material.cycles if c.cost_usd is not None]
    return [
        mean(costs, "usd", name="cost", label="Cost of a cycle", source="artifact outcome.json: total_cost_usd, mean"),
        Figure(
            name="spent",
            label="Spent",
            source=f"{_LEDGER}: settled on accounts of cycles",
            unit="usd",
            value=sum(e.spent.get("usd_micros", 0) for e in material.spent) / 1_000_000 if material.spent else None,
            n=len(material.spent),
        ),
    ]


def gain(cycle: CycleFacts) -> Change | None:
    """Return what a cycle that improved gained: on live traffic where it was tested there, else on the held-out set."""
    if cycle.outcome is not OutcomeKind.IMPROVED:
        return None
    found = [c for c in cycle.changes if c.metric == QUALITY]
    return next((c for c in found if c.where == "A/B test"), found[0] if found else None)


def approvals(material: Material) -> Approvals:
    """Return what people were asked in the stretch, and how long they took."""
    states = [r.state(material.now).value for r in material.approvals]
    hours = []
    for request in material.approvals:
        last = request.denial or (
            request.approving[-1] if states and len(request.approving) >= request.binding.quorum.need else None
        )
        if last is not None and last.proof.how != "profile":
            hours.append((last.at - request.asked_at).total_seconds() / 3600)
    decide = Figure(
        name="decide",
        label="Time to decision, median",
        source="table approvals: from the request to the vote that decided; those by the profile left out",
        unit="hours",
        value=median(hours) if hours else None,
        n=len(hours),
    )
    return Approvals(
        asked=len(states),
        given=states.count("granted") + states.count("used"),
        denied=states.count("denied"),
        expired=states.count("expired"),
        withdrawn=states.count("withdrawn"),
        waiting=len(material.waiting),
        decide=decide,
    )


def _late(material: Material) -> Figure:
    said = [n.status for n in material.notes if n.status in ("reaction", "reaction_late")]
    return share(
        said.count("reaction_late"),
        len(said),
        name="late",
        label="Reacted too late",
        source=f"{_CHAIN}: notes of the first remedy against the contract's reaction time",
        target="none",
    )


def _cost_change(now: Material, before: Material) -> Figure:
    """How the mean cost of a cycle changed against the stretch before; no data where either has none."""
    one = [c.cost_usd for c in before.cycles if c.cost_usd is not None]
    two = [c.cost_usd for c in now.cycles if c.cost_usd is not None]
    base = sum(one) / len(one) if one else 0.0
    return Figure(
        name="cost_change",
        label="Cost of a cycle, change",
        source="artifact outcome.json: mean of this stretch over that of the one before",
        unit="relative",
        value=sum(two) / len(two) / base - 1 if two and base > 0 else None,
        n=min(len(one), len(two)),
        target="\N{MINUS SIGN}5 to \N{MINUS SIGN}10 %",
    )


# More gained, and more saved, than was hoped for is met as well.
_RULES: dict[str, Callable[[float], bool]] = {
    "month": lambda v: MONTHLY[0] <= v <= MONTHLY[1],
    "success": lambda v: v > SUCCESS,
    "hours": lambda v: v < HOURS,
    "taken_back": lambda v: v < TAKEN_BACK,
    "gain": lambda v: v >= GAIN[0],
    "cost_change": lambda v: v <= COST[1],
    "late": lambda v: v == 0,
}


def _met(figure: Figure) -> bool | None:
    rule = _RULES.get(figure.name)
    return None if rule is None or figure.value is None else rule(figure.value)
