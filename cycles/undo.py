"""Composite undo: model, data pointer, flags, index version and values go back as one unit.

Before anything goes live, the state it replaces is kept as an undo point. Taken back, its parts follow in a fixed
order, the one users feel first:

1. values: one revert commit, which brings back the model that is served, the index version and every setting at once,
   and which counts only when the platform itself reports it live;
2. model: the registry's alias of the champion;
3. data: the pointer to the data of the live model;
4. flags: those that came with the release; all others are people's and stay.

A part that fails does not keep the later ones from going back, and the unit is not back before all of them are: the
stage is run again, does what is missing, and hands over to a person with the list of both when it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from adapters.store.base import FlagRow
from cycles.desk import CallFailed, CallRefused, Desk
from domain.actor import Role
from domain.candidate import LiveState, ModelRef
from domain.dataset import DatasetRef
from domain.errors import EvercrewError
from tools.deliver.release import Released
from tools.deliver.together import (
    FlagsRestored,
    PointArgs,
    Pointed,
    ReleaseView,
    RestoreFlagsArgs,
    StateArgs,
    released_with,
)
from tools.model.train import AliasArgs, AliasSet
from tools.observe.deployments import RuntimeView
from tools.tool import Nothing

POINT = "undo_point"
ARTIFACT = "undo.json"
ROLE = Role.DEVOPS_ENGINEER


class UndoPoint(BaseModel):
    """What was, before something went live: values revision, live digest, index version, champion, data and flags."""

    model_config = ConfigDict(frozen=True)

    revision: str
    digest: str
    index_generation: int
    champion: str | None = None
    dataset: DatasetRef | None = None
    flags: tuple[FlagRow, ...] = ()


class PartState(StrEnum):
    BACK = "back"
    MISSING = "missing"


class Part(BaseModel):
    """One part of the unit, and whether it is back; `detail` says what it is, or why it is not."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: PartState
    detail: str


class UndoIncomplete(EvercrewError):
    """Parts of the unit are not back; the message names both kinds."""


def keep_point(desk: Desk) -> UndoPoint:
    """Keep what is about to be replaced, once, and return it."""
    return desk.once(POINT, lambda: _point(desk), UndoPoint)


def _point(desk: Desk) -> UndoPoint:
    view = desk.do("runtime_state", Nothing(), ROLE, RuntimeView, place="before the release")
    state = _state(desk, view.digest, "before the release")
    return UndoPoint(
        revision=view.revision,
        digest=view.digest,
        index_generation=view.index_generation,
        champion=state.champion.digest if state.champion else None,
        dataset=state.pointed,
        flags=desk.told("flags", lambda: tuple(desk.office.store.flags()), tuple[FlagRow, ...]),
    )


def _state(desk: Desk, digest: str, place: str) -> ReleaseView:
    return desk.do("release_state", StateArgs(digest=digest), ROLE, ReleaseView, place=place)


def point_data(desk: Desk, dataset: DatasetRef | None, *, place: str = "") -> None:
    """Let the data pointer name the data of what is live now."""
    desk.do("point_dataset", PointArgs(dataset=dataset), ROLE, Pointed, place=place)


def take_back(desk: Desk, reverted: Released, live: LiveState) -> list[Part]:
    """Bring back every part besides the values, which are live again as `live`, and verify the whole.

    Raises:
        UndoIncomplete: a part is not back; the parts are written to the artifact all the same.
    """
    kept = desk.fact(POINT)
    point = UndoPoint.model_validate(kept) if kept is not None else None
    state = _state(desk, live.digest, f"after {reverted.revision}")
    parts = [
        _values(desk, point, live),
        _tried("model", lambda: _champion(desk, state, live)),
        _tried("data", lambda: _data(desk, point, state, live)),
        _tried("flags", lambda: _flags(desk, point)),
    ]
    desk.write(ARTIFACT, {"cycle_id": desk.cycle.id, "revision": reverted.revision, "parts": parts, "point": kept})
    missing = [part for part in parts if part.state is PartState.MISSING]
    if missing:
        raise UndoIncomplete(_said(parts, missing))
    return parts


def _said(parts: Sequence[Part], missing: Sequence[Part]) -> str:
    back = ", ".join(part.name for part in parts if part not in missing) or "nothing"
    gone = "; ".join(f"{part.name}: {part.detail}" for part in missing)
    return f"the release is not wholly taken back ({back} went back): {gone}"


def _tried(name: str, work: Callable[[], str]) -> Part:
    try:
        return Part(name=name, state=PartState.BACK, detail=work())
    except (CallRefused, CallFailed) as problem:
        return Part(name=name, state=PartState.MISSING, detail=str(problem))


def _values(desk: Desk, point: UndoPoint | None, live: LiveState) -> Part:
    """The revert is live; what it brought back has to be what was there, as far as that is on record."""
    if point is None:
        return Part(name="values", state=PartState.BACK, detail=f"{live.digest[:19]} at {live.revision[:12]}")
    now = desk.do("runtime_state", Nothing(), ROLE, RuntimeView, place=f"after {live.revision}")
    if now.digest != point.digest:
        detail = f"the model is {now.digest}, was {point.digest}"
        return Part(name="values", state=PartState.MISSING, detail=detail)
    if now.index_generation != now.declared_generation:
        detail = f"the index version is {now.index_generation}, git says {now.declared_generation}"
        return Part(name="values", state=PartState.MISSING, detail=detail)
    detail = f"{now.digest[:19]} and index version {now.index_generation} at {live.revision[:12]}"
    return Part(name="values", state=PartState.BACK, detail=detail)


def _champion(desk: Desk, state: ReleaseView, live: LiveState) -> str:
    """The registry's champion is what is live; where the release moved the alias too, it moves back."""
    champion: ModelRef | None = state.champion
    if champion is None or champion.digest == live.digest:
        return "the alias champion names it" if champion else "there is no alias champion"
    desk.do("set_alias", AliasArgs(alias="champion", digest=live.digest), ROLE, AliasSet)
    return f"the alias champion names {live.digest[:19]} again"


def _data(desk: Desk, point: UndoPoint | None, state: ReleaseView, live: LiveState) -> str:
    wanted = point.dataset if point is not None else state.trained_on
    if state.pointed == wanted:
        return f"the pointer names {wanted.name}" if wanted else "the pointer names nothing"
    point_data(desk, wanted, place=f"after {live.revision}")
    return f"the pointer names {wanted.name if wanted else 'nothing'} again"


def _flags(desk: Desk, point: UndoPoint | None) -> str:
    release = desk.fact("release")
    if point is None or release is None:
        return "none came with the release"
    store = desk.office.store
    if not desk.told("released_with", lambda: bool(released_with(store, desk.cycle.id, release["revision"])), bool):
        return "none came with the release, or they are back"
    args = RestoreFlagsArgs(revision=release["revision"])
    restored = desk.do("restore_flags", args, ROLE, FlagsRestored)
    return f"{', '.join(restored.restored)} as before"
