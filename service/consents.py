"""Wiring of consent: the people of the configuration, the rules of the profile, and the store they meet in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.accounts.base import Account, AccountsPort
from adapters.approvals.base import ApprovalsPort
from adapters.audit.base import AuditPort
from adapters.store.base import StorePort
from cycles.approvals import opened_by
from domain.access import AccessRole, person_of, with_included
from domain.approval import Quorum
from domain.clock import Clock
from domain.errors import ConfigurationError
from domain.events import Observer, nobody
from domain.people import People, Person
from policies.profiles import Profile
from service.sections import PersonConfig
from tools.ballots import NoVoters
from tools.consent import Consent, Decider, Rules, contract_only


class AccountVoters:
    """The accounts of the service as voters: people, not machines, with the role approver or admin, not shut out."""

    def __init__(self, accounts: AccountsPort) -> None:
        self._accounts = accounts

    def voter(self, account: str) -> Person | None:
        """See `Voters.voter`."""
        found = self._accounts.account(account)
        return None if found is None else _voter(found)

    def all(self) -> Sequence[Person]:
        """See `Voters.all`."""
        return [person for each in self._accounts.accounts() if (person := _voter(each)) is not None]


def _voter(account: Account) -> Person | None:
    may = AccessRole.APPROVER in with_included(account.roles) and account.is_person and not account.disabled
    return person_of(account.name, account.roles) if may else None


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
    accounts: AccountsPort | None = None,
) -> Consent:
    """Return the consent of these people, and of the accounts of the service, under this profile."""
    rules = Rules(
        people=people,
        quorum=profile.approvals.quorum,
        lasts=profile.poll.approval_timeout,
        opened_by=opened_by(store),
        stand_in=f"profile {profile.name}" if profile.approver == "profile" else "",
        stands=contract_only(pdp),
        voters=NoVoters() if accounts is None else AccountVoters(accounts),
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
        able = len(consent.ballots.able(quorum))
        if able < quorum.need and profile.approver == "person":
            problem = f"{quorum} have to decide in {profile.name}, and {able} of the people hold such a role"
            raise ConfigurationError("people", problem, "Add them to section `people`: see docs/approvals.md")
    return f"{consent.store.check()}; {len(people)} people; {'; '.join(dict.fromkeys(map(str, rules)))}"
