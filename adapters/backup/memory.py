"""Objects in memory, for tests and embedding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from adapters.backup.base import accept, check_name, missing


class MemoryObjects:
    """`ObjectsPort` over a dictionary; `objects` is open to tests that damage it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, name: str, source: Path) -> None:
        """See `ObjectsPort.put`."""
        self.objects[check_name(name)] = source.read_bytes()

    def get(self, name: str, into: Path, *, sha256: str) -> None:
        """See `ObjectsPort.get`."""
        fetched = into.with_name(f".{into.name}.part")
        fetched.write_bytes(self.read(name))
        accept(fetched, into, name, sha256)

    def read(self, name: str) -> bytes:
        """See `ObjectsPort.read`."""
        try:
            return self.objects[check_name(name)]
        except KeyError:
            raise missing(name) from None

    def names(self, prefix: str = "") -> Mapping[str, int]:
        """See `ObjectsPort.names`."""
        return {name: len(data) for name, data in sorted(self.objects.items()) if name.startswith(prefix)}

    def delete(self, names: Iterable[str]) -> None:
        """See `ObjectsPort.delete`."""
        for name in names:
            self.objects.pop(check_name(name), None)

    def check(self) -> str:
        """See `ObjectsPort.check`."""
        return f"memory: {len(self.objects)} objects"
