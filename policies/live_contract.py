"""A contract whose file may change while it is asked.

A changed file is put in force when it has stopped changing, can be read, and is sound. Any other leaves the old
contract in force and is told loudly. A process does not begin without a good one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from domain.errors import ConfigurationError, EvercrewError
from policies.contract import Contract
from policies.live import EVERY, PolicySource
from policies.pdp import hash_of

# What a changed file may raise while it is read and judged: what is foreseen, and what a parser let slip through.
_BAD = (EvercrewError, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class ContractChange:
    """A changed contract: taken into force, or kept out of it because of `problem`; `before` is the old one's hash."""

    taken: bool
    contract_hash: str
    before: str
    problem: str = ""

    def said(self) -> str:
        """Return it in a sentence."""
        if self.taken:
            return f"the contract {self.contract_hash[:12]} is in force (before: {self.before[:12]})"
        return f"the contract on disk is not in force: {self.problem}; {self.before[:12]} stays in force"


class LiveContract:
    """Returns the newest good contract when it is called; threads share it.

    Args:
        build: makes a contract of the file, by name, or raises what is wrong with it.
        monotonic: seconds of a clock that never goes back.
        told: told of every change; a contract that cannot be told of is not put in force.
        every: how often the file is looked at, at most, and how long it must have been left alone.

    Raises:
        EvercrewError: the file cannot be read, or is no good contract.
    """

    def __init__(
        self,
        source: PolicySource,
        build: Callable[[Mapping[str, bytes]], Contract],
        *,
        monotonic: Callable[[], float],
        told: Callable[[ContractChange], None] = lambda change: None,
        every: timedelta = EVERY,
    ) -> None:
        self._source = source
        self._build = build
        self._monotonic = monotonic
        self._told = told
        self._every = every
        self._lock = threading.Lock()
        self._problem = ""
        self._judged: Hashable = source.stamp().mark
        self._seen: Hashable = None
        files = source.read()
        self._contract, self._hash = build(files), hash_of(files)
        self._next = monotonic() + every.total_seconds()

    def __call__(self) -> Contract:
        """Return the contract in force; never raises."""
        if self._monotonic() >= self._next:
            self.look()
        return self._contract

    @property
    def contract_hash(self) -> str:
        """Hash of the file in force."""
        return self._hash

    @property
    def problem(self) -> str:
        """Why the contract on disk is not the one in force; empty when it is."""
        return self._problem

    def look(self) -> None:
        """Look at the file now; of several threads one does, the others go on with what is in force."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._look()
        finally:
            self._next = self._monotonic() + self._every.total_seconds()
            self._lock.release()

    def check(self) -> str:
        """Return one line for `doctor`.

        Raises:
            ConfigurationError: the contract on disk is not in force, and why.
        """
        self.look()
        if self._problem:
            raise ConfigurationError("contract", self._problem, "Mend the file; the one of before counts meanwhile")
        return f"contract {self._hash[:12]} in force"

    def _look(self) -> None:
        try:
            stamp = self._source.stamp()
            if stamp.mark == self._judged:
                return
            settled = stamp.mark == self._seen or (stamp.age is not None and stamp.age >= self._every)
            self._seen = stamp.mark
            if settled:
                self._judge(stamp.mark)
        except _BAD as problem:
            self._judged = None
            self._kept_out(_why(problem))

    def _judge(self, mark: Hashable) -> None:
        """Put the file into force, or not; that it did not change while it was read is looked at once more."""
        files = self._source.read()
        if self._source.stamp().mark != mark:
            return
        digest = hash_of(files)
        try:
            contract = self._build(files)
        except _BAD as problem:
            self._judged = mark
            self._kept_out(_why(problem))
            return
        changed = digest != self._hash or bool(self._problem)
        if not changed or self._heard(ContractChange(True, digest, self._hash)):
            self._contract, self._hash, self._judged, self._problem = contract, digest, mark, ""

    def _kept_out(self, problem: str) -> None:
        """Keep what is in force, and tell why, once."""
        if problem == self._problem:
            return
        self._problem = problem
        if not self._heard(ContractChange(False, "", self._hash, problem)):
            self._judged = None  # told again at the next look, until it is on record

    def _heard(self, change: ContractChange) -> bool:
        try:
            self._told(change)
        except EvercrewError as unheard:
            said = change.problem or f"the contract {change.contract_hash[:12]} is good"
            self._problem = f"{said}; it could not be put on record: {unheard}"
            return False
        return True


def _why(problem: Exception) -> str:
    """Return what went wrong, which is never empty: an empty problem would read as none."""
    return str(problem) if isinstance(problem, EvercrewError) else f"{type(problem).__name__}: {problem}"
