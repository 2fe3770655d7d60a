"""People's consent: the door's `Approvals`.

Why an approval opens one call and no other: the request is kept under the hash of all that it is for (`Binding`), the
gate asks for exactly that hash, and the store gives it to one key only. Which votes count says `tools.ballots`.
Whatever cannot be looked up raises, and the door stays shut.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from adapters.approvals.base import ApprovalsPort
from adapters.audit.base import AuditPort
from domain.approval import ApprovalRequest, ApprovalState, Binding, Proof, Quorum, Vote, VoteAnswer
from domain.clock import Clock
from domain.decision import AuthorizationRequest, Decision
from domain.events import Observer, nobody
from domain.people import People
from domain.receipt import RecordKind
from tools.ask import Asked, Grant
from tools.ballots import Ballots, NoVoters, Voters

PROFILE = Quorum(need=1, of=("profile",))


class Decider(Protocol):
    """The policy decision point."""

    def decide(self, request: AuthorizationRequest) -> Decision: ...


@dataclass(frozen=True)
class Rules:
    """Who decides.

    `quorum` gives who has to, by tool; `lasts` how long they have; `opened_by` who opened a cycle by hand. Where
    `stand_in` is named, it is the profile that stands for a person, for calls of which `stands` says so. `voters` are
    the accounts of the service that may decide.
    """

    people: People
    quorum: Callable[[str], Quorum]
    lasts: timedelta
    opened_by: Callable[[str], Collection[str]] = lambda cycle_id: ()
    stand_in: str = ""
    stands: Callable[[Asked], bool] = lambda asked: False
    voters: Voters = field(default_factory=NoVoters)


def contract_only(pdp: Decider) -> Callable[[Asked], bool]:
    """Return what says whether a call lacks nothing but the approval that the contract wants for its signal.

    A profile may stand for that; where a flag is off as well, a person has to.
    """

    def stands(asked: Asked) -> bool:
        if asked.context.get("approval_needed") is not True:
            return False
        context = {**asked.context, "approval_needed": False, "approved": False}
        decision = pdp.decide(
            AuthorizationRequest(
                actor=asked.actor,
                tool=asked.tool,
                effect=asked.effect,
                target=asked.scope.target,
                environment=asked.scope.environment,
                context=context,
            )
        )
        return decision.allowed and decision.policy_hash == asked.policy_hash

    return stands


class Consent:
    """See `tools.ask.Approvals`; people answer by `ballots`."""

    def __init__(
        self, store: ApprovalsPort, audit: AuditPort, clock: Clock, rules: Rules, observer: Observer = nobody
    ) -> None:
        self.store = store
        self.rules = rules
        self.ballots = Ballots(store, audit, clock, rules.people, observer, rules.voters)
        self._audit = audit
        self._clock = clock

    def use(self, asked: Asked) -> Grant | None:
        """See `Approvals.use`.

        A call that has begun, with its intent on record, keeps the approval it used, also past the expiry; one that was
        done keeps it also under another policy set: being told again what happened needs nobody.
        """
        if self.rules.stand_in and self.rules.stands(asked):
            return self._by_profile(asked)
        request = self.store.request(self._binding(asked).identity)
        if request is None:
            return self._done_before(asked)
        if request.used_by == asked.key and self._status_of(asked.key):
            return Grant(request.id, tuple(vote.person for vote in request.approving))
        if self._clock.now() >= request.expires_at:
            return None
        counted = self.ballots.counting(request)
        if len(counted) < request.binding.quorum.need:
            return None
        used = self.store.use(request.id, key=asked.key, at=self._clock.now())
        return None if used is None else Grant(used.id, tuple(vote.person for vote in counted))

    def request(self, asked: Asked) -> str:
        """See `Approvals.request`."""
        known = self.store.request(self._binding(asked).identity)
        kept = known or self.store.open(self._request(asked, self._binding(asked), self._proposers(asked)))
        if known is None:
            self.ballots.tell(kept, "asked", asked.reason)
        state = kept.state(self._clock.now())
        if state is ApprovalState.DENIED and kept.denial is not None:
            return f"{kept.id} was denied by {kept.denial.person}: {kept.denial.reason}"
        if state in (ApprovalState.EXPIRED, ApprovalState.WITHDRAWN, ApprovalState.USED):
            return f"{kept.id} is {state.value}"
        return f"{self.ballots.standing(kept)}: evercrew approvals show {kept.id}"

    # -- helpers ------------------------------------------------------------------------------------------------------

    def _binding(self, asked: Asked, quorum: Quorum | None = None) -> Binding:
        return Binding(
            cycle_id=asked.scope.cycle_id,
            stage=asked.scope.stage,
            tool=asked.tool,
            target=asked.scope.target,
            environment=asked.scope.environment,
            actor=str(asked.actor),
            args_hash=asked.args_hash,
            policy_hash=asked.policy_hash,
            quorum=quorum or self.rules.quorum(asked.tool),
        )

    def _proposers(self, asked: Asked) -> tuple[str, ...]:
        by_hand = self.rules.opened_by(asked.scope.cycle_id)
        return tuple(dict.fromkeys([str(asked.actor), asked.actor.role.value, *by_hand]))

    def _request(self, asked: Asked, binding: Binding, proposers: tuple[str, ...]) -> ApprovalRequest:
        now = self._clock.now()
        return ApprovalRequest(
            binding=binding,
            args=asked.args,
            actor=asked.actor,
            proposers=proposers,
            reason=asked.reason,
            policies=asked.policies,
            key=asked.key,
            asked_at=now,
            expires_at=now + self.rules.lasts,
        )

    def _by_profile(self, asked: Asked) -> Grant | None:
        """The environment's file stands for the person; it is on record like one, and as what it is."""
        binding, name = self._binding(asked, PROFILE), self.rules.stand_in
        request = self.store.open(self._request(asked, binding, self._proposers(asked)))
        if not request.votes:
            proof = Proof(how="profile", who=name)
            vote = Vote(person=name, answer=VoteAnswer.APPROVE, at=self._clock.now(), proof=proof)
            request = self.store.vote(request.id, vote)
        if not self.ballots.noted(request):
            self.ballots.note(request, request.votes[0])
            self.ballots.tell(request, "approve", "", name)
        used = self.store.use(request.id, key=asked.key, at=self._clock.now())
        return None if used is None else Grant(used.id, (name,))

    def _done_before(self, asked: Asked) -> Grant | None:
        wanted = self._binding(asked)
        for used in self.store.used_by(asked.key):
            now = {"policy_hash": wanted.policy_hash, "quorum": wanted.quorum}
            if used.binding.model_copy(update=now) == wanted and self._status_of(asked.key) == "done":
                return Grant(used.id, tuple(vote.person for vote in used.approving))
        return None

    def _status_of(self, key: str) -> str:
        """Return ``done``, ``begun`` when there is an intent that did not come to that, or nothing."""
        records = [r.entry for r in self._audit.of_key(key)]
        if any(e.kind is RecordKind.OUTCOME and e.status == "done" for e in records):
            return "done"
        return "begun" if any(e.kind is RecordKind.INTENT for e in records) else ""
