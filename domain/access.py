"""Who may use the service and for what: roles of callers, the actions of its API, and a caller who is known.

What a role may do says the policy set alone (`policies/access.cedar`); here are the names, and which role includes
which.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.errors import EvercrewError
from domain.people import Person

Via = Literal["session", "token", "jwt", "local"]


class AccessRole(StrEnum):
    """What somebody may use the service as."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


INCLUDES: Mapping[AccessRole, tuple[AccessRole, ...]] = {
    AccessRole.VIEWER: (),
    AccessRole.OPERATOR: (AccessRole.VIEWER,),
    AccessRole.APPROVER: (AccessRole.VIEWER,),
    AccessRole.ADMIN: (AccessRole.OPERATOR, AccessRole.APPROVER),
}
"""Whoever operates does not approve, and the other way round: an admin alone is both."""


class ApiAction(StrEnum):
    """What may be asked of the service; in the policy set each is called `api_...`, in a token it is a scope."""

    VIEW = "view"
    VIEW_AUDIT = "view_audit"
    EXPORT_AUDIT = "export_audit"
    OPEN_CYCLE = "open_cycle"
    CANCEL_CYCLE = "cancel_cycle"
    RESUME_CYCLE = "resume_cycle"
    REPLAY_CYCLE = "replay_cycle"
    CHAT = "chat"
    VOTE = "vote"
    STOP = "stop"
    START = "start"
    ROLLBACK = "rollback"
    SET_FLAG = "set_flag"
    OVERRIDE_GATE = "override_gate"
    MAKE_REPORT = "make_report"
    CAP_AUTONOMY = "cap_autonomy"
    MANAGE_ACCESS = "manage_access"
    OWN_TOKENS = "own_tokens"

    @property
    def policy_action(self) -> str:
        """Its name in the policy set."""
        return f"api_{self.value}"


class Caller(BaseModel):
    """Somebody, or a machine, who proved who they are.

    `scopes` are the actions that a token was made for, None where nothing narrows the roles; they never widen them.
    `person` is who the caller is among people, None for a machine: a machine does not vote.
    """

    model_config = ConfigDict(frozen=True)

    name: str = Field(min_length=1)
    roles: frozenset[AccessRole]
    scopes: frozenset[str] | None = None
    via: Via
    person: str | None = None

    def in_scope(self, action: ApiAction) -> bool:
        """Whether what the caller came with was made for this action."""
        return self.scopes is None or action.value in self.scopes


class AccessRequest(BaseModel):
    """May `caller` do `action` in `environment`?"""

    model_config = ConfigDict(frozen=True)

    caller: Caller
    action: ApiAction
    environment: str


def with_included(roles: Iterable[AccessRole]) -> frozenset[AccessRole]:
    """Return the roles and all that they include."""
    found: set[AccessRole] = set()
    left = list(roles)
    while left:
        role = left.pop()
        if role not in found:
            found.add(role)
            left += INCLUDES[role]
    return frozenset(found)


def person_of(name: str, roles: Iterable[AccessRole]) -> Person:
    """Return an account that is among no people as the person it stands for: by its name, with its roles."""
    return Person(name=name, roles=tuple(sorted(role.value for role in with_included(roles))))


class Unauthenticated(EvercrewError):
    """Nobody knows who asks; the message says what was wrong, and never repeats what was sent."""


class TooManyAttempts(EvercrewError):
    """Somebody failed to sign in too often; nothing is looked at until `retry_after` has passed."""

    def __init__(self, retry_after: timedelta) -> None:
        seconds = max(1, math.ceil(retry_after.total_seconds()))
        super().__init__(f"too many failed attempts to sign in; try again in {seconds} s")
        self.retry_after = timedelta(seconds=seconds)
