"""Who may use the service for what: what the policy set is told of a caller, and the table of its answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from domain.access import INCLUDES, AccessRequest, AccessRole, ApiAction, Caller
from domain.decision import Decision

SOMEBODY = "a person"
MACHINE = "a machine"


class AccessPoint(Protocol):
    """Whoever answers *may this caller ask for that?*"""

    def permits(self, request: AccessRequest) -> Decision:
        """Answer; never raises."""


class AccessCell(BaseModel):
    """The roles that may do an action in an environment, as people and as machines."""

    model_config = ConfigDict(frozen=True)

    action: str
    environment: str
    people: tuple[str, ...]
    machines: tuple[str, ...]


def access_entities(name: str, roles: Iterable[str], environment: str) -> list[dict[str, Any]]:
    """Return the caller, all roles with what they include, and the environment, as the policy engine reads them."""
    included = [_entity("Access", role, [("Access", other) for other in held]) for role, held in INCLUDES.items()]
    caller = _entity("Caller", name, [("Access", role) for role in roles])
    return [caller, _entity("Environment", environment, []), *included]


def access_matrix(point: AccessPoint, environments: Iterable[str]) -> list[AccessCell]:
    """Return a cell for every action and environment, found out by asking."""
    return [
        AccessCell(
            action=action.value,
            environment=environment,
            people=_permitted(point, action, environment, SOMEBODY),
            machines=_permitted(point, action, environment, None),
        )
        for environment in environments
        for action in ApiAction
    ]


def access_findings(actions: Mapping[str, Sequence[str]], cells: Iterable[AccessCell]) -> list[str]:
    """Return what is wrong with what the set says of the service; `actions` are those of the schema."""
    unknown = [a for a in ApiAction if a.policy_action not in actions]
    found = [f"{a.policy_action} is no action of the schema: nobody can ever ask the service for it" for a in unknown]
    found += [
        f"{cell.action} of the service is permitted to nobody in {cell.environment}"
        for cell in cells
        if not cell.people and ApiAction(cell.action) not in unknown
    ]
    return found


def access_violated(point: AccessPoint) -> list[str]:
    """Return what the set allows that none may, in words; nothing for a sound set."""
    everything = frozenset(AccessRole)
    found: list[str] = []
    for action in ApiAction:
        asked = {
            f"{action.value} without a role": _caller(frozenset()),
            f"{action.value} by a token that was made for something else": _caller(everything, scopes=frozenset()),
        }
        if action is ApiAction.MANAGE_ACCESS:
            asked["the management of access to who is no admin"] = _caller(everything - {AccessRole.ADMIN})
        if action is ApiAction.VOTE:
            asked["a vote by a machine"] = _caller(everything, person=None)
        found += [what for what, caller in asked.items() if _allowed(point, caller, action, "dev")]
    if any(_allowed(point, _caller(everything), action, "nowhere") for action in ApiAction):
        found.append("the use of the service in an environment nobody knows")
    return found


def _permitted(point: AccessPoint, action: ApiAction, environment: str, person: str | None) -> tuple[str, ...]:
    return tuple(
        role.value
        for role in AccessRole
        if _allowed(point, _caller(frozenset({role}), person=person), action, environment)
    )


def _allowed(point: AccessPoint, caller: Caller, action: ApiAction, environment: str) -> bool:
    return point.permits(AccessRequest(caller=caller, action=action, environment=environment)).allowed


def _caller(
    roles: frozenset[AccessRole], *, scopes: frozenset[str] | None = None, person: str | None = SOMEBODY
) -> Caller:
    return Caller(name=person or MACHINE, roles=roles, scopes=scopes, via="session", person=person)


def _entity(kind: str, name: str, parents: Iterable[tuple[str, str]]) -> dict[str, Any]:
    above = [{"type": of, "id": identity} for of, identity in parents]
    return {"uid": {"type": kind, "id": name}, "attrs": {}, "parents": above}
