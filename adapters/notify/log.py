"""Notifications as JSON lines in a file, where any log shipper picks them up."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapters.notify.base import EFFECT_SEND, Message
from domain.canonical import canonical_json
from domain.clock import Clock
from domain.errors import DependencyUnavailable
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier


class LogNotify:
    """A `NotifyPort` on one file; flushed before `send` returns."""

    def __init__(self, path: Path, clock: Clock, permits: PermitVerifier) -> None:
        self._path = path
        self._clock = clock
        self._permits = permits
        self._lock = threading.Lock()

    def send(self, message: Message, *, key: str, permit: Permit | None) -> None:
        """See `NotifyPort.send`.

        Raises:
            PermitError: the permit does not cover this; nothing was sent.
            DependencyUnavailable: the file cannot be written.
        """
        self._permits.spend(permit, effect=EFFECT_SEND, key=key)
        with self._lock, self._guarded():
            if self._find(key) is not None:
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b") as out:
                # A line that a dying process left half written must not swallow this one.
                torn = out.tell() > 0 and not self._ends_in_newline()
                line = canonical_json({"key": key, "at": self._clock.now(), **message.model_dump()}) + "\n"
                out.write((b"\n" if torn else b"") + line.encode())
                out.flush()
                os.fsync(out.fileno())

    def observe(self, key: str) -> Observation:
        """See `NotifyPort.observe`; outcome has ``at``."""
        try:
            found = self._find(key)
        except OSError as error:
            return Observation.unknown(f"{self._path} cannot be read: {error}")
        return Observation.absent() if found is None else Observation.done({"at": found["at"]})

    def check(self) -> str:
        """See `NotifyPort.check`."""
        with self._guarded():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if not os.access(self._path if self._path.exists() else self._path.parent, os.W_OK):
                raise PermissionError("no right to write")
        return f"notify: log at {self._path}"

    def _find(self, key: str) -> dict[str, Any] | None:
        if not self._path.exists():
            return None
        with self._path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                entry = _entry(line)
                if entry.get("key") == key:
                    return entry
        return None

    def _ends_in_newline(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DependencyUnavailable(
                "notify", f"{self._path} cannot be used: {error}", "Check the folder of `state` and the disk"
            ) from error


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
