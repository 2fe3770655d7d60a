"""From rows to the report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from adapters.ledger.base import Entry
from domain.budget import MICROS
from policies.consent import AutonomyProfile
from service.weekly.declined import actions, declined, ended, late
from service.weekly.figures import approvals, figures, successful
from service.weekly.material import Material
from service.weekly.priorities import priorities
from service.weekly.report import BudgetLine, Cost, WeeklyReport
from service.wording import stage_label

QUESTIONS = "questions to models"


def built(
    now: Material, before: Material, *, environment: str, target: str, version: str, autonomy: AutonomyProfile
) -> WeeklyReport:
    """Return the report of a stretch, beside the one before."""
    indicators = figures(now, before)
    return WeeklyReport(
        id=now.span.id,
        span=now.span,
        before=before.span,
        made_at=now.now,
        environment=environment,
        target=target,
        version=version,
        figures=indicators,
        improvements=tuple(change for cycle in now.cycles if successful(cycle) for change in cycle.changes),
        costs=costs(now),
        budgets=tuple(_budgets(now)),
        actions=actions(now),
        declined=declined(now),
        approvals=approvals(now),
        late=late(now),
        priorities=priorities(now, indicators, autonomy.bar, autonomy.confidence),
        cycles=ended(now),
        remarks=tuple(_remarks(now)),
    )


def costs(material: Material) -> tuple[Cost, ...]:
    """Return what was spent by what it was spent for, the dearest first: questions to models, and calls by stage."""
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in material.spent:
        found[_kind(material, entry)].append(entry)
    rows = [
        Cost(
            kind=kind,
            usd=sum(e.spent.get("usd_micros", 0) for e in entries) / MICROS,
            tokens=sum(e.spent.get("tokens", 0) for e in entries),
            gpu_seconds=sum(e.spent.get("gpu_seconds", 0) for e in entries),
            calls=len(entries),
        )
        for kind, entries in found.items()
    ]
    return tuple(sorted(rows, key=lambda cost: (-cost.usd, cost.kind)))


def _kind(material: Material, entry: Entry) -> str:
    if entry.key.startswith("ask/"):
        return QUESTIONS
    stage = material.reserved.get(entry.key, "").rpartition(" ")[2]
    return f"calls of the stage {stage_label(stage)}" if stage else "other calls"


def _budgets(material: Material) -> Iterator[BudgetLine]:
    for standing in material.budgets:
        limit = standing.ceiling.usd_micros
        yield BudgetLine(
            name=standing.name,
            spent_usd=standing.spent.usd_micros / MICROS,
            limit_usd=None if limit is None else limit / MICROS,
            share=standing.share(),
        )


def _remarks(material: Material) -> Iterator[str]:
    if material.now < material.span.end:
        yield f"The stretch is not over: this is how it stood at {material.now:%Y-%m-%d %H:%M} UTC."
    for cycle in material.cycles:
        for name in cycle.unreadable:
            yield f"{name} of {cycle.id} is missing a field or damaged, and is in no figure."
