"""What the gate asks besides the policies: approvals, budget, and a witness. Each has a stand-in that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel

from domain.actor import Actor
from domain.budget import Amounts
from domain.decision import Decision, Effect
from tools.outcome import Outcome
from tools.tool import Scope

PolicyContext = Mapping[str, bool | int | str]


@dataclass(frozen=True)
class Asked:
    """Exactly one call, as an approval is bound to it: what is asked, with which arguments, by whom, under which set.

    `args` is plain JSON and `args_hash` the hash the audit has; `reason` is why it was escalated, and `policies` are
    those that would allow it once approved; `context` is what it was decided by.
    """

    scope: Scope
    tool: str
    args: Mapping[str, Any]
    args_hash: str
    actor: Actor
    policy_hash: str
    key: str
    reason: str = ""
    effect: Effect = Effect.WRITE
    policies: tuple[str, ...] = ()
    context: PolicyContext = field(default_factory=dict)


@dataclass(frozen=True)
class Grant:
    """A complete, unexpired approval of one call, now used up by it."""

    approval: str
    approvers: tuple[str, ...]


class Approvals(Protocol):
    """Where people's approvals are asked for and found."""

    def use(self, asked: Asked) -> Grant | None:
        """Use up the approval that was given for exactly this call, and return it; None when there is none.

        The same key again finds the same approval: a call that died half way is not asked about twice.

        Raises:
            DependencyError: it cannot be found out; then the call is refused.
        """
        ...

    def request(self, asked: Asked) -> str:
        """Put the call before people, once, and return what they have to do, in a sentence.

        Raises:
            DependencyError: it could not be put before anybody.
        """
        ...


class Budget(Protocol):
    """Reserves what a call will cost before it is made, and settles it after; every method is idempotent by key."""

    def reserve(self, key: str, scope: Scope, price: Amounts) -> None:
        """Set `price` aside.

        Raises:
            BudgetExhausted: there is not so much left; nothing was set aside.
            DependencyError: the ledger cannot be reached; nothing was set aside.
        """
        ...

    def settle(self, key: str, spent: Amounts) -> None:
        """Turn what was set aside into what was really spent."""
        ...

    def release(self, key: str) -> None:
        """Give back what was set aside: the call did not happen."""
        ...


@dataclass(frozen=True)
class Witnessed:
    """One call that went through the door, whole.

    `decision` and `effect` are None, and `args` as they were given, where it never came to a decision.
    """

    name: str
    args: Mapping[str, Any] | BaseModel
    actor: Actor
    scope: Scope
    place: str
    context: PolicyContext
    decision: Decision | None
    outcome: Outcome
    args_hash: str = ""
    effect: Effect | None = None


class Witness(Protocol):
    """Told of every call; it cannot change one."""

    def __call__(self, seen: Witnessed) -> None: ...


class NoApprovals:
    """Nobody is there to approve anything."""

    def use(self, asked: Asked) -> Grant | None:
        return None

    def request(self, asked: Asked) -> str:
        return "nobody is there to approve it"


class NoBudget:
    """Nothing is counted."""

    def reserve(self, key: str, scope: Scope, price: Amounts) -> None:
        return None

    def settle(self, key: str, spent: Amounts) -> None:
        return None

    def release(self, key: str) -> None:
        return None


def no_witness(seen: Witnessed) -> None:
    """The witness that does not look."""
