"""What may be spent and what was: the accounts of a budget as a page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from adapters.ledger.base import Standing
from domain.budget import KINDS, MICROS, Kind
from domain.cycle import Cycle
from service.wiring import App
from service.wording import dollars

_LABELS: dict[Kind, str] = {
    "usd_micros": "Money",
    "tokens": "Tokens",
    "gpu_seconds": "GPU minutes",
    "cycles": "Cycles",
}
_ORDER: tuple[Kind, ...] = ("usd_micros", "tokens", "gpu_seconds", "cycles")
NEARLY = 0.8
NO_LIMIT = "no limit"


@dataclass(frozen=True)
class Line:
    """One kind of one account; `spent` and `held` are shares (0-1) of the limit, None where there is no limit."""

    kind: Kind
    label: str
    said: str
    limit: str
    spent: float | None
    held: float
    tone: str
    used: bool = False
    amount: str = ""

    @property
    def spoken_spent(self) -> str:
        """What is gone of it, with its unit where the amount has none."""
        return (
            self.amount
            if self.kind == "usd_micros"
            else f"{self.amount} {self.label if self.label[:3] == 'GPU' else self.label.lower()}"
        )

    @property
    def spoken(self) -> str:
        """The line for people who hear the page."""
        return f"{self.label}: {self.said} {self.bound}"

    @property
    def bound(self) -> str:
        """What it is spent of."""
        return f"({self.limit})" if self.limit == NO_LIMIT else f"of {self.limit}"


@dataclass(frozen=True)
class AccountCard:
    """An account: what it is for, its lines, and whether its alarm was raised."""

    name: str
    title: str
    lines: tuple[Line, ...]
    alarmed: bool = False


def accounts_of(app: App) -> list[AccountCard]:
    """Return the accounts of the present period and of today.

    Raises:
        DependencyError: the ledger does not answer.
    """
    purse = app.office.purse
    if purse is None:
        return []
    now, title = app.current_accounts(), partial(_title, several=len(app.targets) > 1)
    known = {standing.name: standing for name in sorted(now) if (standing := purse.ledger.account(name)) is not None}
    cards = [_card(standing, title(name)) for name, standing in sorted(known.items(), reverse=True)]
    missing = [name for name in sorted(now, reverse=True) if name not in known]
    return [*cards, *(AccountCard(name, title(name), ()) for name in missing)]


def account_of(app: App, cycle: Cycle) -> AccountCard | None:
    """Return the account of a cycle; None where nothing was asked of it.

    Raises:
        DependencyError: the ledger does not answer.
    """
    purse = app.office.purse
    if purse is None:
        return None
    found = [standing for standing in purse.standings(cycle) if standing.name.startswith("cycle/")]
    return _card(found[0], "This cycle") if found else None


def amount(kind: Kind, value: int) -> str:
    """Return an amount as people read it: dollars, thousands, minutes."""
    match kind:
        case "usd_micros":
            return dollars(value / MICROS)
        case "gpu_seconds":
            return f"{value / 60:,.1f}" if value % 60 else f"{value // 60:,}"
        case _:
            return f"{value:,}"


def lines_of(standing: Standing) -> tuple[Line, ...]:
    """Return the kinds of an account that are limited or were used."""
    assert set(_ORDER) == set(KINDS)
    return tuple(line for kind in _ORDER if (line := _line(standing, kind)) is not None)


def _line(standing: Standing, kind: Kind) -> Line | None:
    limit, spent, held = standing.ceiling.of(kind), standing.spent.of(kind), standing.reserved.of(kind)
    if limit is None and not spent and not held:
        return None
    aside = f", {amount(kind, held)} set aside" if held else ""
    share = None if limit is None else spent / limit if limit else float(spent > 0)
    promised = held / limit if limit else 0.0
    tone = "" if share is None or share < NEARLY else "bad" if share >= 1 else "warn"
    of = NO_LIMIT if limit is None else amount(kind, limit)
    said = f"{amount(kind, spent)} spent{aside}"
    return Line(kind, _LABELS[kind], said, of, share, promised, tone, bool(spent), amount(kind, spent))


def _card(standing: Standing, title: str) -> AccountCard:
    return AccountCard(standing.name, title, lines_of(standing), standing.alarmed is not None)


def _title(name: str, *, several: bool = False) -> str:
    if name.startswith("day/"):
        return "Today"
    return f"This period, {name.split('/')[1]}" if several else "This period"
