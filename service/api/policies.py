"""The policy set: which one is in force, who may do what where, and why a decision is what it is."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Response
from pydantic import StringConstraints, TypeAdapter, ValidationError

from domain.access import ApiAction, Caller
from domain.actor import Role
from domain.errors import InvalidInput, PolicySetBroken
from policies.pdp import PolicyDecisionPoint
from service.access.guard import may
from service.api.blocking import bounded
from service.api.etags import NOT_MODIFIED, IfNoneMatch, tagged
from service.api.routing import router_of
from service.api.serving import Serving, serving
from service.api.shapes import Environment, Reply
from service.rulings import Soundness, explained, soundness

router = router_of("policies")
On = Annotated[Serving, Depends(serving)]
Viewer = Annotated[Caller, Depends(may(ApiAction.VIEW))]
ToolName = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[a-z0-9_]+$")]
_FIELDS: TypeAdapter[dict[str, bool | int | str]] = TypeAdapter(dict[str, bool | int | str])


class PoliciesView(Reply):
    """The set in force. `problem` says why the one on disk is not, where it is not."""

    policy_hash: str
    policies: int
    files: list[str]
    source: str
    problem: str


class RowView(Reply):
    """The answers to one role for one tool in one environment: allow, approval or never, by who asks in the role."""

    tool: str
    role: str
    environment: str
    answers: dict[str, str]
    word: str


class MatrixView(Reply):
    """Who may do what where, under the stated contexts."""

    policy_hash: str
    rows: list[RowView]


class CheckView(Reply):
    """Whether the set in force is sound."""

    sound: bool
    policy_hash: str
    policies: int
    findings: list[str]


class FlipView(Reply):
    """One field of the context that would change the answer, by itself."""

    field: str
    value: bool | int | str
    instead: bool | int | str
    answer: str
    policies: list[str]


class ExplainedView(Reply):
    """A decision: the answer, the policies that made it with their reasons, and what would flip it."""

    tool: str
    role: str
    environment: str
    via: str
    answer: str
    reason: str
    policies: dict[str, str]
    policy_hash: str
    context: dict[str, bool | int | str]
    flips: list[FlipView]
    approval: str


@router.get("/policies", responses=NOT_MODIFIED)
@bounded()
def show(on: On, caller: Viewer, response: Response, if_none_match: IfNoneMatch = "") -> PoliciesView:
    """Show which policy set is in force, by its hash."""
    live = on.app.policies
    live.look()
    return tagged(
        response,
        if_none_match,
        PoliciesView(
            policy_hash=live.policy_hash,
            policies=len(_point(on).policy_ids),
            files=sorted(live.files(live.policy_hash)),
            source="folder" if on.app.config.policies is not None else "packaged",
            problem=live.problem,
        ),
    )


@router.get("/policies/matrix", responses=NOT_MODIFIED)
@bounded()
def matrix(
    on: On,
    caller: Viewer,
    response: Response,
    environment: Environment | None = None,
    role: Role | None = None,
    tool: Annotated[ToolName | None, Query(description="Only this tool.")] = None,
    if_none_match: IfNoneMatch = "",
) -> MatrixView:
    """Show who may do what where: all is well, nothing is earned yet, the flags are the profile's."""
    found = _sound(on)
    wanted = {"environment": environment, "role": role.value if role else None, "tool": tool}
    rows = [row for row in found.matrix if all(v is None or getattr(row, name) == v for name, v in wanted.items())]
    shown = [RowView(**{**row.model_dump(), "answers": dict(row.answers)}) for row in rows]
    return tagged(response, if_none_match, MatrixView(policy_hash=found.policy_hash, rows=shown))


@router.get("/policies/check", responses=NOT_MODIFIED)
@bounded()
def check(on: On, caller: Viewer, response: Response, if_none_match: IfNoneMatch = "") -> CheckView:
    """Tell whether the set in force is sound: gaps in its coverage, and what it allows that none may."""
    found = _sound(on)
    return tagged(
        response,
        if_none_match,
        CheckView(
            sound=found.sound,
            policy_hash=found.policy_hash,
            policies=found.policies,
            findings=list(found.findings),
        ),
    )


@router.get("/policies/explain")
@bounded()
def explain(
    on: On,
    caller: Viewer,
    role: Role,
    tool: Annotated[ToolName, Query(description="The tool that is asked for, e.g. promote.")],
    environment: Environment | None = None,
    via: Annotated[Literal["engine", "agent", "person"], Query(description="Who asks in the role.")] = "engine",
    context: Annotated[
        str, Query(max_length=4000, description="A JSON object of context fields that differ from the stated ones.")
    ] = "{}",
) -> ExplainedView:
    """Say what is decided, by which policies, and which single field of the context would flip it."""
    found = explained(
        _point(on),
        role=role.value,
        tool=tool,
        environment=environment or on.app.profile.name,
        via=via,
        changed=_context(context),
    )
    told = found.model_dump()
    flips = [FlipView(**{**flip, "policies": list(flip["policies"])}) for flip in told.pop("flips")]
    return ExplainedView(**{**told, "policies": dict(found.policies), "context": dict(found.context)}, flips=flips)


def _point(on: Serving) -> PolicyDecisionPoint:
    """Return the set in force, to be asked about other contexts."""
    live = on.app.policies
    files = live.files(live.policy_hash)
    if not files:
        raise PolicySetBroken(live.problem or "no set is in force")
    return _loaded(live.policy_hash, tuple(sorted(files.items())))


def _sound(on: Serving) -> Soundness:
    point = _point(on)
    return _judged(point.policy_hash, tuple(sorted(point.files.items())))


@lru_cache(maxsize=4)
def _loaded(policy_hash: str, files: tuple[tuple[str, bytes], ...]) -> PolicyDecisionPoint:
    return PolicyDecisionPoint.from_files(dict(files))


@lru_cache(maxsize=4)
def _judged(policy_hash: str, files: tuple[tuple[str, bytes], ...]) -> Soundness:
    return soundness(_loaded(policy_hash, files))


def _context(text: str) -> dict[str, bool | int | str]:
    try:
        return _FIELDS.validate_json(text, strict=True)
    except ValidationError as problem:
        first: Any = problem.errors()[0]
        told = f"is no JSON object of plain values: {first['msg']}"
        raise InvalidInput("context", told, 'Write e.g. {"kill_switch": true}') from None
