"""The weekly report as data; Markdown and HTML are drawn from it, and it is what `--format json` prints."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from service.weekly.material import Change
from service.weekly.span import Span

Unit = str


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Frozen):
    """A number with its doubt and where it is from. `value` None is no data, which is not zero.

    `unit` is count, share, hours, usd, relative or score; `met` whether it is within its target (None: no target, or
    no data); `previous` is the same figure of the stretch before.
    """

    name: str
    label: str
    source: str
    unit: Unit
    value: float | None
    n: int
    low: float | None = None
    high: float | None = None
    target: str = ""
    met: bool | None = None
    previous: float | None = None


class Cost(_Frozen):
    """What was spent for one thing: US dollars, tokens of models, seconds of GPU, in so many settled calls."""

    kind: str
    usd: float
    tokens: int
    gpu_seconds: int
    calls: int


class BudgetLine(_Frozen):
    """A budget as it stands at the moment of the report; None is no limit."""

    name: str
    spent_usd: float
    limit_usd: float | None
    share: float


class Counted(_Frozen):
    """Something that happened so often, with examples."""

    label: str
    count: int
    detail: str = ""
    cycles: tuple[str, ...] = ()


class Declined(_Frozen):
    """What was not done, and why; `why` is one of the headings, `detail` the words of who decided."""

    why: Literal["noise", "monitor", "policy", "people", "budget", "evidence", "gate", "handed over"]
    what: str
    detail: str
    count: int
    cycles: tuple[str, ...] = ()


class Approvals(_Frozen):
    """What people were asked; `decide` is the time to decision in hours."""

    asked: int
    given: int
    denied: int
    expired: int
    withdrawn: int
    waiting: int
    decide: Figure


class Priority(_Frozen):
    """What to do next, the most urgent first, and the rule it follows from."""

    rank: int
    what: str
    rule: str
    cycles: tuple[str, ...] = ()


class WeeklyReport(_Frozen):
    """A week. `figures` are the indicators, in their order; `footnotes` say where each is from."""

    id: str
    span: Span
    before: Span
    made_at: datetime
    environment: str
    target: str
    version: str
    figures: tuple[Figure, ...]
    improvements: tuple[Change, ...]
    costs: tuple[Cost, ...]
    budgets: tuple[BudgetLine, ...]
    actions: tuple[Counted, ...]
    declined: tuple[Declined, ...]
    approvals: Approvals
    late: tuple[Counted, ...]
    priorities: tuple[Priority, ...]
    cycles: tuple[Counted, ...]
    remarks: tuple[str, ...] = ()

    def figure(self, name: str) -> Figure:
        """Return an indicator by its name.

        Raises:
            KeyError: there is none.
        """
        for found in self.figures:
            if found.name == name:
                return found
        raise KeyError(name)

    @property
    def title(self) -> str:
        """Its heading."""
        return f"Evercrew, week {self.id}" if "-W" in self.id else f"Evercrew, {self.id.replace('_', ' to ')}"

    @property
    def summary(self) -> str:
        """The week in one or two sentences."""
        total, good = (int(self.figure(name).value or 0) for name in ("cycles", "successful"))
        ended = f"{_times(total, 'cycle')} ended, {good} successful" if total else "No cycle ended"
        refused = sum(d.count for d in self.declined)
        declined = f"Declined to act {_times(refused, 'time')}" if refused else "Declined nothing"
        return f"{ended}. {declined}. {_times(len(self.priorities), 'thing')} to look at."


def _times(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
