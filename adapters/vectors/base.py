"""The vectors port: one collection of a vector index, how it stands, and what mends it.

Contract: reads change nothing. An effect spends a permit first, happens once for a key, and is found again by it.
Points in quarantine keep their data and carry the payload field `quarantined: true`, which the platform's own search
has to leave out; releasing them sets it to false.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from domain.errors import ConfigurationError, InvalidInput
from domain.measurement import Measurement
from domain.observation import Observation
from domain.permit import Permit

EFFECT_REINDEX = "vectors.reindex"
EFFECT_QUARANTINE = "vectors.quarantine"
EFFECT_RELEASE = "vectors.release"
EFFECTS = (EFFECT_REINDEX, EFFECT_QUARANTINE, EFFECT_RELEASE)
FLAG = "quarantined"
MOST_POINTS = 10_000
# Of the nearest neighbours; approximate search that finds fewer has a damaged or unfit graph.
LOW_RECALL = 0.9

PointId = int | str
Value = str | int | bool
_UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)
_FIELD = re.compile(r"^[A-Za-z_][\w.\-]{0,99}$")


class Status(StrEnum):
    """What the index says of itself: all well, optimising, failed, or waiting for a change before it optimises."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"
    GREY = "grey"


class IndexState(BaseModel):
    """How a collection stands.

    `indexed` counts vectors in the graph; those of small segments are searched without it. `latency_ms` and `recall`
    are of probe searches with points of the collection; recall is the share of the exact nearest neighbours that the
    index finds too. `optimizer_error` is the index's own text.
    """

    model_config = ConfigDict(frozen=True)

    collection: str
    status: Status
    points: int
    indexed: int
    segments: int
    quarantined: int
    optimizer_error: str = ""
    pending_updates: int = 0
    latency_ms: Measurement
    recall: Measurement
    probe_errors: int = 0
    at: datetime

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, in words; empty when nothing is."""
        found = []
        if self.status is Status.RED:
            found.append("the index reports a failure that it did not recover from")
        if self.status is Status.GREY:
            found.append("optimisation is pending and waits for a change")
        if self.optimizer_error:
            found.append("the optimizer reports an error")
        if self.probe_errors:
            found.append(f"{self.probe_errors} probe searches failed")
        if self.recall.usable and self.recall.finite() < LOW_RECALL:
            found.append(f"the index finds {self.recall.finite():.0%} of the nearest neighbours")
        return tuple(found)


class Reindexed(BaseModel):
    """What a re-index asked for: the build parameter of the graph before and after, which makes every segment anew."""

    model_config = ConfigDict(frozen=True)

    collection: str
    ef_construct_before: int
    ef_construct_after: int
    at: datetime


class VectorsPort(Protocol):
    """A vector index."""

    def status(self) -> IndexState:
        """Return how the collection stands."""
        ...

    def reindex(self, *, key: str, permit: Permit | None) -> Reindexed:
        """Have the graph of every segment built anew, in the background; the collection serves meanwhile.

        Raises:
            InvalidInput: the collection's optimizers are switched off.
            OutcomeUnknown: it was asked for, and the key was not kept.
        """
        ...

    def quarantine(
        self, *, ids: Sequence[PointId], where: Mapping[str, Value], most: int, key: str, permit: Permit | None
    ) -> int:
        """Flag points by their ids, by equal payload fields, or by both together; return how many are under the key.

        Points already in quarantine stay where they are.

        Raises:
            InvalidInput: neither ids nor fields, or more than `most` points match; nothing is flagged then.
        """
        ...

    def release(self, *, of: str, key: str, permit: Permit | None) -> int:
        """Take the points of the quarantine with the key `of` out of it; return how many were released under `key`.

        Raises:
            InvalidInput: there is no such quarantine.
        """
        ...

    def observe(self, key: str) -> Observation:
        """Return what became of the effect with this key.

        Outcome is ``quarantined``, ``released``, or the fields of `Reindexed`.
        """
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise an error that names the remedy."""
        ...


def checked(ids: Sequence[PointId], where: Mapping[str, Value], most: int) -> None:
    """Return when points can be chosen this way.

    Raises:
        InvalidInput: names the argument.
    """
    if not ids and not where:
        raise InvalidInput("ids", "neither ids nor fields choose points", "Name ids, or fields and their values")
    for point in ids:
        whole = isinstance(point, int) and not isinstance(point, bool) and 0 <= point < 2**63
        if not whole and not (isinstance(point, str) and _UUID.match(point)):
            raise InvalidInput("ids", f"{point!r} is no id of a point", "Use a whole number or a UUID")
    for name in where:
        if not _FIELD.match(name):
            raise InvalidInput("where", f"{name!r} is no name of a field", "Name a payload field")
    if not 1 <= most <= MOST_POINTS:
        raise InvalidInput("most", f"{most} is not a number of points", f"Allow 1 to {MOST_POINTS}")


def too_many(matched: int, most: int) -> InvalidInput:
    """Return the error for a choice that is wider than was meant."""
    return InvalidInput("most", f"{matched} points match, {most} are allowed", "Choose fewer, or allow more")


def not_configured() -> ConfigurationError:
    """Return the error of an index that is not there."""
    return ConfigurationError(
        "vectors", "no vector index is configured", "Add the section vectors with the url and collection of Qdrant"
    )
