"""The rulebook: the contract with the overrides that are in force, and how they are added, ended and seen to expire.

Every change is on the audit record before it is made. While it cannot be found out what is in force, nothing is
judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from adapters.audit.base import AuditPort
from adapters.rules.base import RulesPort
from domain.approval import Proof
from domain.canonical import json_ready
from domain.clock import Clock
from domain.errors import InvalidInput
from domain.events import Event, Observer, nobody
from domain.override import Override
from domain.receipt import AuditEntry, RecordKind
from policies.contract import Contract
from policies.overrides import applied, checked


class Rulebook:
    """The rules of one environment; `live` returns the contract as its file stands now, where that may change.

    A contract that is a callable is asked for where something is judged, and not before.
    """

    def __init__(
        self,
        rules: RulesPort,
        contract: Contract | Callable[[], Contract],
        audit: AuditPort,
        clock: Clock,
        *,
        environment: str,
        observer: Observer = nobody,
        live: Callable[[], Contract] | None = None,
    ) -> None:
        self._rules = rules
        self._base: Callable[[], Contract] = live or _asked(contract)
        self._audit = audit
        self._clock = clock
        self._environment = environment
        self._observer = observer

    def in_force(self) -> tuple[Override, ...]:
        """Return the overrides that count now; one that has expired since is put on record.

        Raises:
            DependencyError: it cannot be found out.
        """
        now = self._clock.now()
        for over in self._rules.unseen(now):
            if self._rules.see_expiry(over.id):
                self._note(over, "override_expired", actor="engine")
        return tuple(self._rules.overrides(environment=self._environment, in_force_at=now))

    def contract(self) -> Contract:
        """Return the contract as it counts now.

        Raises:
            DependencyError: it cannot be found out.
        """
        return applied(self._base(), self.in_force())

    def listed(self) -> Sequence[Override]:
        """Return every override of the environment, also those that are over."""
        return self._rules.overrides(environment=self._environment)

    def add(self, override: Override, proof: Proof | None = None) -> Override:
        """Put an override in force; `proof` is how it is known who says so, where that was asked for.

        Raises:
            InvalidInput: it cannot be; names the field and the remedy.
        """
        checked(self._base(), override)
        self._note(override, "override_added", actor=override.by, proof=proof)
        self._rules.add(override)
        return override

    def end(self, override_id: str, *, by: str, reason: str, proof: Proof | None = None) -> Override:
        """End an override before its time.

        Raises:
            InvalidInput: there is none, or it is over.
        """
        if override_id not in [known.id for known in self._rules.overrides()]:
            raise InvalidInput("override", f"{override_id} is not an override", "See `evercrew overrides list --all`")
        entry = AuditEntry(
            kind=RecordKind.NOTE,
            cycle_id="",
            actor=by,
            status="override_ended",
            body={"override": override_id, "reason": reason, **_told(proof)},
        )
        self._audit.append(entry)
        return self._rules.end(override_id, by=by, at=self._clock.now())

    def _note(self, override: Override, status: str, *, actor: str, proof: Proof | None = None) -> None:
        body = {**json_ready(override.model_dump(mode="json")), **_told(proof)}
        self._audit.append(AuditEntry(kind=RecordKind.NOTE, cycle_id="", actor=actor, status=status, body=body))
        self._observer(Event(kind="note", cycle_id="", what=f"{status.replace('_', ' ')}: {override.said()}"))


def _asked(contract: Contract | Callable[[], Contract]) -> Callable[[], Contract]:
    if isinstance(contract, Contract):
        return lambda: contract
    return contract


def _told(proof: Proof | None) -> dict[str, Any]:
    return {} if proof is None else {"proof": proof.model_dump(mode="json")}
