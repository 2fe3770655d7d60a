"""The shelf of tapes: each step's tape is written and read back here, with the rules that were in force beside it.

Contract, profile, tools and versions, and the files of each policy set, are kept once, by their hash, under an identity
of their own: an old cycle is replayed under its own rules, and needs nothing from outside of the store.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.store.base import Recording, StorePort
from cycles.tape import Source, Tape, hidden, mark_of, state_hash
from domain.canonical import canonical_hash, json_ready
from domain.cycle import Cycle
from domain.errors import IntegrityError
from domain.stage import StageResult
from domain.tape import FORMAT, KIND, MARK, PLACE, Mark, StepTape, place_of, plain_tape, tape_hash
from policies.contract import Contract
from policies.pdp import hash_of
from policies.profiles import Profile

# Where what is kept once is kept: a cycle that is none.
SHARED = "tapes"
RULES = "rules/"
POLICIES = "policies/"

PolicyFiles = Callable[[str], Mapping[str, bytes]]


def no_policy_files(policy_hash: str) -> Mapping[str, bytes]:
    """Return that the files of the policy set are not at hand."""
    return {}


@dataclass(frozen=True)
class Taping:
    """What a tape is told of its surroundings.

    `policy_files` returns the files of a set by its hash, `versions` are those of the packages that decide, and
    `secrets` are texts that must not stand on a tape. In a replay, `source` is asked in place of the world.
    """

    policy_files: PolicyFiles = no_policy_files
    versions: Mapping[str, str] = field(default_factory=lambda: {"python": platform.python_version()})
    secrets: Sequence[str] = field(default=(), repr=False)
    source: Source | None = None


class Rules(BaseModel):
    """What was in force in a step: the contract and the profile, the tools on offer, and what ran.

    Contract and profile are JSON as text: gates are judged in the order they stand in.
    """

    model_config = ConfigDict(frozen=True)

    contract: str
    profile: str
    tools: tuple[str, ...]
    versions: Mapping[str, str]


class TapeMissing(IntegrityError):
    """A cycle, or a step of it, has no tape."""


class TapeForged(IntegrityError):
    """A tape is not the one that was written."""


class Shelf:
    """Writes the tapes of one office."""

    def __init__(
        self, store: StorePort, contract: Contract, profile: Profile, tools: Sequence[str], taping: Taping
    ) -> None:
        self._store = store
        self._taping = taping
        self._around = {
            "profile": profile.model_dump_json(),
            "tools": tuple(sorted(tools)),
            "versions": dict(taping.versions),
        }
        self._in_force = self._hashed(contract)
        self._known: set[str] = set()

    @contextmanager
    def step(self, cycle: Cycle) -> Iterator[Tape]:
        """Record what happens in this context as the next step of the cycle."""
        with Tape(cycle, mark_of(cycle), self._taping.source).running() as tape:
            yield tape

    def keep(self, tape: Tape, after: Cycle, result: StageResult, contract: Contract | None = None) -> str:
        """Write the tape of the step that ends with `result`, and return its hash.

        `contract` is what the step was judged by, where that is not the contract of the start any more.

        Raises:
            DependencyError: it could not be written; then the step has not happened.
        """
        _, rules, digest = self._of(contract)
        step = tape.sealed(after, result, digest)
        plain = hidden(plain_tape(step), self._taping.secrets)
        self._once(f"{RULES}{digest}", lambda: rules)
        for policy_hash in sorted({c.decision.policy_hash for c in step.calls if c.decision} - {""}):
            self._once(f"{POLICIES}{policy_hash}", lambda: self._policy_set(policy_hash))  # noqa: B023
        self._store.record(Recording(cycle_id=step.cycle_id, place=step.place, kind=KIND, payload=plain))
        return tape_hash(plain)

    @staticmethod
    def marked(tape: Tape, moved: Cycle, digest: str) -> Cycle:
        """Return the moved cycle with how far its tape goes now."""
        mark = Mark(steps=tape.mark.steps + 1, hash=digest, state=state_hash(moved), seen=tape.seen())
        return moved.with_fact(MARK, mark.model_dump(mode="json"))

    def _of(self, contract: Contract | None) -> tuple[Contract, dict[str, Any], str]:
        """Return a contract with the rules it is part of, and their hash; made anew only when it has changed."""
        made = self._in_force
        if contract is not None and contract is not made[0]:
            made = self._in_force = self._hashed(contract)
        return made

    def _hashed(self, contract: Contract) -> tuple[Contract, dict[str, Any], str]:
        rules = Rules.model_validate({**self._around, "contract": contract.model_dump_json()})
        plain = json_ready(rules.model_dump(mode="json"))
        return contract, plain, canonical_hash(plain)

    def _policy_set(self, policy_hash: str) -> dict[str, Any] | None:
        files = self._taping.policy_files(policy_hash)
        if not files or hash_of(files) != policy_hash:
            return None
        return {name: content.decode() for name, content in sorted(files.items())}

    def _once(self, place: str, make: Callable[[], dict[str, Any] | None]) -> None:
        if place in self._known:
            return
        payload = make()
        if payload is not None:
            self._store.claim(Recording(cycle_id=SHARED, place=place, kind=SHARED, payload=payload))
            self._known.add(place)


def tapes_of(store: StorePort, cycle_id: str) -> list[StepTape]:
    """Return the tapes of a cycle, in order, each linked to the one before.

    Raises:
        TapeMissing: it has none, or one is missing. TapeForged: one is not what the next one says it is.
    """
    return [tape for tape, _ in hashed_tapes(store, cycle_id)]


def hashed_tapes(store: StorePort, cycle_id: str) -> list[tuple[StepTape, str]]:
    """Return the tapes of a cycle with their hashes; see `tapes_of`."""
    kept = [r for r in store.recordings(cycle_id, PLACE) if r.kind == KIND]
    if not kept:
        raise TapeMissing(f"{cycle_id} has no tape: it ended before steps were recorded, or its tape was removed")
    tapes, previous = list[tuple[StepTape, str]](), ""
    for number, recording in enumerate(sorted(kept, key=lambda r: r.place)):
        what = f"{cycle_id}: the tape of step {number}"
        if recording.place != place_of(number):
            raise TapeMissing(f"{what} is missing")
        tape = read_tape(recording.payload, what)
        if tape.previous != previous:
            raise TapeForged(f"{cycle_id}: the tape before step {number} is not the one that was written")
        previous = tape_hash(recording.payload)
        tapes.append((tape, previous))
    return tapes


def read_tape(payload: Mapping[str, Any], what: str) -> StepTape:
    """Return a tape by its plain form.

    Raises:
        TapeForged: it is of another format, or none at all.
    """
    if payload.get("format") != FORMAT:
        raise TapeForged(f"{what} is of format {payload.get('format')!r}; this release reads format {FORMAT}")
    try:
        return StepTape.model_validate(payload)
    except ValidationError as problem:
        first = problem.errors()[0]
        raise TapeForged(f"{what} cannot be read: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def rules_of(store: StorePort, digest: str) -> Rules:
    """Return the rules of a tape.

    Raises:
        TapeMissing: they are not kept. TapeForged: what is kept is something else.
    """
    return Rules.model_validate(_shared(store, f"{RULES}{digest}", digest, canonical_hash))


def policy_files_of(store: StorePort, digest: str) -> dict[str, bytes]:
    """Return the files of a policy set by its hash.

    Raises:
        TapeMissing: they are not kept. TapeForged: what is kept is something else.
    """

    def hashed(payload: Mapping[str, Any]) -> str:
        return hash_of({name: str(content).encode() for name, content in payload.items()})

    kept = _shared(store, f"{POLICIES}{digest}", digest, hashed)
    return {name: str(content).encode() for name, content in kept.items()}


def _shared(store: StorePort, place: str, digest: str, hashed: Callable[[Mapping[str, Any]], str]) -> Mapping[str, Any]:
    found = next((r.payload for r in store.recordings(SHARED, place) if r.place == place), None)
    if found is None:
        raise TapeMissing(f"{place[:20]} is not kept: without it no decision made under it can be replayed")
    if hashed(found) != digest:
        raise TapeForged(f"{place[:20]} is not what was kept under this hash")
    return found
