"""The herald reads what happened and puts what people are to know of it into the outbox.

Why nothing is left out and nothing told twice: the chain is read from a cursor that is kept in the outbox's own
database and moves in the transaction that puts the notices; a process that dies before it has told nobody, and one that
reads the same stretch at the same time is told that it was read. Requests for approval and alarms of budgets are looked
for besides, under keys of their own, so that they are told even where the chain was not there to be read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Any, Protocol

from pydantic import ValidationError

from adapters.approvals.base import ApprovalsPort
from adapters.audit.base import Head, Link
from adapters.ledger.base import Standing
from adapters.notices.base import NewNotice, NoticesPort
from domain.approval import ApprovalState
from domain.clock import Clock
from domain.receipt import AuditRecord
from service.notices.reading import KINDS, Reader, approval
from service.notices.routing import Routes
from service.notices.telling import Telling
from service.notify_sections import NoticeKind

CHAIN = "audit"
# Records in one stretch: what is read between two moves of the cursor.
STRETCH = 500
EVERY = timedelta(seconds=30)
_MOST_WAITING = 1000
_LOG = logging.getLogger(__name__)


class Chain(Protocol):
    """The audit chain, as far as it is read here."""

    def head(self) -> Head: ...

    def links(self, after: int = 0) -> Iterator[Link]: ...


class Herald:
    """Looks at what happened.

    Args:
        accounts: gives the accounts whose alarm concerns people now.
        every: how often requests and accounts are looked at; the chain is read at every look.
    """

    def __init__(
        self,
        outbox: NoticesPort,
        chain: Chain,
        reader: Reader,
        routes: Routes,
        approvals: ApprovalsPort,
        clock: Clock,
        *,
        accounts: Callable[[], list[Standing]] = list,
        environment: str = "",
        every: timedelta = EVERY,
    ) -> None:
        self._outbox = outbox
        self._chain = chain
        self._reader = reader
        self._routes = routes
        self._approvals = approvals
        self._clock = clock
        self._accounts = accounts
        self._environment = environment
        self._every = every.total_seconds()
        self._next = float("-inf")

    def look(self) -> bool:
        """Put what is new, and return whether there is more of the chain to read at once.

        Raises:
            DependencyError, AuditUnavailable: something cannot be read; it is looked at again.
        """
        if self._clock.monotonic() >= self._next:
            self._tell([*self._waiting(), *self._alarms()])
            self._next = self._clock.monotonic() + self._every
        return self._read()

    def _read(self) -> bool:
        """Read one stretch of the chain. Where it was never read, what was before is history, and told to nobody."""
        after = self._outbox.cursor(CHAIN)
        now = self._clock.now()
        if after is None:
            return self._outbox.follow(CHAIN, after=None, upto=self._chain.head().records, notices=(), now=now)
        links = list(islice(self._chain.links(after), STRETCH))
        if not links:
            # A chain that came back from a backup is shorter: it is read on from its end.
            head = self._chain.head().records
            return head < after and self._outbox.follow(CHAIN, after=after, upto=head, notices=(), now=now)
        told: list[NewNotice] = []
        for link in links:
            for telling in self._of(link):
                told += self._routes.notices(telling, now)
        self._outbox.follow(CHAIN, after=after, upto=links[-1].sequence, notices=told, now=now)
        return len(links) == STRETCH

    def _of(self, link: Link) -> list[Telling]:
        if link.kind not in KINDS:
            return []
        try:
            return self._reader.of_record(AuditRecord.model_validate({**_loaded(link.text), "hash": link.hash}))
        except (ValidationError, ValueError, TypeError, LookupError, AttributeError) as problem:
            # What is wrong with the chain is for `audit verify` to say; here one record less is told, and not none.
            _LOG.warning("record %d of the chain says nothing that can be told: %s", link.sequence, problem)
            return []

    def _waiting(self) -> list[Telling]:
        now = self._clock.now()
        found = []
        for request in self._approvals.requests(waiting_at=now, limit=_MOST_WAITING):
            if request.state(now) is ApprovalState.WAITING:
                late = now - request.asked_at >= (request.expires_at - request.asked_at) / 2
                found += [approval(request), *([approval(request, reminder=True)] if late else [])]
        return found

    def _alarms(self) -> list[Telling]:
        return [alarm(standing, self._environment) for standing in self._accounts() if standing.alarmed is not None]

    def _tell(self, tellings: list[Telling]) -> None:
        now = self._clock.now()
        notices = [notice for telling in tellings for notice in self._routes.notices(telling, now)]
        if notices:
            self._outbox.put(notices, now=now)


def alarm(standing: Standing, environment: str) -> Telling:
    """Return what people are told of an account whose alarm was raised."""
    return Telling(
        key=f"budget/{standing.name}/{standing.alarmed:%Y%m%dT%H%M%S}"[:200],
        kind=NoticeKind.BUDGET,
        severity="warning",
        environment=environment,
        title=f"The budget {standing.name} has {standing.share():.0%} gone",
        body=f"Spent so far: {standing.spent.said()}. What does not fit is refused, and its cycle handed over.",
        page="/budgets",
        facts=(("since", f"{standing.alarmed:%Y-%m-%d %H:%M} UTC"),),
    )


def _loaded(text: str) -> dict[str, Any]:
    loaded = json.loads(text)
    return loaded if isinstance(loaded, dict) else {}
