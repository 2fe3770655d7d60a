"""The rulebook: the contract with the overrides that are in force, and how they are added, ended and seen to expire.

Every change is on the audit record before it is made. While it cannot be found out what is in force, nothing is
judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from adapters.audit.base import AuditPort
from adapters.rules.base import RulesPort
from domain.approval import Proof
from domain.canonical import json_ready
from domain.clock import Clock
from domain.events import Event, Observer, nobody
from domain.override import Override
from domain.receipt import AuditEntry, RecordKind
from policies.contract import Contract
from policies.overrides import applied, checked, misfit


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
        self._left_out: set[tuple[str, str]] = set()

    def in_force(self) -> tuple[Override, ...]:
        """Return the overrides whose time it is; one that has expired since is put on record.

        Not all of them count: see `counting`.

        Raises:
            DependencyError: it cannot be found out.
        """
        now = self._clock.now()
        for over in self._rules.unseen(now):
            if self._rules.see_expiry(over.id):
                self._note(over, "override_expired", actor="engine")
                self._tell(over, "override_expired")
        return tuple(self._rules.overrides(environment=self._environment, in_force_at=now))

    def counting(self) -> tuple[Override, ...]:
        """Return the overrides that count now. One that the contract, as it stands, leaves out is put on record.

        Raises:
            DependencyError: it cannot be found out.
        """
        contract, found = self._base(), self.in_force()
        left = {over.id: why for over in found if (why := misfit(contract, over))}
        for over in found:
            why = left.get(over.id, "")
            # Once for each process and reason: it is asked for with every judgement.
            if why and (over.id, why) not in self._left_out:
                self._note(over, "override_left_out", actor="engine", why=why)
                self._tell(over, "override_left_out", why)
                self._left_out.add((over.id, why))
        return tuple(over for over in found if over.id not in left)

    def left_out(self, override: Override) -> str:
        """Return why an override does not count by the contract as it stands, in words; nothing where it does."""
        return misfit(self._base(), override)

    def meant(self, override: Override) -> Override:
        """Return an override that is to be added with what its number means: the kind of its gate or limit, its unit.

        Raises:
            InvalidInput: it cannot be; names the field and the remedy.
        """
        return checked(self._base(), override)

    def contract(self) -> Contract:
        """Return the contract as it counts now.

        Raises:
            DependencyError: it cannot be found out.
        """
        return applied(self._base(), self.counting())

    def listed(self) -> Sequence[Override]:
        """Return every override of the environment, also those that are over."""
        return self._rules.overrides(environment=self._environment)

    def add(
        self, override: Override, proof: Proof | None = None, *, seen: Sequence[Override] | None = None
    ) -> Override:
        """Put an override in force; `proof` is how it is known who says so, where that was asked for.

        Args:
            seen: what `listed` said when this was decided; it has to stand still.

        Raises:
            InvalidInput: it cannot be; names the field and the remedy.
            ConflictError: other overrides are there; nothing was changed or put on record.
        """
        override = self.meant(override)
        noted = partial(self._note, override, "override_added", actor=override.by, proof=proof)
        self._rules.add(override, seen=seen, first=noted)
        self._tell(override, "override_added")
        return override

    def end(
        self, override_id: str, *, by: str, reason: str, proof: Proof | None = None, seen: Override | None = None
    ) -> Override:
        """End an override before its time; `seen` is what it was when this was decided, and has to be still.

        Raises:
            InvalidInput: there is none, or it has expired.
            ConflictError: it is not as it was seen; nothing was changed or put on record.
        """
        entry = AuditEntry(
            kind=RecordKind.NOTE,
            cycle_id="",
            actor=by,
            status="override_ended",
            body={"override": override_id, "reason": reason, **_told(proof)},
        )
        noted = partial(self._audit.append, entry)
        return self._rules.end(override_id, by=by, at=self._clock.now(), seen=seen, first=noted)

    def _note(self, override: Override, status: str, *, actor: str, proof: Proof | None = None, why: str = "") -> None:
        body = {**json_ready(override.model_dump(mode="json")), **_told(proof), **({"why": why} if why else {})}
        self._audit.append(AuditEntry(kind=RecordKind.NOTE, cycle_id="", actor=actor, status=status, body=body))

    def _tell(self, override: Override, status: str, why: str = "") -> None:
        said = f"{status.replace('_', ' ')}: {override.said()}{f'; it does not count: {why}' if why else ''}"
        self._observer(Event(kind="note", cycle_id="", what=said))


def _asked(contract: Contract | Callable[[], Contract]) -> Callable[[], Contract]:
    if isinstance(contract, Contract):
        return lambda: contract
    return contract


def _told(proof: Proof | None) -> dict[str, Any]:
    return {} if proof is None else {"proof": proof.model_dump(mode="json")}
