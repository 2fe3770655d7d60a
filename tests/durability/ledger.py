"""The real ledger, whose process dies where money is set aside or settled; points are

set aside in STAGE     it is in the ledger that a call may cost something, and nothing else is
settled in STAGE       what the call cost is in the ledger
unsettled in STAGE     the outcome is on disk, and the ledger does not know of it
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.database import Database
from adapters.ledger.base import Account, Moved
from adapters.ledger.sqlalchemy import SqlLedger
from domain.budget import Amounts
from domain.clock import Clock
from tests.durability.mortal import Reaper


class MortalLedger(SqlLedger):
    """A `SqlLedger` that knows the reaper."""

    def __init__(self, database: Database, clock: Clock, reaper: Reaper) -> None:
        super().__init__(database, clock)
        self._reaper = reaper

    def reserve(
        self, key: str, accounts: Sequence[Account], amounts: Amounts, *, holder: str = "", about: str = ""
    ) -> Moved:
        """See `LedgerPort.reserve`."""
        moved = super().reserve(key, accounts, amounts, holder=holder, about=about)
        self._reaper.passes(f"set aside in {about.rsplit(' ', 1)[-1]}")
        return moved

    def settle(self, key: str, spent: Amounts | None = None, *, about: str = "") -> Moved:
        """See `LedgerPort.settle`."""
        held = self.reservation(key)
        stage = held.about.rsplit(" ", 1)[-1] if held is not None else ""
        self._reaper.passes(f"unsettled in {stage}")
        moved = super().settle(key, spent, about=about)
        self._reaper.passes(f"settled in {stage}")
        return moved
