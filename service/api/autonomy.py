"""Earned autonomy: what classes of action may do by themselves, what that rests on, and the caps of admins."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Response
from pydantic import Field

from domain.access import ApiAction, Caller
from domain.autonomy import Cap, Level, Standing
from domain.outcome import OutcomeKind
from policies.consent import CLASSES
from service.access.guard import may
from service.api.blocking import bounded
from service.api.etags import NOT_MODIFIED, IfMatch, IfNoneMatch, tagged, unchanged
from service.api.idempotency import Idempotent
from service.api.problems import not_found
from service.api.routing import router_of
from service.api.serving import Serving, serving
from service.api.shapes import Name, Reply, Wish, Words

router = router_of("autonomy")
On = Annotated[Serving, Depends(serving)]
Viewer = Annotated[Caller, Depends(may(ApiAction.VIEW))]


class CapView(Reply):
    """An admin's word: no more than `level`; null: whatever is earned again."""

    level: Level | None
    by: str
    reason: str
    at: datetime

    @classmethod
    def of(cls, cap: Cap) -> CapView:
        """Return a cap as it is sent."""
        return cls(level=cap.level, by=cap.by, reason=cap.reason, at=cap.at)


class StandingView(Reply):
    """Where a class of action stands here: its level now, what it has earned, and the figures that rests on."""

    kind: str
    environment: str
    level: Level
    earned: Level
    trials: int
    successes: int
    lower: float = Field(description="The lower confidence bound of its rate of verified success.")
    reason: str
    until: datetime | None = Field(description="The end of a cool-down.")
    cap: CapView | None

    @classmethod
    def of(cls, found: Standing) -> StandingView:
        """Return it as it is sent."""
        cap = CapView.of(found.cap) if found.cap is not None else None
        return cls(**{**found.model_dump(exclude={"cap"}), "cap": cap})


class StandingsView(Reply):
    """Where all classes of action stand in this environment."""

    classes: list[StandingView]


class TrialView(Reply):
    """A cycle in which an action of the class was taken, what came of it, and the record of the chain that says so."""

    cycle_id: str
    outcome: OutcomeKind
    success: bool
    harmful: bool
    at: datetime
    record: int


class HistoryView(Reply):
    """Who capped a class, when and why, and the trials that count; the oldest first."""

    kind: str
    caps: list[CapView]
    trials: list[TrialView]


class CapWish(Wish):
    """No more than this from now on, and why; with `level: null` the cap is lifted."""

    level: Literal["suggest", "approve"] | None
    reason: Words


@router.get("/autonomy", responses=NOT_MODIFIED)
@bounded()
def listed(on: On, caller: Viewer, response: Response, if_none_match: IfNoneMatch = "") -> StandingsView:
    """List what every class of action may do by itself here."""
    found = on.app.office.autonomy.standings(on.app.profile.name)
    return tagged(response, if_none_match, StandingsView(classes=[StandingView.of(each) for each in found]))


@router.get("/autonomy/{kind}", responses=NOT_MODIFIED)
@bounded()
def show(on: On, caller: Viewer, kind: Name, response: Response, if_none_match: IfNoneMatch = "") -> StandingView:
    """Show where a class of action stands; the entity tag is what If-Match of a cap takes."""
    return tagged(response, if_none_match, _one(on, kind))


@router.get("/autonomy/{kind}/history")
@bounded()
def history(on: On, caller: Viewer, kind: Name) -> HistoryView:
    """Show who capped a class, when and why, and the trials that count."""
    _known(kind)
    record, here = on.app.office.autonomy, on.app.profile.name
    trials = [
        TrialView(**each.model_dump(include=set(TrialView.model_fields)), success=each.success)
        for each in record.trials(kind, here)
    ]
    return HistoryView(kind=kind, caps=[CapView.of(cap) for cap in record.caps(kind, here)], trials=trials)


@router.put("/autonomy/{kind}/cap")
@bounded()
def put_cap(
    on: On,
    caller: Annotated[Caller, Depends(may(ApiAction.CAP_AUTONOMY))],
    kind: Name,
    wish: CapWish,
    once: Idempotent,
    response: Response,
    if_match: IfMatch = "",
) -> StandingView:
    """Cap a class here, or lift its cap, at the next call; on record first. Who has a key does so with it elsewhere."""

    def work() -> StandingView:
        _known(kind)
        office, here = on.app.office, on.app.profile.name
        with unchanged(if_match, lambda: office.autonomy.kept(kind, here), lambda: _one(on, kind)) as seen:
            office.autonomy.put_cap(
                office.consent.rules.people,
                caller.name,
                Level(wish.level) if wish.level is not None else None,
                kind=kind,
                environment=here,
                reason=wish.reason.strip(),
                caller=caller,
                seen=seen,
            )
        return tagged(response, "", _one(on, kind))

    return once(caller, work)


def _one(on: Serving, kind: str) -> StandingView:
    _known(kind)
    return StandingView.of(on.app.office.autonomy.standing(kind, on.app.profile.name))


def _known(kind: str) -> None:
    if kind not in CLASSES:
        raise not_found("a class of action", kind, f"Use one of: {', '.join(CLASSES)}", field="kind")
