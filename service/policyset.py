"""The policy set as files: read, watched, and told of when it changes or cannot be put in force."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.audit.base import AuditPort
from adapters.meter import policy_change
from domain.clock import Clock, SystemClock
from domain.errors import PolicySetBroken
from domain.events import Event, Observer
from domain.receipt import AuditEntry, RecordKind
from policies.packaged import packaged_policy_files
from service.stamps import stamp_of

if TYPE_CHECKING:
    from policies.live import LivePolicies, PolicyChange
    from policies.watched import PolicySource, Stamp

SUFFIXES = (".cedar", ".cedarschema")
# A policy is a page of text; what is larger is no policy.
MOST_BYTES = 1 << 20
ACTOR = "engine"


class PolicyFolder:
    """A `PolicySource` on a folder of ``.cedar`` files and one ``.cedarschema``; other files in it are ignored.

    The folder may be a symbolic link that is swapped, as a mounted ConfigMap is.
    """

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self._folder = folder
        self._clock = clock or SystemClock()

    def stamp(self) -> Stamp:
        """See `PolicySource.stamp`."""
        try:
            return stamp_of(self._folder, self._clock, self._files)
        except (OSError, RuntimeError) as problem:
            raise self._unreadable(problem) from problem

    def read(self) -> Mapping[str, bytes]:
        """See `PolicySource.read`."""
        try:
            return {path.name: self._content(path) for path in self._files(self._folder.resolve(strict=True))}
        except (OSError, RuntimeError) as problem:
            raise self._unreadable(problem) from problem

    @staticmethod
    def _files(folder: Path) -> Iterator[Path]:
        return (path for path in sorted(folder.iterdir()) if path.name.endswith(SUFFIXES))

    @staticmethod
    def _content(path: Path) -> bytes:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise PolicySetBroken(f"{path.name} is no regular file")
        if found.st_size > MOST_BYTES:
            raise PolicySetBroken(f"{path.name} has {found.st_size} bytes; a policy file has at most {MOST_BYTES}")
        return path.read_bytes()

    def _unreadable(self, problem: Exception) -> PolicySetBroken:
        return PolicySetBroken(f"the folder of `policies` cannot be read ({problem}); make {self._folder} readable")


class PackagedSet:
    """A `PolicySource` that never changes: the set that ships with this package."""

    def stamp(self) -> Stamp:
        """See `PolicySource.stamp`."""
        from policies.watched import Stamp

        return Stamp(mark="packaged", age=None)

    def read(self) -> Mapping[str, bytes]:
        """See `PolicySource.read`."""
        return packaged_policy_files()


def live_policies(folder: Path | None, *, clock: Clock, audit: AuditPort, observer: Observer) -> LivePolicies:
    """Return the decision point on a folder, or on the packaged set; what changes is told, counted and on record."""
    from policies.live import LivePolicies

    source: PolicySource = PackagedSet() if folder is None else PolicyFolder(folder)
    return LivePolicies(source, monotonic=clock.monotonic, told=_teller(audit, observer))


def _teller(audit: AuditPort, observer: Observer) -> Callable[[PolicyChange], None]:
    """Tell and count a change, and put it on record; the first set of a process is no change."""

    def told(change: PolicyChange) -> None:
        policy_change(taken=change.taken)
        if change.taken and not change.before:
            return
        observer(Event(kind="note", cycle_id="", what=change.said(), details={"taken": change.taken}))
        entry = AuditEntry(
            kind=RecordKind.NOTE,
            cycle_id="",
            actor=ACTOR,
            status="policies_changed" if change.taken else "policies_kept",
            policy_hash=change.policy_hash or change.before,
            body={"before": change.before, "problem": change.problem},
        )
        audit.append(entry)

    return told
