"""Walking a chain from its first record to its last, with what is wrong named at the first record that is.

A link is sound when its hash is that of its text, its text says its place and the hash of the link before it, and the
index beside it says what the text says. Memory does not grow with the chain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from adapters.audit.base import EMPTY, Anchor, Head, Link
from domain.errors import ChainBroken
from domain.receipt import AuditEntry, AuditRecord, RecordKind, record_text

# How far back a checkpoint may look; a writer signs the head it just read, so a few records are what it takes.
REACH = 1 << 14

Watch = Callable[["Walk", int, Mapping[str, Any]], None]
"""Told of every checkpoint: the walk so far, its place, and its body. Raises ChainBroken."""


class Walk:
    """What was seen so far of a chain read in order.

    `watch` is told of every checkpoint, `anchors` are held against what they speak of.
    """

    def __init__(self, watch: Watch | None = None, anchors: Sequence[Anchor] = (), *, start: Head = EMPTY) -> None:
        self.count, self.last = start
        self._watch = watch
        self._anchors: dict[int, list[Anchor]] = {}
        for anchor in anchors:
            self._anchors.setdefault(anchor.record, []).append(anchor)
        self._ring = [""] * REACH
        self._ring[self.count % REACH] = self.last

    def hash_at(self, place: int) -> str | None:
        """Return the hash of a record that was passed lately, or None."""
        return self._ring[place % REACH] if self.count - REACH < place <= self.count else None

    def step(self, link: Link) -> None:
        """Take the next link.

        Raises:
            ChainBroken: it does not fit.
        """
        place = self.count + 1
        content = _sound(link, place, self.last)
        self.count, self.last = place, link.hash
        self._ring[place % REACH] = link.hash
        for anchor in self._anchors.pop(place, ()):
            if not link.hash.startswith(anchor.hash):
                told = f"record {place}: {anchor.where} has seen another one there ({anchor.hash[:12]})"
                raise ChainBroken(told, record=place)
        if link.kind == RecordKind.CHECKPOINT.value and self._watch is not None:
            self._watch(self, place, content["entry"]["body"])

    def through(self, links: Iterable[Link]) -> None:
        """Take every link.

        Raises:
            ChainBroken: one does not fit.
        """
        following = iter(links)
        for link in following:
            try:
                self.step(link)
            except ChainBroken as problem:
                if problem.why != "reordered":
                    raise
                raise _moved(self.count + 1, following) from problem

    def ends_at(self, heads: list[Head]) -> None:
        """Hold the end against the head row, and against the anchors that are left.

        Raises:
            ChainBroken: they differ.
        """
        self._against(heads)
        beyond = [anchor for seen in self._anchors.values() for anchor in seen if anchor.record > self.count]
        if beyond:
            last = max(beyond, key=lambda anchor: anchor.record)
            told = f"record {self.count + 1} is missing: {last.where} has seen record {last.record}, the chain ends at"
            raise ChainBroken(f"{told} {self.count}", record=self.count + 1, why="truncated")

    def _against(self, heads: list[Head]) -> None:
        if len(heads) != 1:
            raise ChainBroken("the head of the audit chain is missing", why="removed")
        anchored, anchor = heads[0]
        if anchored > self.count:
            told = f"record {self.count + 1} is missing: the head counts {anchored} records, the chain ends at"
            raise ChainBroken(f"{told} {self.count}", record=self.count + 1, why="truncated")
        if anchored < self.count:
            told = f"record {anchored + 1} is beyond the head, which counts {anchored} records of {self.count}"
            raise ChainBroken(told, record=anchored + 1, why="changed")
        if anchor != self.last:
            raise ChainBroken(f"the head does not carry the hash of the last record ({self.count})", record=self.count)


def text_of(record: AuditRecord, entry: str = "") -> str:
    """Return what the record's hash is taken of; `entry` is the canonical form of its entry where it is known."""
    return record_text(record.sequence, record.at, record.previous, entry or record.entry.canonical())


def link_of(record: AuditRecord, entry: str = "") -> Link:
    """Return the record as it is stored."""
    said = record.entry
    return Link(record.sequence, said.kind.value, said.cycle_id, said.key, text_of(record, entry), record.hash)


def record_of(link: Link) -> AuditRecord:
    """Return the record of a link.

    Raises:
        ChainBroken: its text cannot be read any more.
    """
    try:
        content = json.loads(link.text)
        return AuditRecord(
            sequence=content["sequence"],
            at=datetime.fromisoformat(content["at"]),
            previous=content["previous"],
            entry=AuditEntry.model_validate(content["entry"]),
            hash=link.hash,
        )
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise ChainBroken(
            f"record {link.sequence}: its content cannot be read any more", record=link.sequence
        ) from error


def _sound(link: Link, place: int, previous: str) -> Mapping[str, Any]:
    if link.sequence != place:
        told = f"record {place} is missing: the next one found is {link.sequence}"
        raise ChainBroken(told, record=place, why="removed")
    if hashlib.sha256(str(link.text).encode(errors="surrogateescape")).hexdigest() != link.hash:
        raise ChainBroken(f"record {place}: its content does not match its hash", record=place)
    try:
        content: Mapping[str, Any] = json.loads(link.text)
        entry = content["entry"]
        index = (entry["kind"], entry["cycle_id"], entry["key"])
        said, follows = content["sequence"], content["previous"]
    except (ValueError, KeyError, TypeError) as error:
        raise ChainBroken(f"record {place}: its content cannot be read any more", record=place) from error
    if said != place:
        raise ChainBroken(f"record {place}: it says it is record {said}", record=place, why="reordered")
    if follows != previous:
        told = f"record {place}: it does not follow the record before it, one of the two was put in another's place"
        raise ChainBroken(told, record=place)
    if index != (link.kind, link.cycle_id, link.key):
        told = f"record {place}: its index (kind, cycle, key) does not match its content"
        raise ChainBroken(told, record=place)
    return content


def _moved(place: int, following: Iterator[Link]) -> ChainBroken:
    """Return what became of the record that should stand at `place`: moved further back, or taken out."""
    for link in following:
        if link.text.endswith(f'"sequence":{place}}}'):
            told = f"record {place} was moved: it is found at place {link.sequence}"
            return ChainBroken(told, record=place, why="reordered")
    return ChainBroken(f"record {place} is missing: those behind it were moved up", record=place, why="removed")
