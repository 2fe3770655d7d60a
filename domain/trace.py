"""What a trace is made of: one tree a cycle, whose root has the same identity in every process that works on it.

Identities are UUIDs of version 7 (RFC 9562), as 32 hexadecimal digits: the moment in front, so that they sort by time.
That of a trace follows from the cycle alone, so that a receipt can name it before anything was sent anywhere, and a
process that goes on with the cycle goes on with the tree.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from domain.canonical import canonical_hash

ROOT = "self_improvement_cycle"
# Kinds of spans. A request is one to our own HTTP interface; it belongs to the trace of whoever sent it.
CHAIN, TOOL, MODEL, DECISION, REQUEST = "chain", "tool", "llm", "decision", "request"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION, _VARIANT = 0x7, 0b10


def _uuid7(at: datetime, chance: int) -> str:
    millis = (at - _EPOCH) // timedelta(milliseconds=1) & (2**48 - 1)
    high = _VERSION << 12 | chance >> 62 & 0xFFF
    return f"{millis << 80 | high << 64 | _VARIANT << 62 | chance & 2**62 - 1:032x}"


@lru_cache(maxsize=1024)  # every record and every span of a cycle names it
def trace_id_of(cycle_id: str, opened_at: datetime) -> str:
    """Return the identity of the trace of a cycle, or of another piece of work that has a name and a beginning."""
    since = (opened_at - _EPOCH) // timedelta(microseconds=1)
    return _uuid7(opened_at, int(canonical_hash(["trace", cycle_id, since])[:32], 16))


def new_id(at: datetime) -> str:
    """Return the identity of a span that begins now."""
    return _uuid7(at, secrets.randbits(74))


class Step(NamedTuple):
    """One span on the way from the root: when it began, and its identity."""

    start: datetime
    id: str


@dataclass(frozen=True)
class SpanPlace:
    """Where a span stands: the way to it from the root, itself included.

    `remote` is the span of another service that the root continues (16 hexadecimal digits of W3C Trace Context); with
    an empty path it is that span itself.
    """

    trace: str
    path: tuple[Step, ...]
    remote: str = ""

    @property
    def id(self) -> str:
        return self.path[-1].id

    @property
    def start(self) -> datetime:
        return self.path[-1].start

    @property
    def parent(self) -> str:
        """The identity of the span above; empty for a root."""
        return self.path[-2].id if len(self.path) > 1 else ""

    def below(self, start: datetime) -> SpanPlace:
        """Return the place of a new span under this one."""
        return replace(self, path=(*self.path, Step(start, new_id(start))))


def root_place(cycle_id: str, opened_at: datetime) -> SpanPlace:
    """Return where the root of a cycle's trace stands: its identity is the trace's."""
    identity = trace_id_of(cycle_id, opened_at)
    return SpanPlace(identity, (Step(opened_at, identity),))


def new_root(start: datetime) -> SpanPlace:
    """Return the place of a root that belongs to no cycle."""
    identity = new_id(start)
    return SpanPlace(identity, (Step(start, identity),))


def short_id(span: str) -> str:
    """Return the identity of a span as W3C Trace Context has it: 16 hexadecimal digits, its chance part."""
    return span[-16:]


@dataclass(frozen=True)
class SpanData:
    """A span as it is sent: open while it has no end.

    `facts` are what a reader needs besides inputs and outputs: ``usage`` (what a model used), ``audit`` (the records of
    the chain that speak of it), the stage, who asked. `link` is the place of a span of another trace that caused it.
    """

    name: str
    kind: str
    cycle_id: str
    place: SpanPlace
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    end: datetime | None = None
    error: str = ""
    link: SpanPlace | None = None

    @property
    def start(self) -> datetime:
        return self.place.start

    @property
    def is_root(self) -> bool:
        return len(self.place.path) == 1


@dataclass(frozen=True)
class Rating:
    """What became known about a trace: written back to its root.

    `score` is between 0 and 1, None where there is nothing to score; `value` says it in a word.
    """

    place: SpanPlace
    key: str
    at: datetime
    score: float | None = None
    value: str = ""
    comment: str = ""

    @property
    def id(self) -> str:
        """The identity of the rating: the same thing said twice is one rating."""
        chance = int(canonical_hash(["rating", self.place.trace, self.key])[:32], 16)
        return _uuid7(self.place.start, chance)
