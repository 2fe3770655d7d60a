"""Datasets in memory, for tests and embedding; the addresses are the ones DVC gives."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from pathlib import Path

from adapters.datasets.base import EFFECT_VERSION
from domain.canonical import sha256_text
from domain.dataset import DatasetRef
from domain.errors import DependencyUnavailable, DigestMismatch, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

_DATASET_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")


class MemoryDatasets:
    """`DatasetsPort` over dictionaries. `objects` is the remote: address -> bytes, open to tests that damage it."""

    def __init__(self, permits: PermitVerifier) -> None:
        self._permits = permits
        self._lock = threading.Lock()
        self._refs: list[DatasetRef] = []
        self._keys: dict[str, DatasetRef] = {}
        self._contents: dict[str, dict[str, str]] = {}
        self.objects: dict[str, bytes] = {}

    def version(self, *, source: Path, name: str, message: str, key: str, permit: Permit | None) -> DatasetRef:
        """See `DatasetsPort.version`."""
        self._permits.spend(permit, effect=EFFECT_VERSION, key=key)
        if not _DATASET_NAME.match(name):
            raise InvalidInput("name", f"{name!r} is not a dataset name", "Use letters, digits, _ and - (at most 100)")
        files = {p.relative_to(source).as_posix(): p.read_bytes() for p in sorted(source.rglob("*")) if p.is_file()}
        if not files:
            raise InvalidInput("source", f"{source.name} is not a folder with files", "Write the dataset first")
        with self._lock:
            if key not in self._keys:
                self._keys[key] = self._add(name, files)
            return self._keys[key]

    def materialise(self, ref: DatasetRef, into: Path) -> Path:
        """See `DatasetsPort.materialise`."""
        contents = self._checked(ref)
        target = into / ref.name
        for relative, address in contents.items():
            place = target / relative
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(self.objects[address])
        return target

    def find(self, md5: str) -> DatasetRef | None:
        """See `DatasetsPort.find`."""
        return next((ref for ref in reversed(self._refs) if ref.md5 == md5), None)

    def verify(self, ref: DatasetRef) -> None:
        """See `DatasetsPort.verify`."""
        self._checked(ref)

    def observe(self, key: str) -> Observation:
        """See `DatasetsPort.observe`."""
        ref = self._keys.get(key)
        return Observation.done(ref.model_dump()) if ref else Observation.absent("no dataset carries the key")

    def check(self) -> str:
        """See `DatasetsPort.check`."""
        return f"memory: {len(self._refs)} datasets"

    def _add(self, name: str, files: dict[str, bytes]) -> DatasetRef:
        contents = {path: _md5(data) for path, data in files.items()}
        entries = [{"md5": address, "relpath": path} for path, address in sorted(contents.items())]
        md5 = _md5(json.dumps(entries, sort_keys=True).encode()) + ".dir"
        for ref in self._refs:
            if (ref.name, ref.md5) == (name, md5):
                return ref
        self.objects.update({contents[path]: data for path, data in files.items()})
        self._contents[md5] = contents
        revision = sha256_text(f"{len(self._refs)} {name} {md5}")[:40]
        self._refs.append(DatasetRef(name=name, path=name, md5=md5, revision=revision))
        return self._refs[-1]

    def _checked(self, ref: DatasetRef) -> dict[str, str]:
        known = next((other for other in self._refs if other.revision == ref.revision), None)
        if known is None or known.path != ref.path:
            raise DigestMismatch(f"there is no pointer {ref.path} at revision {ref.revision[:12]}")
        if known.md5 != ref.md5:
            raise DigestMismatch(f"{ref.path} at {ref.revision[:12]} names {known.md5} instead of {ref.md5}")
        contents = self._contents[ref.md5]
        for path, address in contents.items():
            if address not in self.objects:
                raise DependencyUnavailable("memory", f"the remote lacks {path} ({address})")
            if _md5(self.objects[address]) != address:
                raise DigestMismatch(f"{path} does not have the hash {address} in the remote")
        return contents


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
