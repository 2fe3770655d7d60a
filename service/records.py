"""What commands about rules need: store, rules and audit chain of a configuration, and none of the systems around it.

The kill switch must be thrown while everything else is down, a contract that cannot be read included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.audit.base import AuditPort
from adapters.database import Database
from adapters.rules.sqlalchemy import SqlRules
from adapters.store.base import StorePort
from cycles.rules import Rulebook
from cycles.switches import Switchboard
from domain.approval import Proof
from domain.clock import Clock, SystemClock
from domain.errors import InvalidInput
from domain.events import Observer
from policies.contract import Contract
from policies.flags import FlagSet
from policies.profiles import Profile
from service.config import Config

ACCOUNT = "account"
"""Beside what a command has changed: the account of the operating system that ran it, whoever was named."""
ADMIN = "admin"


@dataclass(frozen=True)
class Records:
    """What is kept of flags, switches and overrides."""

    config: Config
    profile: Profile
    clock: Clock
    store: StorePort
    audit: AuditPort
    rulebook: Rulebook

    @property
    def switchboard(self) -> Switchboard:
        """Where flags and kill switches are set."""
        return Switchboard(self.store, self.audit, self.clock)

    def flags(self) -> FlagSet:
        """Return the flags as they count now."""
        from cycles.switches import flags_of

        return flags_of(self.store, self.profile)


def proof_of_admin(config: Config, by: str, key: bytes | None, word: Mapping[str, Any]) -> Proof:
    """Return how it is known that an administrator of the configuration says so.

    Where the configuration names nobody, whoever may write its files is one, and the account is what is known of them.

    Raises:
        InvalidInput: `by` is nobody, no administrator, or did not prove to be who that is.
    """
    from domain.canonical import canonical_json
    from service.cli_approvals import account
    from service.consents import people_of
    from tools.ballots import proof_of

    people = people_of(config.people)
    if not len(people):
        return Proof(how="os_user", who=account())
    try:
        person = people.named(by)
        if ADMIN not in person.roles:
            raise InvalidInput("as", f"{person.name} is no {ADMIN}", f"Ask somebody with the role {ADMIN}")
        return proof_of(person, account(), key, canonical_json(word).encode())
    except InvalidInput as problem:
        field = "by" if problem.field == "as" else problem.field
        raise InvalidInput(field, problem.problem, problem.remedy) from None


def rulebook_of(
    database: Database,
    rules: Callable[[], Contract],
    audit: AuditPort,
    clock: Clock,
    profile: Profile,
    observer: Observer,
) -> Rulebook:
    """Return the rulebook of an environment, on a database; `rules` returns the contract as its file stands now."""
    return Rulebook(SqlRules(database), rules, audit, clock, environment=profile.name, observer=observer)


@contextmanager
def records_of(config: Path | None) -> Iterator[Records]:
    """Open them, and close them at the end.

    Raises:
        ConfigurationError: the file cannot be used.
        DependencyError, AuditUnavailable: store or chain cannot be reached.
    """
    from domain.events import nobody
    from service.auditing import audit_of
    from service.config import load_config
    from service.contracts import contract_of
    from service.database import database_of, store_of
    from service.profile import profile_of
    from service.settings import load

    settings = load()
    loaded = load_config(config or settings.config)
    clock = SystemClock()
    with ExitStack() as closing:
        profile = profile_of(loaded)
        audit = audit_of(loaded, clock, closing, key=settings.audit_key)
        database = database_of(loaded, closing)
        book = rulebook_of(database, lambda: contract_of(loaded, profile), audit, clock, profile, nobody)
        yield Records(loaded, profile, clock, store_of(database), audit, book)
