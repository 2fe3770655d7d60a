"""A promotion that needs a person: a real gate, the packaged policies, and everything else as it should be."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from adapters.audit.memory import MemoryAudit
from domain.actor import Actor, Role
from domain.approval import ApprovalRequest, VoteAnswer
from domain.clock import FrozenClock
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.people import People
from domain.stage import Stage
from evals.simulated_jobs import bundle_of, digest_of
from policies.profiles import Profile
from tests.support.meddling import flag
from tests.support.office import Rig, office_in_memory
from tests.support.setting import MODEL, profile
from tests.support.story import opened
from tests.support.strays import SKILL, stray
from tools.ballots import Ballots
from tools.consent import Consent
from tools.outcome import Outcome, Refused

NAME = "asked"


def _digest() -> str:
    with TemporaryDirectory() as folder:
        return digest_of(bundle_of(Path(folder), NAME, SKILL))


DIGEST = _digest()
ACTOR = Actor(role=Role.DEVOPS_ENGINEER)
WANTED = {"name": MODEL, "version": "2", "digest": DIGEST}
PASSED = {"verdict_evaluate": "pass", "verdict_ab": "pass"}


def profile_with(**approvals: Any) -> Profile:
    """Return the profile of tests with other rules of who decides."""
    return Profile.model_validate({**profile().model_dump(mode="json"), "approvals": approvals})


class Asking:
    """One cycle in `promote`, and the call it makes; `rig` is the office."""

    def __init__(self, folder: Path, **wiring: Any) -> None:
        self.clock = FrozenClock()
        self.audit = wiring.pop("audit", None) or MemoryAudit(self.clock)
        self.rig: Rig = office_in_memory(folder, Action.RETRAIN, clock=self.clock, audit=self.audit, **wiring)
        assert stray(self.rig, folder / NAME, NAME).version == WANTED["version"]
        flag(self.rig, "auto_promote", False)
        self.cycle: Cycle = opened(self.rig, Action.RETRAIN, Stage.PROMOTE, PASSED.items())

    @property
    def consent(self) -> Consent:
        """The consent the gate asks."""
        return self.rig.office.consent

    def call(self, actor: Actor = ACTOR, place: str = "") -> Outcome:
        """Ask for the promotion."""
        return self.rig.gate.call("promote", WANTED, actor, self.rig.desk(self.cycle).scope, place=place)

    def asked(self) -> ApprovalRequest:
        """Ask for it, be refused, and return the request that people see."""
        outcome = self.call()
        assert isinstance(outcome, Refused), outcome
        assert outcome.kind == "escalate", outcome
        return self.newest()

    def newest(self) -> ApprovalRequest:
        """Return the newest request; no two are made at one moment."""
        self.clock.advance(timedelta(seconds=1))
        return self.consent.store.requests()[0]

    def approve(self, request: ApprovalRequest, person: str = "Ann", **how: Any) -> ApprovalRequest:
        """Let a person approve it, from the person's own account."""
        given = {"account": person.casefold(), **how}
        return self.consent.ballots.vote(request.id, person, VoteAnswer.APPROVE, **given)

    def with_people(self, people: People) -> None:
        """Put other people in place of those who were there."""
        rules = self.consent.rules
        object.__setattr__(rules, "people", people)
        ballots = self.consent.ballots
        self.consent.ballots = Ballots(ballots.store, self.audit, self.clock, people)

    @property
    def promotions(self) -> int:
        """How many promotions the values have seen."""
        return sum("Promote" in commit.message for commit in self.rig.ports.vcs.history(50))


def refused(outcome: Outcome, kind: str = "escalate") -> Refused:
    """Return the refusal that an outcome has to be."""
    assert isinstance(outcome, Refused), outcome
    assert outcome.kind == kind, outcome
    return outcome
