"""Wiring of consent: the people of the configuration, the rules of the profile, and the store they meet in."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.approvals.base import ApprovalsPort
from adapters.audit.base import AuditPort
from adapters.store.base import StorePort
from cycles.approvals import opened_by
from domain.approval import Quorum
from domain.clock import Clock
from domain.errors import ConfigurationError
from domain.events import Observer, nobody
from domain.people import People, Person
from policies.profiles import Profile
from service.sections import PersonConfig
from tools.consent import Consent, Decider, Rules, contract_only


def people_of(section: Mapping[str, PersonConfig]) -> People:
    """Return the people of section `people`.

    Raises:
        ConfigurationError: two of them could be the same, or one is called like a part of Evercrew.
    """
    return People({name: Person(name=name, **person.model_dump()) for name, person in section.items()})


def consent_of(
    approvals: ApprovalsPort,
    *,
    people: People,
    profile: Profile,
    pdp: Decider,
    audit: AuditPort,
    store: StorePort,
    clock: Clock,
    observer: Observer = nobody,
) -> Consent:
    """Return the consent of these people under this profile."""
    rules = Rules(
        people=people,
        quorum=profile.approvals.quorum,
        lasts=profile.poll.approval_timeout,
        opened_by=opened_by(store),
        stand_in=f"profile {profile.name}" if profile.approver == "profile" else "",
        stands=contract_only(pdp),
    )
    return Consent(approvals, audit, clock, rules, observer)


def deciders(consent: Consent, profile: Profile) -> str:
    """Return in a line who can decide what is escalated, and what waits.

    Raises:
        ConfigurationError: a rule asks for more people than there are, so that nothing under it could ever be approved.
        DependencyError: the store cannot be asked.
    """
    people, approvals = consent.rules.people, profile.approvals
    default = Quorum(need=approvals.need, of=approvals.of)
    rules = [default, *(Quorum(need=rule.need, of=rule.of) for rule in approvals.rules)]
    for quorum in rules:
        able = len(people.holding(quorum.of))
        if able < quorum.need and profile.approver == "person":
            problem = f"{quorum} have to decide in {profile.name}, and {able} of the people hold such a role"
            raise ConfigurationError("people", problem, "Add them to section `people`: see docs/approvals.md")
    return f"{consent.store.check()}; {len(people)} people; {'; '.join(dict.fromkeys(map(str, rules)))}"
