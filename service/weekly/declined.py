"""What was done and what was not, and why: counted from cycles, refusals of the door and answers of people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from domain.outcome import OutcomeKind
from domain.receipt import RecordKind
from service.weekly.material import CycleFacts, Material, Note
from service.weekly.report import Counted, Declined
from service.wording import clean, signal_label, words

MOST_CYCLES = 12
_LONGEST = 300
# What is told of effects; the others (reads apart) are named as they are called.
_LABELS = {
    "dataset_version": "training data built",
    "train_model": "models trained",
    "register_candidate": "candidates registered",
    "ab_start": "A/B tests started",
    "ab_stop": "A/B tests taken down",
    "mark_gold": "states kept as gold",
    "offline_evaluation": "candidates evaluated on held-out queries",
    "point_dataset": "live data sets named",
    "promote": "models promoted",
    "apply_tuning": "settings tuned",
    "roll_back": "changes taken back",
    "restore_values": "states restored",
    "quarantine_feedback": "feedback set aside",
    "notify": "messages to people",
}
_QUIET = frozenset({"annotate", "silence_alerts", "lift_silence", "set_alias", "record_pipeline", "describe_model"})


def actions(material: Material) -> tuple[Counted, ...]:
    """Return the effects that were done, the most frequent first."""
    found: dict[str, list[str]] = defaultdict(list)
    for note in material.notes:
        if note.kind is RecordKind.OUTCOME and note.status == "done" and note.tool not in _QUIET:
            found[note.tool].append(note.cycle_id)
    examples = sum(c.examples or 0 for c in material.cycles)
    rows = []
    for tool, cycles in sorted(found.items(), key=lambda row: (-len(row[1]), row[0])):
        detail = f"{examples:,} examples" if tool == "dataset_version" and examples else ""
        rows.append(
            Counted(label=_LABELS.get(tool, words(tool)), count=len(cycles), detail=detail, cycles=_few(cycles))
        )
    return tuple(rows)


def declined(material: Material) -> tuple[Declined, ...]:
    """Return what was not done, by why: chance, watching, the policies, people, budgets, evidence, gates."""
    cycles = material.cycles
    return (*_left_alone(cycles), *_refused(material.notes), *_denied(material), *_not_promoted(cycles))


def late(material: Material) -> tuple[Counted, ...]:
    """Return the breaches of the contract's reaction times, by signal."""
    found: dict[str, list[Note]] = defaultdict(list)
    for note in material.notes:
        if note.status == "reaction_late":
            found[str(note.body.get("signal", ""))].append(note)
    return tuple(
        Counted(
            label=signal_label(signal),
            count=len(notes),
            detail=f"the slowest after {max(float(n.body.get('seconds', 0)) for n in notes):,.0f} s "
            f"of {float(notes[0].body.get('allowed_s', 0)):,.0f} s",
            cycles=_few([n.cycle_id for n in notes]),
        )
        for signal, notes in sorted(found.items())
    )


def ended(material: Material) -> tuple[Counted, ...]:
    """Return the cycles by how they ended, the most frequent first."""
    by_outcome = Counter(c.outcome.value for c in material.cycles)
    return tuple(
        Counted(label=words(name), count=n, cycles=_few([c.id for c in material.cycles if c.outcome.value == name]))
        for name, n in sorted(by_outcome.items(), key=lambda row: (-row[1], row[0]))
    )


def _left_alone(cycles: Sequence[CycleFacts]) -> Iterator[Declined]:
    for why in ("noise", "monitor"):
        mine = [c for c in cycles if c.action == why]
        for signal in sorted({c.signal for c in mine}):
            of = [c for c in mine if c.signal == signal]
            what = "an alert that was chance" if why == "noise" else "an alert that is being watched"
            yield Declined(
                why="noise" if why == "noise" else "monitor",
                what=f"{what}: {signal_label(signal)}",
                detail=clean(of[-1].reason, _LONGEST),
                count=len(of),
                cycles=_few([c.id for c in of]),
            )


def _refused(notes: Sequence[Note]) -> Iterator[Declined]:
    found: dict[tuple[str, str, str], list[Note]] = defaultdict(list)
    for note in notes:
        if note.kind is RecordKind.REFUSAL and note.status in ("denied", "budget"):
            found[note.status, note.tool, ", ".join(note.policies)].append(note)
    for (status, tool, policies), same in sorted(found.items()):
        said = clean(same[-1].body.get("reason", ""), _LONGEST)
        yield Declined(
            why="policy" if status == "denied" else "budget",
            what=words(tool),
            detail=f"{said} [{policies}]" if status == "denied" and policies else said,
            count=len(same),
            cycles=_few([n.cycle_id for n in same]),
        )


def _denied(material: Material) -> Iterator[Declined]:
    for request in material.approvals:
        vote = request.denial
        if vote is not None:
            yield Declined(
                why="people",
                what=words(request.binding.tool),
                detail=f"denied by {clean(vote.person, 60)}: {clean(vote.reason, _LONGEST)}",
                count=1,
                cycles=(request.binding.cycle_id,),
            )


def _not_promoted(cycles: Sequence[CycleFacts]) -> Iterator[Declined]:
    """A candidate that did not come through: too little evidence is another thing than evidence against it."""
    for cycle in cycles:
        if cycle.outcome is OutcomeKind.NOT_PROMOTED:
            against = "fail" in cycle.verdicts.values()
            yield _one("gate" if against else "evidence", "a candidate was not promoted", cycle)
        elif cycle.outcome is OutcomeKind.HANDED_OFF:
            yield _one("handed over", words(cycle.action), cycle)


def _one(why: str, what: str, cycle: CycleFacts) -> Declined:
    return Declined.model_validate(
        {"why": why, "what": what, "detail": clean(cycle.reason, _LONGEST), "count": 1, "cycles": (cycle.id,)}
    )


def _few(cycles: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(c for c in cycles if c))[:MOST_CYCLES]
