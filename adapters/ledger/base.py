"""The ledger port: what is set aside before it is spent, and what was spent.

Contract: every account holds two sums, `reserved` and `spent`, in whole numbers, and a reservation moves the same
amounts in all of its accounts or in none. A reservation that would take any of them beyond its ceiling is refused and
changes nothing, so that as long as nothing costs more than was set aside for it, reserved and spent together never
exceed a ceiling, whoever reserves at the same time, in whichever thread, process or machine. What did cost more is
counted all the same: it is gone.

A key is open from `reserve` to `settle` or `release`, and may be opened again: what was spent under it adds up.
Everything can be said twice. The same `reserve` again leaves one reservation, for the amounts that were said last;
`settle` and `release` of what is settled change nothing, and so does either for a key that nobody knows. What was
released and is settled after all did happen, and is counted. Nothing is ever given back by the passing of time.

Every change of an account is an entry, and never changed: its entries add up to its sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from domain.budget import KINDS, Amounts, Ceiling, amount_said
from domain.errors import BudgetExhausted

_NAME = r"^[^\s]{1,200}$"


class Account(BaseModel):
    """What is drawn on: its name, its ceiling as it is today, and the share of it that raises the alarm, once."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(pattern=_NAME)
    ceiling: Ceiling = Ceiling()
    alarm: float | None = Field(default=None, gt=0, le=1)


class Standing(BaseModel):
    """How an account stands. `alarmed` is when its alarm was raised; `updated_at` when it was last drawn on."""

    model_config = ConfigDict(frozen=True)

    name: str
    ceiling: Ceiling
    reserved: Amounts
    spent: Amounts
    alarmed: datetime | None = None
    updated_at: datetime

    @property
    def used(self) -> Amounts:
        """Return what is gone or promised."""
        return self.reserved.plus(self.spent)

    @property
    def left(self) -> Ceiling:
        """Return what there is left of every kind that is limited; nothing where more is gone than there was."""
        limits = {kind: self.ceiling.of(kind) for kind in KINDS}
        used = self.used
        return Ceiling(**{k: None if limit is None else max(limit - used.of(k), 0) for k, limit in limits.items()})

    def share(self) -> float:
        """Return the largest share of a ceiling that is gone; what is only promised does not count."""
        limits = ((self.spent.of(kind), self.ceiling.of(kind)) for kind in KINDS)
        return max((spent / limit for spent, limit in limits if limit), default=0.0)


class State(StrEnum):
    """How a reservation stands."""

    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"


class Reservation(BaseModel):
    """What is known under a key.

    `reserved` is what is set aside now, `spent` what was spent under the key so far; `holder` is the process that
    reserved last, and `about` what for, in words.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    accounts: tuple[str, ...]
    state: State
    reserved: Amounts
    spent: Amounts
    holder: str
    about: str
    opened_at: datetime
    updated_at: datetime


class EntryKind(StrEnum):
    """What happened to an account. A refusal and an alarm move nothing."""

    RESERVE = "reserve"
    SETTLE = "settle"
    RELEASE = "release"
    REFUSE = "refuse"
    ALARM = "alarm"


class Entry(BaseModel):
    """One line of an account. `reserved` and `spent` are what it changed, by kind; `about` says what for, or why."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    at: datetime
    account: str
    key: str
    kind: EntryKind
    reserved: dict[str, int]
    spent: dict[str, int]
    about: str


class Moved(BaseModel):
    """What a call changed: nothing where it was said before. `alarms` are the accounts whose alarm it raised."""

    model_config = ConfigDict(frozen=True)

    changed: bool
    alarms: tuple[Standing, ...] = ()


class LedgerPort(Protocol):
    """Keeps the accounts."""

    def reserve(
        self, key: str, accounts: Sequence[Account], amounts: Amounts, *, holder: str = "", about: str = ""
    ) -> Moved:
        """Set `amounts` aside in every account.

        Raises:
            BudgetExhausted: an account has not so much left; names it, what is needed and what is left.
            InvalidInput: the key is no key, or there are no accounts.
            DependencyError: the ledger cannot be reached; nothing was set aside.
        """
        ...

    def settle(self, key: str, spent: Amounts | None = None, *, about: str = "") -> Moved:
        """Turn what is set aside under `key` into what was spent; None is all of it.

        Raises:
            DependencyError: the ledger cannot be reached; it stays set aside.
        """
        ...

    def release(self, key: str, *, about: str = "") -> Moved:
        """Give back what is set aside under `key`.

        Raises:
            DependencyError: the ledger cannot be reached; it stays set aside.
        """
        ...

    def reservation(self, key: str) -> Reservation | None:
        """Return what is known under a key, or None."""
        ...

    def open_reservations(self, account: str | None = None) -> Sequence[Reservation]:
        """Return what is set aside now, in an account or in all, oldest first."""
        ...

    def account(self, name: str) -> Standing | None:
        """Return how an account stands; None when nothing was ever asked of it."""
        ...

    def accounts(self, prefix: str = "") -> Sequence[Standing]:
        """Return the accounts whose name starts so, by name."""
        ...

    def entries(self, account: str | None = None, *, key: str | None = None, limit: int = 100) -> Sequence[Entry]:
        """Return the newest entries, of an account, of a key, or all, oldest first."""
        ...

    def faults(self) -> Sequence[str]:
        """Return what does not add up, in sentences: entries against sums, and sums against what is set aside."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError; one that does not add up is a `DependencyLied`."""
        ...


def refused(account: Account, standing: Standing | None, needed: Amounts) -> BudgetExhausted | None:
    """Return the refusal where the account has not so much left."""
    used = standing.used if standing is not None else Amounts()
    over = account.ceiling.exceeded_by(used.plus(needed))
    # What is not asked for cannot be refused: an account that is overdrawn still lends what it has of other kinds.
    short = [kind for kind in over if needed.of(kind)]
    if not short:
        return None
    kind = short[0]
    limit = account.ceiling.of(kind) or 0
    return BudgetExhausted(
        f"the budget of {account.name} does not reach: {amount_said(kind, needed.of(kind))} needed, "
        f"{amount_said(kind, max(limit - used.of(kind), 0))} left of {amount_said(kind, limit)}"
    )


def alarming(alarm: float | None, standing: Standing) -> bool:
    """Whether the alarm of an account is due: its share is gone, and it was not raised before."""
    return alarm is not None and standing.alarmed is None and standing.share() >= alarm
