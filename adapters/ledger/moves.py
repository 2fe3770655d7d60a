"""What a call changes, worked out from what is known: every ledger books these moves, so that all mean the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.ledger.base import Account, EntryKind, Reservation, Standing, State, refused
from domain.budget import KINDS, Amounts
from domain.errors import InvalidInput

_KEY = re.compile(r"^[^\s]{1,200}$")
Delta = Mapping[str, int]


@dataclass(frozen=True)
class Move:
    """One entry in each of `accounts`, and by how much it changes their sums."""

    kind: EntryKind
    accounts: tuple[str, ...]
    reserved: Delta
    spent: Delta
    about: str


@dataclass(frozen=True)
class Change:
    """The moves of a call, and what is known under its key afterwards."""

    moves: tuple[Move, ...]
    after: Reservation


def check_request(key: str, accounts: Sequence[Account]) -> None:
    """Return when key and accounts can be used.

    Raises:
        InvalidInput: they cannot.
    """
    if not _KEY.match(key):
        raise InvalidInput("key", f"{key[:40]!r} is no key", "Give up to 200 characters without white space")
    names = [account.name for account in accounts]
    if not names or len(set(names)) != len(names):
        raise InvalidInput("accounts", f"{names} cannot be drawn on", "Name at least one account, and each once")


def reserving(
    known: Reservation | None,
    key: str,
    accounts: Sequence[Account],
    standings: Mapping[str, Standing],
    amounts: Amounts,
    *,
    holder: str,
    about: str,
    at: datetime,
) -> Change | None:
    """Return what a reservation changes; None when it is there already.

    Raises:
        BudgetExhausted: an account has not so much left beside what others have set aside.
    """
    names = tuple(sorted(account.name for account in accounts))
    held = known is not None and known.state is State.OPEN
    before = known.reserved if known is not None and held else Amounts()
    same = known is not None and held and known.accounts == names
    if same and known is not None and before == amounts and known.holder == holder:
        return None
    for account in accounts:
        mine = before if same else Amounts()
        standing = standings.get(account.name)
        others = None if standing is None else standing.model_copy(update={"reserved": standing.reserved.minus(mine)})
        problem = refused(account, others, amounts)
        if problem is not None:
            raise problem
    moves = []
    if known is not None and held and not same:
        moves.append(Move(EntryKind.RELEASE, known.accounts, _delta(before, -1), {}, "set aside elsewhere"))
        before = Amounts()
    moves.append(Move(EntryKind.RESERVE, names, _difference(amounts, before), {}, about))
    return Change(
        tuple(moves),
        Reservation(
            key=key,
            accounts=names,
            state=State.OPEN,
            reserved=amounts,
            spent=known.spent if known is not None else Amounts(),
            holder=holder,
            about=about,
            opened_at=known.opened_at if known is not None and held else at,
            updated_at=at,
        ),
    )


def settling(known: Reservation | None, spent: Amounts | None, *, about: str, at: datetime) -> Change | None:
    """Return what settling changes; None when there is nothing to settle."""
    if known is None or known.state is State.SETTLED:
        return None
    held = known.reserved if known.state is State.OPEN else Amounts()
    amount = held if spent is None else spent
    if known.state is State.RELEASED and amount.nothing:
        return None
    after = known.model_copy(
        update={"state": State.SETTLED, "reserved": Amounts(), "spent": known.spent.plus(amount), "updated_at": at}
    )
    move = Move(EntryKind.SETTLE, known.accounts, _delta(held, -1), _delta(amount, 1), about or known.about)
    return Change((move,), after)


def releasing(known: Reservation | None, *, about: str, at: datetime) -> Change | None:
    """Return what releasing changes; None when nothing is set aside."""
    if known is None or known.state is not State.OPEN:
        return None
    after = known.model_copy(update={"state": State.RELEASED, "reserved": Amounts(), "updated_at": at})
    move = Move(EntryKind.RELEASE, known.accounts, _delta(known.reserved, -1), {}, about or known.about)
    return Change((move,), after)


def moved(amounts: Amounts, delta: Delta) -> Amounts:
    """Return the sum after a move."""
    return Amounts(**{kind: amounts.of(kind) + delta.get(kind, 0) for kind in KINDS})


def _delta(amounts: Amounts, sign: int) -> dict[str, int]:
    return {kind: sign * amounts.of(kind) for kind in KINDS if amounts.of(kind)}


def _difference(amounts: Amounts, before: Amounts) -> dict[str, int]:
    changes = {kind: amounts.of(kind) - before.of(kind) for kind in KINDS}
    return {kind: change for kind, change in changes.items() if change}
