"""What calls cost, at the door: set aside before, settled after, charged where nobody can say what it was.

An effect is set aside under its key, and made again under it after a crash. A read leaves nothing to find, so each
reading is set aside under a key of its own: one whose process died is charged in full.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from domain.budget import Amounts
from domain.canonical import json_ready
from domain.errors import BudgetExhausted, DependencyError, InvalidInput
from tools.ask import Budget
from tools.records import Admitted

READ = "read/"
SPENT = "spent"


class Spending:
    """The door's purse."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def aside(self, call: Admitted) -> str | None:
        """Set aside what a call may cost under its key; return why that cannot be, or None."""
        return None if call.price.nothing else self._reserved(call.call.key, call)

    def read(self, call: Admitted) -> tuple[str, str | None]:
        """Set aside what a reading may cost; return the key of this one, empty where it is free, and the refusal."""
        if call.price.nothing:
            return "", None
        key = f"{READ}{call.call.key}/{secrets.token_hex(6)}"
        return key, self._reserved(key, call)

    def was_read(self, key: str, call: Admitted, result: BaseModel | None, seconds: float) -> None:
        """Settle a reading, by its result, or where it failed by how long it took."""
        if key:
            spent = self.lost(call, seconds) if result is None else _spent(call, result)
            self._budget.settle(key, spent)

    def told(self, call: Admitted, result: BaseModel) -> dict[str, Any]:
        """Return what the record of an effect says of its cost: nothing where it is free."""
        return {} if call.price.nothing else _plain(_spent(call, result))

    def told_lost(self, call: Admitted, seconds: float) -> dict[str, Any]:
        """Return what the record of a failure says of its cost."""
        return {} if call.price.nothing else _plain(self.lost(call, seconds))

    def settle(self, call: Admitted, body: Mapping[str, Any]) -> None:
        """Settle an effect by its record; one that says nothing of its cost is charged in full."""
        if call.price.nothing:
            return
        amounts = Amounts.model_validate(body[SPENT]) if SPENT in body else call.price
        if amounts.nothing:
            self._budget.release(call.call.key)
        else:
            self._budget.settle(call.call.key, amounts)

    def release(self, call: Admitted) -> None:
        """Give back what was set aside: nothing happened."""
        if not call.price.nothing:
            self._budget.release(call.call.key)

    def lost(self, call: Admitted, seconds: float) -> Amounts:
        """Return what a failed call cost, which is no more than it was allowed to."""
        amounts: Amounts = call.tool.lost(call.args, max(seconds, 0.0))
        return amounts.at_most(call.price)

    def _reserved(self, key: str, call: Admitted) -> str | None:
        try:
            self._budget.reserve(key, call.call.scope, call.price)
        except (BudgetExhausted, DependencyError, InvalidInput) as problem:
            return str(problem)
        return None


def _spent(call: Admitted, result: BaseModel) -> Amounts:
    """Return what a call cost by its result; one that tells no amount has cost all it was allowed to."""
    try:
        amounts: Amounts = call.tool.spent(call.args, result)
    except InvalidInput:
        return call.price
    return amounts


def _plain(amounts: Amounts) -> dict[str, Any]:
    return {SPENT: json_ready(amounts.model_dump(exclude_defaults=True))}
