"""What commands about rules need: store, rules and audit chain of a configuration, and none of the systems around it.

The kill switch must be thrown while everything else is down.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.audit.base import AuditPort
from adapters.database import Database
from adapters.rules.sqlalchemy import SqlRules
from adapters.store.base import StorePort
from cycles.rules import Rulebook
from cycles.switches import Switchboard
from domain.clock import Clock, SystemClock
from domain.events import Observer
from policies.contract import Contract, load_contract
from policies.flags import FlagSet
from policies.packaged import packaged_contract
from policies.profiles import Profile
from service.config import Config


@dataclass(frozen=True)
class Records:
    """What is kept of flags, switches and overrides."""

    config: Config
    profile: Profile
    contract: Contract
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


def rulebook_of(
    database: Database, contract: Contract, audit: AuditPort, clock: Clock, profile: Profile, observer: Observer
) -> Rulebook:
    """Return the rulebook of an environment, on a database."""
    return Rulebook(SqlRules(database), contract, audit, clock, environment=profile.name, observer=observer)


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
    from service.database import database_of, store_of
    from service.profile import profile_of
    from service.settings import load

    settings = load()
    loaded = load_config(config or settings.config)
    clock = SystemClock()
    with ExitStack() as closing:
        profile = profile_of(loaded)
        contract = load_contract(packaged_contract()).with_overrides(profile.signals)
        audit = audit_of(loaded, clock, closing, key=settings.audit_key)
        database = database_of(loaded, closing)
        book = rulebook_of(database, contract, audit, clock, profile, nobody)
        yield Records(loaded, profile, contract, clock, store_of(database), audit, book)
