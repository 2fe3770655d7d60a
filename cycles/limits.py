"""How much has changed already: what the limits of an environment are held against.

Promotions are counted by claims in the store, one after the other: whichever process asks, exactly one cycle is the
first of a day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.store.base import Recording, StorePort
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from policies.profiles import Profile

PROMOTE = "promote"
_KIND = "promotion"
# How far back a promotion may lie that nobody has judged yet, in days.
_LONGEST_WATCH = 8
# So many ended cycles are looked at first: nearly always the one that counts is among them.
_A_FEW = 10
# What a cycle leaves in its drawer when it changed what users or training meet; without any, nothing has to settle.
_CHANGES = ("release", "reverted", "quarantined")
_BAD = frozenset({OutcomeKind.ROLLED_BACK, OutcomeKind.UNVERIFIED, OutcomeKind.HANDED_OFF})


@dataclass(frozen=True)
class Promoted:
    """Models that other cycles promoted before: since midnight UTC, and those whose cycle is still open."""

    today: int
    at_once: int


@dataclass(frozen=True)
class CoolDown:
    """The cycle whose change has to settle, and until when."""

    after: str
    until: datetime
    bad: bool

    def said(self) -> str:
        """Return it in a sentence."""
        why = "whose change did not do well" if self.bad else "which changed the target"
        return f"cooling down until {self.until:%Y-%m-%d %H:%M:%S} UTC after {self.after}, {why}"


def share_bp(args: Mapping[str, Any]) -> int:
    """Return the share of users a call gives to a candidate, in hundredths of a percent; 0 where it gives none."""
    share = args.get("share")
    return max(round(float(share) * 10_000), 0) if isinstance(share, (int, float)) else 0


def cooling(store: StorePort, profile: Profile, cycle: Cycle, now: datetime) -> CoolDown | None:
    """Return the cool-down that a cycle falls into, or None; a cycle that takes a bad release back falls into none.

    The last cycle of the same target that changed something counts, by how it ended.
    """
    limits = profile.limits
    if not (limits.cool_down or limits.cool_down_after_bad) or cycle.action is Action.ROLLBACK:
        return None
    longest = max(limits.cool_down, limits.cool_down_after_bad)
    for before in ended_since(store, cycle.target, cycle.environment, now - longest):
        if before.id == cycle.id or not any(name in before.facts for name in _CHANGES):
            continue
        bad = before.outcome in _BAD
        until = before.updated_at + (longest if bad else limits.cool_down)
        return CoolDown(before.id, until, bad) if now < until else None
    return None


def ended_since(store: StorePort, target: str, environment: str, since: datetime) -> Iterator[Cycle]:
    """Yield the cycles that ended after `since`, the last to end first, however many there are.

    A storm of alerts leaves hundreds that changed nothing, and they must not hide the one that did.
    """
    seen, most = 0, _A_FEW
    while True:
        found = store.ended(target, environment, limit=most)
        for cycle in found[seen:]:
            if cycle.updated_at <= since:
                return
            yield cycle
        if len(found) < most:
            return
        seen, most = len(found), most * 8


def promoted_before(store: StorePort, cycle: Cycle, now: datetime, *, claim: bool) -> Promoted:
    """Return how many promotions of other cycles come before that of `cycle` in its environment.

    With `claim` it takes its own place among those of the day, once.
    """
    today = _holders(store, cycle.environment, now)
    while claim and cycle.id not in today:
        payload = {"cycle_id": cycle.id, "at": now.isoformat()}
        book = Recording(cycle_id=_book(cycle.environment, now), place=f"{len(today):06d}", kind=_KIND, payload=payload)
        store.claim(book)
        today = _holders(store, cycle.environment, now)
    before = today[: today.index(cycle.id)] if cycle.id in today else today
    days = (now - timedelta(days=back) for back in range(1, _LONGEST_WATCH))
    earlier = [holder for day in days for holder in _holders(store, cycle.environment, day)]
    watched = {holder for holder in [*earlier, *before] if holder != cycle.id and _is_open(store, holder)}
    return Promoted(today=len(before), at_once=len(watched))


def _book(environment: str, day: datetime) -> str:
    return f"promoted/{environment}/{day.astimezone(UTC):%Y%m%d}"


def _holders(store: StorePort, environment: str, day: datetime) -> list[str]:
    return [str(claimed.payload["cycle_id"]) for claimed in store.recordings(_book(environment, day))]


def _is_open(store: StorePort, cycle_id: str) -> bool:
    cycle = store.cycle(cycle_id)
    return cycle is not None and not cycle.stage.terminal
