"""A desk in memory under a clock that stands still, and the real policy set; hashes cost next to nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.accounts.keys import AccessKeys, GivenKeys
from adapters.accounts.memory import MemoryAccounts
from adapters.accounts.oidc import OidcProvider
from adapters.accounts.passwords import Cost, Passwords
from adapters.audit.memory import MemoryAudit
from domain.access import AccessRole, Caller
from domain.clock import FrozenClock
from domain.errors import AuditUnavailable
from domain.receipt import AuditEntry, AuditRecord
from policies.access import AccessPoint
from policies.packaged import packaged_policy_files
from policies.pdp import load_decision_point
from service.access.desk import access_on
from service.access_sections import AccessConfig

CHEAP = Cost(passes=1, memory_kib=8, lanes=1)
PASSWORD = "correct horse battery"
KEY = bytes(range(32))
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
VIEWER, OPERATOR, APPROVER, ADMIN = AccessRole


class FillingAudit(MemoryAudit):
    """A chain in memory whose disk may be full."""

    full = False

    def append(self, entry: AuditEntry) -> AuditRecord:
        """See `AuditPort.append`."""
        if self.full:
            raise AuditUnavailable("the disk is full")
        return super().append(entry)


class Rig:
    """A desk, and what it stands on."""

    def __init__(
        self,
        *,
        policies: AccessPoint | None = None,
        oidc: OidcProvider | None = None,
        clock: FrozenClock | None = None,
        keys: AccessKeys | None = None,
        **section: Any,
    ) -> None:
        self.clock = clock or FrozenClock()
        self.audit = FillingAudit(self.clock)
        self.accounts = MemoryAccounts()
        self.access = access_on(
            self.accounts,
            policies or load_decision_point(packaged_policy_files()),
            AccessConfig.model_validate(section),
            self.clock,
            self.audit,
            environment="dev",
            keys=GivenKeys(Ed25519PrivateKey.from_private_bytes(KEY)) if keys is None else keys,
            oidc=oidc,
            passwords=Passwords(CHEAP),
        )
        self.keeper = self.access.keeper
        self.credentials = self.access.credentials

    def add(self, name: str, *roles: AccessRole, **more: Any) -> str:
        """Let somebody in, and return the password, or the secret of a machine."""
        given = {} if more.get("machine") else {"password": PASSWORD}
        return self.keeper.add(name, roles or (VIEWER,), by="set-up", **{**given, **more})[1]

    def token(self, name: str, *scopes: str, lasts: timedelta = HOUR) -> str:
        """Return an API token of somebody's."""
        owner = self.accounts.account(name)
        assert owner is not None
        by = Caller(name=name, roles=owner.roles, via="local")
        return self.keeper.give_token(owner, "", scopes or ("view",), lasts, by=by)[1]

    def signed(self, name: str) -> str:
        """Return a signed token of somebody's."""
        owner = self.accounts.account(name)
        assert owner is not None
        return self.credentials.token_for(owner, None)[0]

    def notes(self) -> list[str]:
        """Return what the chain has, in order."""
        return [record.entry.status for record in self.audit.records()]
