"""The contract of a configuration: the packaged one, or a file of one's own, watched and told of when it changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.audit.base import AuditPort
from domain.clock import Clock, SystemClock
from domain.errors import ConfigurationError, EvercrewError
from domain.events import Event, Observer
from domain.receipt import AuditEntry, RecordKind
from policies.contract import Contract, load_contract
from policies.packaged import packaged_contract
from policies.profiles import Profile
from policies.soundness import unsound
from service.catalog import catalog
from service.config import Config
from service.stamps import stamp_of

if TYPE_CHECKING:
    from policies.live_contract import ContractChange, LiveContract
    from policies.watched import PolicySource, Stamp

PACKAGED = "contract.yaml"
# A contract is some pages of text; what is larger is none.
MOST_BYTES = 1 << 20
ACTOR = "engine"


class ContractFile:
    """A `PolicySource` on one file, which may be a symbolic link that is swapped."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or SystemClock()

    def stamp(self) -> Stamp:
        """See `PolicySource.stamp`."""
        try:
            return stamp_of(self._path, self._clock)
        except (OSError, RuntimeError) as problem:
            raise self._unreadable(problem) from problem

    def read(self) -> Mapping[str, bytes]:
        """See `PolicySource.read`."""
        try:
            resolved = self._path.resolve(strict=True)
            if not resolved.is_file():
                raise ConfigurationError("contract", f"{self._path.name} is no regular file", "Name a file")
            if resolved.stat().st_size > MOST_BYTES:
                problem = f"{self._path.name} has more than {MOST_BYTES} bytes"
                raise ConfigurationError("contract", problem, "Name a contract: see policies/contract.yaml")
            return {self._path.name: resolved.read_bytes()}
        except (OSError, RuntimeError) as problem:
            raise self._unreadable(problem) from problem

    def _unreadable(self, problem: Exception) -> ConfigurationError:
        return ConfigurationError("contract", f"cannot be read: {problem}", f"Make {self._path.name} readable")


class PackagedContract:
    """A `PolicySource` that never changes: the contract that ships with this package."""

    def stamp(self) -> Stamp:
        """See `PolicySource.stamp`."""
        from policies.watched import Stamp

        return Stamp(mark="packaged", age=None)

    def read(self) -> Mapping[str, bytes]:
        """See `PolicySource.read`."""
        return {PACKAGED: packaged_contract().encode()}


def contract_of(config: Config, profile: Profile) -> Contract:
    """Return the contract of a configuration as it stands now, with the limits of the profile.

    Raises:
        ConfigurationError: it cannot be read, or is not sound.
    """
    return _builder(config, profile)(_source(config).read())


def signals_of_further(config: Config, profile: Profile) -> dict[str, list[str]]:
    """Return the signals of every further target: those of its contract, or of the file's where its cannot be read.

    Alerts about a target whose contract cannot be read are taken all the same; their cycles are held until it can.
    """
    found: dict[str, list[str]] = {}
    for name in config.every_target[1:]:
        try:
            found[name] = list(contract_of(config.at(name), profile).signals)
        except EvercrewError:
            found[name] = list(contract_of(config, profile).signals)
    return found


def live_contract(
    config: Config, profile: Profile, *, clock: Clock, audit: AuditPort, observer: Observer
) -> LiveContract:
    """Return the contract of a configuration, read anew when its file changes; a change is told and on record.

    Raises:
        ConfigurationError: it cannot be read, or is not sound.
    """
    from policies.live_contract import LiveContract

    source = _source(config)
    first = _builder(config, profile)(source.read())
    return LiveContract(
        source, _builder(config, profile, first), monotonic=clock.monotonic, told=_teller(audit, observer)
    )


def _source(config: Config) -> PolicySource:
    return PackagedContract() if config.contract is None else ContractFile(config.contract)


def _builder(
    config: Config, profile: Profile, first: Contract | None = None
) -> Callable[[Mapping[str, bytes]], Contract]:
    measured = catalog(config)

    def build(files: Mapping[str, bytes]) -> Contract:
        [(name, content)] = files.items()
        try:
            contract = load_contract(content.decode(), file=name).with_overrides(profile.signals)
        except (UnicodeDecodeError, RecursionError) as problem:
            raise ConfigurationError(name, f"is no text of a contract: {problem}", "Write UTF-8 YAML") from problem
        problems = unsound(contract, measured, first)
        if problems:
            raise ConfigurationError(name, "; ".join(problems), "Mend the file")
        return contract

    return build


def _teller(audit: AuditPort, observer: Observer) -> Callable[[ContractChange], None]:
    def told(change: ContractChange) -> None:
        observer(Event(kind="note", cycle_id="", what=change.said(), details={"taken": change.taken}))
        entry = AuditEntry(
            kind=RecordKind.NOTE,
            cycle_id="",
            actor=ACTOR,
            status="contract_changed" if change.taken else "contract_kept",
            body={"contract": change.contract_hash, "before": change.before, "problem": change.problem},
        )
        audit.append(entry)

    return told
