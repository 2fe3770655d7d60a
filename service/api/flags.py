"""Feature flags and the kill switch: how they stand, who set them, and setting them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Query, Response
from pydantic import Field

from adapters.store.base import FlagChange, FlagRow
from cycles.switches import Switchboard
from domain.access import ApiAction, Caller
from domain.canonical import canonical_hash
from policies.flags import FEATURES
from service.access.guard import may
from service.api.blocking import bounded
from service.api.etags import NOT_MODIFIED, IfMatch, IfNoneMatch, tagged, unchanged
from service.api.idempotency import Idempotent
from service.api.paging import Asked, Page
from service.api.problems import not_found
from service.api.routing import router_of
from service.api.serving import Serving, serving
from service.api.shapes import Name, Remark, Reply, Where, Wish, Words
from service.switching import features, kill_status

router = router_of("flags")
Viewer = Annotated[Caller, Depends(may(ApiAction.VIEW))]
Setter = Annotated[Caller, Depends(may(ApiAction.SET_FLAG))]
On = Annotated[Serving, Depends(serving)]
MOST_CHANGES = 10_000


class FlagView(Reply):
    """A feature as it counts in this environment, and what says so."""

    flag: str
    environment: str
    enabled: bool
    said_by: str
    details: dict[str, Any]


class RowView(Reply):
    """A row of the table of flags: what somebody set, in an environment or in all."""

    name: str
    environment: str
    enabled: bool
    details: dict[str, Any]

    @classmethod
    def of(cls, row: FlagRow) -> RowView:
        """Return it as it is sent."""
        return cls(name=row.name, environment=row.environment, enabled=row.enabled, details=dict(row.details))


class ChangeView(RowView):
    """A change of a flag: to what, by whom, when."""

    by: str
    at: datetime


class FlagsView(Reply):
    """Every feature as it counts here, why this environment is stopped (nothing: it is not), and the rows."""

    flags: list[FlagView]
    killed: list[str]
    rows: list[RowView]


class KillView(Reply):
    """Whether this environment is stopped and why, the switches that are on, and the cycles they hold."""

    environment: str
    killed: bool
    because: list[str]
    switches: list[RowView]
    held: list[str]


class FlagWish(Wish):
    """What a flag is to be, where, and why. `details` is kept beside it."""

    enabled: bool
    environment: Where = "all"
    reason: Words
    details: dict[Name, bool | int | float | Remark] = Field(default_factory=dict, max_length=50)


@router.get("/flags", responses=NOT_MODIFIED)
@bounded()
def listed(on: On, caller: Viewer, response: Response, if_none_match: IfNoneMatch = "") -> FlagsView:
    """List every feature as it counts in this environment, and the rows that say so."""
    return tagged(response, if_none_match, _all(on))


@router.get("/flags/history")
@bounded()
def history(
    on: On,
    caller: Viewer,
    page: Asked,
    name: Annotated[
        str,
        Query(
            max_length=120,
            pattern=r"^[^\x00-\x1f\x7f]*$",
            description="Only this flag; default: all, kill switches too.",
        ),
    ] = "",
) -> Page[ChangeView]:
    """List who set what, when and why, newest first."""
    changes = on.app.ports.store.flag_history(name, limit=MOST_CHANGES)
    return page.of([_change(change) for change in changes], lambda c: canonical_hash(c)[:24])


@router.get("/flags/{name}", responses=NOT_MODIFIED)
@bounded()
def show(on: On, caller: Viewer, name: Name, response: Response, if_none_match: IfNoneMatch = "") -> FlagView:
    """Show one feature; the entity tag is what If-Match of a change takes."""
    return tagged(response, if_none_match, _one(on, name))


@router.put("/flags/{name}")
@bounded()
def set_flag(
    on: On, caller: Setter, name: Name, wish: FlagWish, once: Idempotent, response: Response, if_match: IfMatch = ""
) -> FlagView:
    """Switch a feature on or off, here or everywhere. The change is on the audit chain before it is made."""

    def work() -> FlagView:
        _one(on, name)
        with unchanged(if_match, lambda: _rows(on, name), lambda: _one(on, name)) as seen:
            _switchboard(on).set_feature(
                name,
                wish.enabled,
                environment=wish.environment,
                by=caller.name,
                reason=wish.reason.strip(),
                details=wish.details,
                seen=seen,
            )
        return tagged(response, "", _one(on, name))

    return once(caller, work)


@router.get("/kill-switch", responses=NOT_MODIFIED)
@bounded()
def kill_switch(on: On, caller: Viewer, response: Response, if_none_match: IfNoneMatch = "") -> KillView:
    """Show whether this environment is stopped; it is thrown by POST /optimizer/stop."""
    return tagged(response, if_none_match, kill_view(on))


def kill_view(on: Serving) -> KillView:
    """Return how the kill switch stands."""
    found = kill_status(on.app.ports.store, on.app.profile)
    return KillView(
        environment=found.environment,
        killed=found.killed,
        because=list(found.because),
        switches=[RowView.of(row) for row in found.switches],
        held=list(found.held),
    )


def _all(on: Serving) -> FlagsView:
    store = on.app.ports.store
    return FlagsView(
        flags=[FlagView(**each.model_dump()) for each in features(store, on.app.profile)],
        killed=list(kill_status(store, on.app.profile).because),
        rows=[RowView.of(row) for row in store.flags()],
    )


def _one(on: Serving, name: str) -> FlagView:
    found: Mapping[str, Any] = {each.flag: each for each in features(on.app.ports.store, on.app.profile)}
    if name not in found:
        raise not_found("a flag", name, f"Use one of: {', '.join(FEATURES)}", field="name")
    return FlagView(**found[name].model_dump())


def _rows(on: Serving, name: str) -> list[FlagRow]:
    return [row for row in on.app.ports.store.flags() if row.name == name]


def _change(change: FlagChange) -> ChangeView:
    return ChangeView(**RowView.of(change).model_dump(), by=change.by, at=change.at)


def _switchboard(on: Serving) -> Switchboard:
    return Switchboard(on.app.ports.store, on.app.audit, on.clock)
