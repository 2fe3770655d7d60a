"""Quality gates as they count now, and the overrides of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Literal

from fastapi import Depends, Query, Response
from pydantic import Field, StringConstraints

from cycles.rules import Rulebook
from domain.access import ApiAction, Caller
from domain.errors import ConfigurationError, InvalidInput
from domain.override import Kind, Override, override
from policies.contract import Contract, GateSpec
from policies.durations import parse_duration
from service.access.guard import may
from service.api.blocking import bounded
from service.api.etags import NOT_MODIFIED, IfMatch, IfNoneMatch, tagged, unchanged
from service.api.idempotency import Idempotent
from service.api.paging import Asked, Page
from service.api.problems import not_found
from service.api.routing import router_of
from service.api.serving import Serving, serving
from service.api.shapes import Name, Remark, Reply, Wish, Words, YesNo

router = router_of("quality-gates")
On = Annotated[Serving, Depends(serving)]
Viewer = Annotated[Caller, Depends(may(ApiAction.VIEW))]
Admin = Annotated[Caller, Depends(may(ApiAction.OVERRIDE_GATE))]
LASTS = "24h"
"""How long an override lasts that was asked for without saying how long."""

_OVER_HTTP = "no reason was given (over the REST API)"
_LEVEL = "_level"
Lasts = Annotated[str, StringConstraints(min_length=2, max_length=12, pattern=r"^[0-9]{1,5}[smhd]$")]
OverrideId = Annotated[str, StringConstraints(pattern=r"^ov_[0-9a-f]{10}$")]


class OverrideView(Reply):
    """A number that stands in place of one of the contract's, from `at` until `expires`, or until it was ended."""

    id: str
    kind: str
    name: str
    of: str = Field(description="Which limit of a signal, or of which kind the gate was when the number was given.")
    unit: str = Field(description="Of a level; a share of the baseline has none.")
    threshold: float
    environment: str
    by: str
    reason: str
    at: datetime
    expires: datetime
    ended_at: datetime | None
    ended_by: str
    in_force: bool
    left_out: str = Field(description="Why it does not count though it is its time: the contract was changed under it.")

    @classmethod
    def of_override(cls, found: Override, book: Rulebook, now: datetime) -> OverrideView:
        """Return it as it is sent."""
        in_force = found.in_force(now)
        return cls(**found.model_dump(), in_force=in_force, left_out=book.left_out(found) if in_force else "")


class GateView(Reply):
    """A gate as it counts now.

    `threshold` is in the gate's own terms: a share of the baseline for `min_relative_delta` and `max_relative_delta`,
    else a level. `level` stands beside a relative rule where somebody set one.
    """

    name: str
    signal: str
    kind: Literal["min_relative_delta", "max_relative_delta", "min", "max"]
    threshold: float
    level: float | None
    guard: bool = Field(description="Whether it guards other changes, and is none of those a new model passes.")
    overrides: list[OverrideView]


class GatesView(Reply):
    """All gates and guards."""

    gates: list[GateView]


class OverrideWish(Wish):
    """An override of a signal's limit, or of the limit of its rollback."""

    kind: Literal["limit", "rollback"]
    name: Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[a-z0-9_]+$")]
    of: Literal["absolute", "relative_to_baseline"] = "absolute"
    threshold: float
    expires: Lasts = LASTS
    reason: Words


class EndWish(Wish):
    """Why an override is ended before its time."""

    reason: Words


@router.get("/optimizer/quality-gates", responses=NOT_MODIFIED)
@bounded()
def listed(on: On, caller: Viewer, response: Response, if_none_match: IfNoneMatch = "") -> GatesView:
    """List the quality gates and guards as they count now."""
    contract = _book(on).contract()
    names = [*contract.quality_gates, *contract.guards]
    return tagged(response, if_none_match, GatesView(gates=[_gate(on, contract, name) for name in names]))


@router.get("/optimizer/quality-gates/{name}", responses=NOT_MODIFIED)
@bounded()
def show(on: On, caller: Viewer, name: Name, response: Response, if_none_match: IfNoneMatch = "") -> GateView:
    """Show a gate as it counts now; the entity tag is what If-Match of an override takes."""
    return tagged(response, if_none_match, _gate(on, _book(on).contract(), name))


@router.post("/optimizer/quality-gates/{name}")
@bounded()
def put_override(
    on: On,
    caller: Admin,
    name: Name,
    threshold: Annotated[float, Query(allow_inf_nan=False, description="The number that counts meanwhile.")],
    once: Idempotent,
    response: Response,
    of: Annotated[
        Literal["level", "change"] | None,
        Query(
            description="Of a relative gate: `level` is a level that has to be reached as well, e.g. 0.70; `change` is "
            "the share of the baseline itself. Without, a gate that asks for a gain takes it as a level."
        ),
    ] = None,
    expires: Annotated[Lasts, Query(description="For how long, e.g. 30m, 2h, 3d; at most 30d.")] = LASTS,
    reason: Annotated[Remark, Query(description="Why; it is on record.")] = "",
    if_match: IfMatch = "",
) -> GateView:
    """Put an admin's number in place of the contract's, at once, until it expires. It is on record first."""

    def work() -> GateView:
        spec = _spec(_book(on).contract(), name)
        said = reason.strip() or _OVER_HTTP
        with unchanged(if_match, _book(on).listed, lambda: _gate(on, _book(on).contract(), name)) as seen:
            _add(on, caller, "gate", _named(name, spec, of), threshold, "", expires, said, seen=seen)
        return tagged(response, "", _gate(on, _book(on).contract(), name))

    return once(caller, work)


