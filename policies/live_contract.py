"""A contract whose file may change while it is asked.

A changed file is put in force when it has stopped changing, can be read, and is sound. Any other leaves the old
contract in force and is told loudly. A process does not begin without a good one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from domain.errors import ConfigurationError, EvercrewError
from policies.contract import Contract
from policies.pdp import hash_of
from policies.watched import EVERY, PolicySource, Watched

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

    def good(self) -> str:
        """Return that the contract is good."""
        return f"the contract {self.contract_hash[:12]} is good"


class LiveContract(Watched[ContractChange]):
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
        super().__init__(source, monotonic=monotonic, told=told, every=every, bad=_BAD)
        self._build = build
        self._judged = source.stamp().mark
        files = source.read()
        self._contract, self._hash = build(files), hash_of(files)

    def __call__(self) -> Contract:
        """Return the contract in force; never raises."""
        self._look_when_due()
        return self._contract

    @property
    def contract_hash(self) -> str:
        """Hash of the file in force."""
        return self._hash

    def check(self) -> str:
        """Return one line for `doctor`.

        Raises:
            ConfigurationError: the contract on disk is not in force, and why.
        """
        self.look()
        if self._problem:
            raise ConfigurationError("contract", self._problem, "Mend the file; the one of before counts meanwhile")
        return f"contract {self._hash[:12]} in force"

    def _judge(self, mark: Hashable) -> None:
        files = self._read_still(mark)
        if files is None:
            return
        digest = hash_of(files)
        try:
            contract = self._build(files)
        except self._bad as problem:
            self._refused(mark, problem)
            return
        changed = digest != self._hash or bool(self._problem)
        if not changed or self._heard(ContractChange(True, digest, self._hash)):
            self._contract, self._hash, self._judged, self._problem = contract, digest, mark, ""

    def _out(self, problem: str) -> ContractChange:
        return ContractChange(False, "", self._hash, problem)
