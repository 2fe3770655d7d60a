"""Finding records of the audit chain, newest first, without reading a long chain from its beginning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from adapters.audit.base import ChainPort, Link
from adapters.audit.walk import record_of
from domain.receipt import AuditRecord

# How many records are read at a time, and at most for one page of answers.
WINDOW, MOST_READ = 500, 20_000


@dataclass(frozen=True)
class Wanted:
    """What is looked for; what is empty does not matter. Text fields match the whole field, `actor` its beginning."""

    cycle: str = ""
    kind: str = ""
    actor: str = ""
    tool: str = ""
    decision: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    limit: int = 50

    def fits(self, record: AuditRecord) -> bool:
        """Whether a record is one of them."""
        entry = record.entry
        return (
            self.cycle in ("", entry.cycle_id)
            and self.kind in ("", entry.kind.value)
            and entry.actor.casefold().startswith(self.actor.casefold())
            and self.tool in ("", entry.tool)
            and self.decision in ("", entry.decision, entry.status)
            and (self.since is None or record.at >= self.since)
            and (self.until is None or record.at < self.until)
        )


@dataclass(frozen=True)
class Found:
    """What was found, newest first; `older` is where to look on from, None where the chain has been looked through."""

    records: Sequence[AuditRecord]
    older: int | None
    read: int


def search(chain: ChainPort, wanted: Wanted, *, most: int = MOST_READ) -> Found:
    """Return the newest records that are wanted, from `wanted.before` backwards.

    Raises:
        AuditUnavailable: the chain cannot be read. ChainBroken: a record cannot be.
    """
    end = chain.head().records if wanted.before is None else min(wanted.before - 1, chain.head().records)
    if wanted.until is not None:
        end = min(end, _last_before(chain, wanted.until, end))
    if wanted.cycle:
        mine = [r for r in reversed(chain.records(wanted.cycle)) if r.sequence <= end and wanted.fits(r)]
        page = mine[: wanted.limit]
        return Found(page, page[-1].sequence if len(mine) > len(page) else None, len(mine))
    found: list[AuditRecord] = []
    read, last = 0, end
    for link in _backwards(chain, end):
        read, last = read + 1, link.sequence
        if wanted.kind in ("", link.kind):
            record = record_of(link)
            if wanted.since is not None and record.at < wanted.since:
                return Found(found, None, read)
            if wanted.fits(record):
                found.append(record)
        if len(found) == wanted.limit or read == most:
            break
    return Found(found, last if last > 1 and end else None, read)


def one(chain: ChainPort, sequence: int) -> Link | None:
    """Return a link by its number, or None."""
    if sequence < 1:
        return None
    return next(chain.links(sequence - 1), None)


def _backwards(chain: ChainPort, end: int) -> Iterator[Link]:
    while end > 0:
        start = max(end - WINDOW, 0)
        yield from reversed(list(islice(chain.links(start), end - start)))
        end = start


def _last_before(chain: ChainPort, moment: datetime, end: int) -> int:
    """Return the number of the last record before a moment: records stand in the order of their times."""
    low, high = 0, end
    while low < high:
        middle = (low + high + 1) // 2
        link = one(chain, middle)
        if link is not None and record_of(link).at < moment:
            low = middle
        else:
            high = middle - 1
    return low
