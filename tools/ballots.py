"""The ballot: how people vote on a request, and which votes count.

A vote counts when, at the moment it is counted, (1) the voter is among the people, or is the person of an account of
the service, and holds one of the roles that are asked for, (2) did not propose the call, (3) proved to be who they say:
for a person with a key the signature is checked again, for a vote in a session of the service the account is asked for
again, and (4) the vote is in the audit chain, word for word. A row that somebody writes into the table opens nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from adapters.approvals.base import ApprovalsPort
from adapters.audit.base import AuditPort
from domain.access import Caller
from domain.approval import ApprovalRequest, Proof, Quorum, Vote, VoteAnswer
from domain.canonical import canonical_hash
from domain.clock import Clock
from domain.errors import AuditUnavailable, ConflictError, DependencyUnavailable, InvalidInput
from domain.events import Event, Observer, nobody
from domain.people import People, Person, same
from domain.receipt import AuditEntry, RecordKind
from tools.signatures import signed, verified

VOTE = "approval_vote"
"""Status of the note in the audit chain that a vote counts by."""


class Voters(Protocol):
    """The accounts of the service that may decide."""

    def voter(self, account: str) -> Person | None:
        """Return the person of an account that is not disabled and may decide, with its roles; else None.

        Raises:
            DependencyError: it cannot be found out.
        """
        ...

    def all(self) -> Sequence[Person]:
        """Return everybody of whom `voter` would say so."""
        ...


class NoVoters:
    """There is no service: nobody votes in a session of it."""

    def voter(self, account: str) -> Person | None:
        return None

    def all(self) -> Sequence[Person]:
        return ()


class Ballots:
    """Takes votes and counts them; `voters` are the accounts of the service, whose people may be none of `people`."""

    def __init__(
        self,
        store: ApprovalsPort,
        audit: AuditPort,
        clock: Clock,
        people: People,
        observer: Observer = nobody,
        voters: Voters | None = None,
    ) -> None:
        self.store = store
        self.people = people
        self.voters: Voters = voters or NoVoters()
        self._audit = audit
        self._clock = clock
        self._observer = observer

    def vote(
        self,
        identity: str,
        name: str,
        answer: VoteAnswer,
        reason: str = "",
        *,
        account: str = "",
        key: bytes | None = None,
        seen: str = "",
        caller: Caller | None = None,
    ) -> ApprovalRequest:
        """Add a person's vote, and return the request with it.

        Args:
            account: who runs the command, as the operating system knows them.
            key: the person's private key, where votes have to be signed.
            seen: SHA-256 of the change as it was shown.
            caller: whose session or token of the service this is; it stands in place of `account` and `key`.

        Raises:
            InvalidInput: the person is not known, lacks the role or the proof, or gave no reason for a denial.
            ConflictError: it is decided already, or this person may not decide it.
            DependencyError, AuditUnavailable: the vote could not be kept; it does not count.
        """
        request = self.store.request(identity)
        if request is None:
            raise InvalidInput("approval", f"there is no request {identity}", "See `evercrew approvals list --all`")
        person = self._able(name, request.binding.quorum)
        if request.proposed_by(person.name) or any(request.proposed_by(user) for user in person.os_users):
            raise ConflictError(f"{person.name} proposed {request.id} and cannot decide it; somebody else has to")
        if answer is VoteAnswer.DENY and not reason.strip():
            raise InvalidInput("reason", "a denial says why: the crew reads it", "Add --reason")
        vote = Vote(
            person=person.name,
            answer=answer,
            at=self._clock.now(),
            reason=reason.strip(),
            seen=seen,
            proof=Proof(how="os_user", who=account),
        )
        if caller is None:
            proof = proof_of(person, account, key, vote.statement(request.binding))
        else:
            proof = self._by_session(person, caller)
        after = self.store.vote(identity, vote.model_copy(update={"proof": proof}))
        kept = next(v for v in after.votes if v.person == person.name)
        self.note(after, kept)
        self.tell(after, answer.value, reason, person.name)
        return after

    def counting(self, request: ApprovalRequest) -> tuple[Vote, ...]:
        """Return the approving votes that count, one a person; see the module's text.

        Raises:
            AuditUnavailable, DependencyError: it cannot be found out.
        """
        noted = self.noted(request)
        return tuple(
            vote
            for vote in request.approving
            if canonical_hash(vote) in noted and not request.proposed_by(vote.person) and self._counts(vote, request)
        )

    def standing(self, request: ApprovalRequest) -> str:
        """Return how many have to decide, and how many have, in words."""
        quorum = request.binding.quorum
        return f"{len(request.approving)} of {quorum.need} approvals ({quorum}) for {request.id}"

    def able(self, quorum: Quorum) -> tuple[Person, ...]:
        """Return everybody who could decide under a rule, by name."""
        others = (p for p in self.voters.all() if self._stands_alone(p.name) and set(p.roles) & set(quorum.of))
        return tuple(sorted((*self.people.holding(quorum.of), *others), key=lambda person: person.name))

    def _able(self, name: str, quorum: Quorum) -> Person:
        person = self._person(name)
        if not set(person.roles) & set(quorum.of):
            able = ", ".join(p.name for p in self.able(quorum)) or "nobody yet: see section `people`"
            raise InvalidInput("as", f"{person.name} holds none of the roles {', '.join(quorum.of)}", f"Ask {able}")
        return person

    def _person(self, name: str) -> Person:
        """Return who is called so: one of the people, else whoever an account of the service stands for."""
        if not self.people.knows(name) and self._stands_alone(name):
            by_account = self.voters.voter(name)
            if by_account is not None:
                return by_account
        return self.people.named(name)

    def _stands_alone(self, name: str) -> bool:
        """Whether nobody of the people is called so, or has such an account, who could decide twice."""
        return not self.people.knows(name) and self.people.with_os_user(name) is None

    def _by_session(self, person: Person, caller: Caller) -> Proof:
        """Return the proof by a session of the service.

        Raises:
            InvalidInput: it is none: of somebody else, of a machine, of who has to sign, or of who may not decide.
        """
        if caller.person is None or same(caller.person) != same(person.name):
            raise InvalidInput("as", f"{caller.name} is not {person.name}", "Sign in as who decides")
        if person.public_key:
            remedy = "Use `evercrew approvals approve --key FILE`"
            raise InvalidInput("key", f"{person.name} has a key and has to sign with it", remedy)
        if self.voters.voter(caller.name) is None:
            raise InvalidInput("as", f"the account {caller.name} may not decide", "Ask an admin for the role approver")
        return Proof(how="session", who=caller.name)

    def _counts(self, vote: Vote, request: ApprovalRequest) -> bool:
        try:
            person = self._able(vote.person, request.binding.quorum)
        except InvalidInput:
            return False
        if person.public_key:
            return verified(person.public_key, vote.statement(request.binding), vote.proof.signature)
        if vote.proof.how == "session":
            return same(vote.proof.who) == same(person.name) and self.voters.voter(vote.proof.who) is not None
        return vote.proof.how == "os_user" and vote.proof.who in person.os_users

    def note(self, request: ApprovalRequest, vote: Vote) -> None:
        bound = request.binding
        entry = AuditEntry(
            kind=RecordKind.NOTE,
            cycle_id=bound.cycle_id,
            stage=bound.stage,
            tool=bound.tool,
            actor=vote.person,
            args_hash=bound.args_hash,
            policy_hash=bound.policy_hash,
            decision=vote.answer.value,
            status=VOTE,
            body={"approval": request.id, "vote": vote.model_dump(mode="json"), "vote_hash": canonical_hash(vote)},
        )
        try:
            self._audit.append(entry)
        except AuditUnavailable as problem:
            raise DependencyUnavailable("audit", f"the vote does not count: {problem}", "Vote again") from problem

    def noted(self, request: ApprovalRequest) -> frozenset[str]:
        records = (r.entry for r in self._audit.records(request.binding.cycle_id))
        mine = (e.body for e in records if e.status == VOTE and e.body.get("approval") == request.id)
        return frozenset(str(body["vote_hash"]) for body in mine)

    def tell(self, request: ApprovalRequest, answer: str, reason: str, who: str = "") -> None:
        """Tell whoever looks on that it was ``asked``, or that somebody answered ``approve`` or ``deny``."""
        bound = request.binding
        said = {
            "asked": f"{bound.tool} waits for {bound.quorum}: {request.id}",
            "approve": f"{bound.tool} is approved by {who}: {len(request.approving)} of {bound.quorum.need}",
            "deny": f"{bound.tool} is denied by {who}: {reason}",
        }
        self._observer(
            Event(
                kind="approval",
                cycle_id=bound.cycle_id,
                stage=bound.stage,
                who=who or request.actor.role.value,
                what=said[answer],
                answer=answer,
                details={"approval": request.id, "tool": bound.tool, "reason": reason, "quorum": str(bound.quorum)},
            )
        )


def proof_of(person: Person, account: str, key: bytes | None, statement: bytes) -> Proof:
    """Return how a statement is known to be of a person: by the key, where the person has one, else by the account.

    Raises:
        InvalidInput: it is not known to be.
    """
    if person.public_key:
        if key is None:
            raise InvalidInput("key", f"{person.name} has a key and has to sign with it", "Add --key FILE")
        proof = Proof(how="signature", who=account, signature=signed(key, statement))
        if not verified(person.public_key, statement, proof.signature):
            raise InvalidInput("key", f"is not that of {person.name}", "See `public_key` in section `people`")
        return proof
    if account not in person.os_users:
        raise InvalidInput("as", f"the account {account} is none of {person.name}", "See `os_users` of the person")
    return Proof(how="os_user", who=account)
