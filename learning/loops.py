"""Does the platform's keeper go in circles? Detection over what its own cycles did, from plain history.

Four ways to do harm while every single step looks right: setting a value back and forth, taking an action again that
does not help, mending what an own change broke, and learning from what was learnt before. Nothing here decides what
is done about it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from domain.verdict import Verdict
from learning.change import locate_change
from learning.series import require

Kind = Literal["oscillation", "ineffective", "own_change", "own_output"]


@dataclass(frozen=True, slots=True)
class Loop:
    """A circle that was found: its kind, a sentence, and the figures it rests on."""

    kind: Kind
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """A value that a cycle set. `undo` where it took a change back; `at` in seconds, any origin."""

    cycle: str
    at: float
    name: str
    before: str
    after: str
    undo: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """An action that a cycle took for a signal and a cause, and whether it showed in measurements.

    `subjects` are what the cause was about, e.g. categories of documents.
    """

    cycle: str
    signal: str
    action: str
    cause: str
    subjects: frozenset[str]
    showed: bool


def oscillation(past: Sequence[Change], asked: Change, *, most: int = 1) -> Loop | None:
    """Return the circle when a change would bring a value back that an own cycle replaced (A-B-A).

    Counted are returns in the unbroken chain of own changes that leads up to `asked`: whatever somebody else set in
    between ends the chain, for then it is not we who go back and forth. Taking a change back is a return by nature, so
    it may come once more than others; what a cycle itself took back of its own is counted to neither.

    Args:
        past: in order of time.
        most: how many returns are a circle.

    Raises:
        ValueError: `most` is less than one.
    """
    require(most >= 1, "most", most, "at least 1")
    chain: list[Change] = []
    expected = asked.before
    for change in (c for c in reversed(past) if c.name == asked.name):
        if change.after != expected:
            break
        chain.insert(0, change)
        expected = change.before
    returns, came_back, seen = 0, False, set[str]()
    for earlier, step in zip([None, *chain], [*chain, asked], strict=True):
        taken_back = step.undo and earlier is not None and earlier.cycle == step.cycle
        came_back = step.after in seen and not taken_back
        returns += came_back
        seen.add(step.before)
    if not came_back or asked.after == asked.before or returns < most + asked.undo:
        return None
    values = [*(change.before for change in chain), asked.before, asked.after]
    cycles = [change.cycle for change in chain]
    reason = f"{asked.name} would go back to {asked.after} (so far {' -> '.join(values[:-1])}, by {', '.join(cycles)})"
    return Loop("oscillation", reason, {"name": asked.name, "values": values, "cycles": cycles, "returns": returns})


def ineffective(past: Sequence[Attempt], asked: Attempt, *, most: int) -> Loop | None:
    """Return the circle when the same action for the same signal and cause did not show `most` times in a row.

    The cause is the same when its kind is, and what it is about: at least half of the subjects of both together (their
    Jaccard index), or none named by either. A new shift of other subjects is another cause.

    Args:
        past: in order of time.

    Raises:
        ValueError: `most` is less than one.
    """
    require(most >= 1, "most", most, "at least 1")
    failed: list[str] = []
    for attempt in reversed(past):
        if not _same(attempt, asked):
            continue
        if attempt.showed:
            break
        failed.append(attempt.cycle)
    if len(failed) < most:
        return None
    reason = (
        f"{asked.action} for {asked.signal} because of {asked.cause} did not show {len(failed)} times in a row "
        f"({', '.join(reversed(failed))})"
    )
    evidence = {
        "signal": asked.signal,
        "cause": asked.cause,
        "subjects": sorted(asked.subjects),
        "cycles": failed[::-1],
    }
    return Loop("ineffective", reason, evidence)


def own_change(
    change: Change,
    alert_at: float,
    *,
    within: float,
    times: Sequence[float],
    values: Sequence[float],
    bad_direction: Literal["down", "up"],
    tolerance: float,
    min_points: int = 12,
) -> Loop | None:
    """Return the circle when an alert follows an own change, and its signal moved with it.

    The alert has to start within so many seconds of the change, and the level of the signal has to have changed for the
    worse within `tolerance` seconds of it (`locate_change`): a signal that moved hours later moved for another reason,
    and one that cannot be told says nothing.
    """
    late = alert_at - change.at
    if not 0 <= late <= within:
        return None
    found = locate_change(times, values, min_points=min_points)
    if found.judgement.verdict is not Verdict.FAIL or found.onset is None:
        return None
    before, after = found.before or 0.0, found.after or 0.0
    worse = after < before if bad_direction == "down" else after > before
    if not worse or abs(found.onset - change.at) > tolerance:
        return None
    reason = (
        f"the alert came {late:.0f} s after {change.cycle} set {change.name}, and the signal went from {before:.4g} "
        f"to {after:.4g} {found.onset - change.at:+.0f} s from it"
    )
    evidence = {"cycle": change.cycle, "name": change.name, "value": change.after, "late_s": late}
    moved = {"before": before, "after": after, "onset_s": found.onset - change.at, "points": len(values)}
    return Loop("own_change", reason, {**evidence, **moved})


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a training set comes from: the weight of what was generated and of what users judged, and for each model
    whose ranking they saw the share (0-1) of judgements that only confirm what it showed.
    """

    generated: float
    judged: float
    confirmed: Mapping[str, float] = field(default_factory=dict)

    def shares(self, own: Collection[str]) -> tuple[float, float]:
        """Return the share that was generated, and that which comes from us at all, models of ours included."""
        total = self.generated + self.judged
        if total <= 0:
            return 0.0, 0.0
        echoed = self.judged * min(sum(share for model, share in self.confirmed.items() if model in own), 1.0)
        return self.generated / total, (self.generated + echoed) / total


def own_output(made: Provenance, own: Collection[str], *, max_generated: float, max_own: float) -> Loop | None:
    """Return the circle when too much of a training set was made by us: generated, or an echo of an own ranking.

    Shares are of the weight that examples have in training; what reaches a limit is within it.
    """
    generated, ours = made.shares(own)
    told = {"generated": generated, "own": ours, "max_generated": max_generated, "max_own": max_own}
    if generated > max_generated:
        return Loop("own_output", f"{generated:.1%} of the training set is generated, {max_generated:.1%} may be", told)
    if ours > max_own:
        said = f"{ours:.1%} of the training set comes from ourselves (generated, or shown by a model of ours and only "
        return Loop("own_output", f"{said}confirmed), {max_own:.1%} may", told)
    return None


def _same(one: Attempt, other: Attempt) -> bool:
    if (one.signal, one.action, one.cause) != (other.signal, other.action, other.cause):
        return False
    both = one.subjects | other.subjects
    return not both or 2 * len(one.subjects & other.subjects) >= len(both)