@router.get("/optimizer/overrides")
@bounded()
def overrides(
    on: On,
    caller: Viewer,
    page: Asked,
    everything: Annotated[YesNo, Query(alias="all", description="Also those that are over.")] = "false",
) -> Page[OverrideView]:
    """List the overrides of this environment, newest first."""
    book, now = _book(on), on.clock.now()
    found = book.listed() if everything == "true" else book.in_force()
    return page.of([OverrideView.of_override(each, book, now) for each in reversed(found)], lambda each: each.id)


@router.post("/optimizer/overrides", status_code=201)
@bounded()
def add_override(on: On, caller: Admin, wish: OverrideWish, once: Idempotent) -> OverrideView:
    """Override the limit of a signal, or of its rollback, until it expires."""
    return once(
        caller,
        lambda: _add(on, caller, wish.kind, wish.name, wish.threshold, wish.of, wish.expires, wish.reason.strip()),
    )


@router.get("/optimizer/overrides/{identity}", responses=NOT_MODIFIED)
@bounded()
def show_override(
    on: On, caller: Viewer, identity: OverrideId, response: Response, if_none_match: IfNoneMatch = ""
) -> OverrideView:
    """Show an override; the entity tag is what If-Match of its end takes."""
    return tagged(response, if_none_match, OverrideView.of_override(_known(on, identity), _book(on), on.clock.now()))


@router.post("/optimizer/overrides/{identity}/end")
@bounded()
def end_override(
    on: On, caller: Admin, identity: OverrideId, wish: EndWish, once: Idempotent, if_match: IfMatch = ""
) -> OverrideView:
    """End an override before its time."""

    def work() -> OverrideView:
        known, book = _known(on, identity), _book(on)
        shown = partial(OverrideView.of_override, known, book, on.clock.now())
        with unchanged(if_match, lambda: known, shown) as seen:
            ended = book.end(identity, by=caller.name, reason=wish.reason.strip(), seen=seen)
        return OverrideView.of_override(ended, book, on.clock.now())

    return once(caller, work)


def _add(
    on: Serving,
    caller: Caller,
    kind: Kind,
    name: str,
    threshold: float,
    of: Literal["", "absolute", "relative_to_baseline"],
    expires: str,
    reason: str,
    *,
    seen: Sequence[Override] | None = None,
) -> OverrideView:
    now = on.clock.now()
    made = override(
        kind,
        name,
        threshold,
        of=of,
        environment=on.app.profile.name,
        by=caller.name,
        reason=reason,
        at=now,
        lasts=_lasting(expires),
    )
    book = _book(on)
    return OverrideView.of_override(book.add(made, seen=seen), book, now)


def _gate(on: Serving, contract: Contract, name: str) -> GateView:
    spec, now = _spec(contract, name), on.clock.now()
    mine = [o for o in _book(on).in_force() if o.kind == "gate" and o.name in (name, f"{name}{_LEVEL}")]
    return GateView(
        name=name,
        signal=spec.signal,
        kind=spec.kind,
        threshold=spec.threshold,
        level=spec.min_level,
        guard=name in contract.guards,
        overrides=[OverrideView.of_override(each, _book(on), now) for each in mine],
    )


def _spec(contract: Contract, name: str) -> GateSpec:
    found = contract.quality_gates.get(name) or contract.guards.get(name)
    if found is None:
        known = ", ".join([*contract.quality_gates, *contract.guards])
        raise not_found("a gate or guard of the contract", name, f"Use one of: {known}", field="name")
    return found


def _named(name: str, spec: GateSpec, of: str | None) -> str:
    """Return what is overridden: a level stands beside a gate that asks for a gain, and nowhere else."""
    gains = spec.kind == "min_relative_delta"
    if of == "level" and not gains:
        raise InvalidInput("of", f"{name} is a gate of kind {spec.kind}; it has no level", "Leave `of` out")
    return f"{name}{_LEVEL}" if gains and of != "change" else name


def _known(on: Serving, identity: str) -> Override:
    found = next((each for each in _book(on).listed() if each.id == identity), None)
    if found is None:
        raise not_found("an override", identity, "See GET /api/v1/optimizer/overrides?all=true")
    return found


def _lasting(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as problem:
        raise InvalidInput("expires", str(problem), "Write e.g. 2h") from problem


def _book(on: Serving) -> Rulebook:
    book = on.app.office.rulebook
    if book is None:
        raise ConfigurationError("rulebook", "there is none here", "Build the application with a database")
    return book
