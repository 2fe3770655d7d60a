"""What a request for approval is, as it is told to machines: over REST, over MCP and on the command line the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from domain.approval import ApprovalRequest, ApprovalState, Vote, VoteAnswer


class VoteView(BaseModel):
    """A person's word; whether it counts, and how it is known to be theirs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    person: str
    answer: Literal["approve", "deny"]
    at: datetime
    reason: str
    seen: str
    how: str
    counts: bool | None = Field(description="Null in a list: votes are counted where one request is shown.")

    @classmethod
    def of(cls, vote: Vote, counting: Sequence[str] | None) -> VoteView:
        """Return a vote as it is told; `counting` are the people whose approval counts, None where nobody looked."""
        denial = vote.answer is VoteAnswer.DENY
        return cls(
            person=vote.person,
            answer=vote.answer.value,
            at=vote.at,
            reason=vote.reason,
            seen=vote.seen,
            how=vote.proof.how,
            counts=None if counting is None else denial or vote.person in counting,
        )


class ApprovalRow(BaseModel):
    """A call that people have to allow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    state: ApprovalState
    cycle_id: str
    stage: str
    tool: str
    target: str
    environment: str
    args: dict[str, Any]
    proposed_by: list[str]
    have: int
    need: int
    of: list[str] = Field(description="The roles of which so many have to say yes.")
    asked_at: datetime
    expires_at: datetime
    reason: str
    policies: list[str]
    policy_hash: str
    votes: list[VoteView]

    @classmethod
    def of_request(
        cls, request: ApprovalRequest, now: datetime, counting: Sequence[str] | None = None, **more: Any
    ) -> Self:
        """Return a request as it is told; `more` are the fields of what says more than this."""
        bound = request.binding
        return cls(
            id=request.id,
            state=request.state(now),
            cycle_id=bound.cycle_id,
            stage=bound.stage,
            tool=bound.tool,
            target=bound.target,
            environment=bound.environment,
            args=dict(request.args),
            proposed_by=list(request.proposers),
            have=len(request.approving),
            need=bound.quorum.need,
            of=list(bound.quorum.of),
            asked_at=request.asked_at,
            expires_at=request.expires_at,
            reason=request.reason,
            policies=list(request.policies),
            policy_hash=bound.policy_hash,
            votes=[VoteView.of(vote, counting) for vote in request.votes],
            **more,
        )
