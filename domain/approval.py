"""An approval: exactly one call that a person has to allow, the votes on it, and how it stands.

It is bound to what was asked (`Binding`), and its identity is the hash of that: another argument, cycle, stage, policy
set or rule of who decides is another request. The rules that every store of requests keeps are the functions here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from domain.actor import Actor
from domain.canonical import canonical_hash, canonical_json
from domain.errors import ConflictError
from domain.people import same


class Quorum(BaseModel):
    """So many different people who hold one of these roles."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    need: int = Field(ge=1)
    of: tuple[str, ...] = Field(min_length=1)

    def __str__(self) -> str:
        return f"{self.need} of {', '.join(self.of)}"


class Binding(BaseModel):
    """All that an approval is for. `args_hash` is that of the canonical arguments, as the audit has it."""

    model_config = ConfigDict(frozen=True)

    cycle_id: str
    stage: str
    tool: str
    target: str
    environment: str
    actor: str
    args_hash: str
    policy_hash: str
    quorum: Quorum

    @property
    def identity(self) -> str:
        """The identity of the request for it."""
        return f"ap_{canonical_hash(self)[:24]}"


class VoteAnswer(StrEnum):
    APPROVE = "approve"
    DENY = "deny"


class Proof(BaseModel):
    """How a vote is known to be of the person: the account it was given from, a session of the service, a signature, or
    the profile itself.
    """

    model_config = ConfigDict(frozen=True)

    how: Literal["os_user", "session", "signature", "profile"]
    who: str
    signature: str = ""


class Vote(BaseModel):
    """One person's word. `seen` is the SHA-256 of the change as it was shown to whoever decided."""

    model_config = ConfigDict(frozen=True)

    person: str
    answer: VoteAnswer
    at: datetime
    reason: str = Field(default="", max_length=2000)
    seen: str = ""
    proof: Proof

    def statement(self, binding: Binding) -> bytes:
        """Return what a signature of this vote covers: the vote, and all that it is about."""
        said = self.model_dump(mode="json", exclude={"proof"})
        return canonical_json({"approval": binding.identity, "binding": binding, "vote": said}).encode()


class ApprovalState(StrEnum):
    """Only `granted` opens anything, once."""

    WAITING = "waiting"
    GRANTED = "granted"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    USED = "used"


class ApprovalRequest(BaseModel):
    """A call before people. `proposers` may not vote on it; `used_by` is the key of the call that used it up."""

    model_config = ConfigDict(frozen=True)

    binding: Binding
    args: Mapping[str, Any]
    actor: Actor
    proposers: tuple[str, ...]
    reason: str
    policies: tuple[str, ...] = ()
    key: str
    asked_at: datetime
    expires_at: datetime
    votes: tuple[Vote, ...] = ()
    withdrawn: str = ""
    used_by: str = ""
    used_at: datetime | None = None

    @property
    def id(self) -> str:
        """Its identity."""
        return self.binding.identity

    @property
    def denial(self) -> Vote | None:
        """The vote that ended it, or None."""
        return next((vote for vote in self.votes if vote.answer is VoteAnswer.DENY), None)

    @property
    def approving(self) -> tuple[Vote, ...]:
        """The votes for it, one a person."""
        return tuple({same(v.person): v for v in self.votes if v.answer is VoteAnswer.APPROVE}.values())

    def proposed_by(self, name: str) -> bool:
        """Whether this is who, or what, proposed it."""
        return same(name) in {same(proposer) for proposer in self.proposers}

    def state(self, now: datetime) -> ApprovalState:
        """Return how it stands; a time equal to the expiry is past it."""
        if self.used_by:
            return ApprovalState.USED
        if self.denial is not None:
            return ApprovalState.DENIED
        if self.withdrawn:
            return ApprovalState.WITHDRAWN
        if now >= self.expires_at:
            return ApprovalState.EXPIRED
        complete = len(self.approving) >= self.binding.quorum.need
        return ApprovalState.GRANTED if complete else ApprovalState.WAITING

    def voted(self, vote: Vote) -> Self:
        """Return it with one more vote; the same vote again changes nothing, and an approval may become a denial.

        Raises:
            ConflictError: it is decided, over, or of whoever proposed it, or this person has voted already.
        """
        before = next((v for v in self.votes if same(v.person) == same(vote.person)), None)
        if before is not None and before.answer is vote.answer:
            return self
        state = self.state(vote.at)
        if state not in (ApprovalState.WAITING, ApprovalState.GRANTED):
            raise ConflictError(f"{self.id} is {state.value}: it cannot be voted on any more")
        if self.proposed_by(vote.person):
            raise ConflictError(f"{vote.person} proposed {self.id} and cannot decide it; somebody else has to")
        if before is not None and vote.answer is VoteAnswer.APPROVE:
            raise ConflictError(f"{vote.person} has voted on {self.id} already")
        others = tuple(v for v in self.votes if v is not before)
        return self.model_copy(update={"votes": (*others, vote)})

    def used(self, key: str, at: datetime) -> Self | None:
        """Return it used up by the call under `key`, or None when it is not granted or another call used it."""
        if self.used_by == key:
            return self
        if self.state(at) is not ApprovalState.GRANTED:
            return None
        return self.model_copy(update={"used_by": key, "used_at": at})

    def taken_back(self, reason: str) -> Self:
        """Return it withdrawn, unless it is used or ended already."""
        open_still = not (self.used_by or self.denial or self.withdrawn)
        return self.model_copy(update={"withdrawn": reason}) if open_still else self


class Denial(BaseModel):
    """What a crew is told of a request that was denied: the person's own words are in `reason`."""

    model_config = ConfigDict(frozen=True)

    cycle_id: str
    tool: str
    args: Mapping[str, Any]
    by: str
    reason: str
    at: datetime

    @classmethod
    def of(cls, request: ApprovalRequest) -> Denial | None:
        """Return the denial of a request, or None when nobody denied it."""
        vote = request.denial
        if vote is None:
            return None
        bound = request.binding
        return cls(
            cycle_id=bound.cycle_id, tool=bound.tool, args=request.args, by=vote.person, reason=vote.reason, at=vote.at
        )
