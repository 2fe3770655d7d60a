"""Datasets in memory, for tests and embedding; the addresses are the ones DVC gives."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Collection
from pathlib import Path

from adapters.datasets.base import (
    EFFECT_COLLECT,
    EFFECT_PIPELINE,
    EFFECT_POINT,
    EFFECT_TAG,
    EFFECT_VERSION,
    Collectable,
    Pipeline,
)
from domain.canonical import canonical_hash, sha256_text
from domain.dataset import DatasetRef
from domain.errors import ConflictError, DependencyUnavailable, DigestMismatch, InvalidInput
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
        self._tags: dict[str, DatasetRef] = {}
        self._pointers: dict[str, DatasetRef | None] = {}
        self._pointings: dict[str, DatasetRef | None] = {}
        self._pipelines: dict[str, tuple[str, DatasetRef]] = {}
        self._collected: dict[str, Collectable] = {}
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

    def tag(self, *, ref: DatasetRef, tag: str, key: str, permit: Permit | None) -> None:
        """See `DatasetsPort.tag`."""
        self._permits.spend(permit, effect=EFFECT_TAG, key=key)
        self._checked(ref)
        with self._lock:
            if self._tags.setdefault(tag, ref) != ref:
                raise ConflictError(f"the tag {tag} names another dataset version; tags are never moved")

    def tagged(self, tag: str) -> DatasetRef | None:
        """See `DatasetsPort.tagged`."""
        return self._tags.get(tag)

    def point(self, *, pointer: str, ref: DatasetRef | None, key: str, permit: Permit | None) -> None:
        """See `DatasetsPort.point`."""
        self._permits.spend(permit, effect=EFFECT_POINT, key=key)
        if not _DATASET_NAME.match(pointer):
            raise InvalidInput("pointer", f"{pointer!r} is not a pointer", "Use letters, digits, _ and - only")
        if ref is not None:
            self._checked(ref)
        with self._lock:
            if key not in self._pointings:
                self._pointings[key] = self._pointers[pointer] = ref

    def pointed(self, pointer: str) -> DatasetRef | None:
        """See `DatasetsPort.pointed`."""
        return self._pointers.get(pointer)

    def record(self, pipeline: Pipeline, *, message: str, key: str, permit: Permit | None) -> str:
        """See `DatasetsPort.record`."""
        self._permits.spend(permit, effect=EFFECT_PIPELINE, key=key)
        self._checked(pipeline.dataset)
        if not message.strip():
            raise InvalidInput("message", "is empty", "Say what the pipeline is of")
        with self._lock:
            revision = canonical_hash([len(self._pipelines), pipeline.model_dump(mode="json")])[:40]
            return self._pipelines.setdefault(key, (revision, pipeline.dataset))[0]

    def collectable(self, keep: Collection[str]) -> Collectable:
        """See `DatasetsPort.collectable`."""
        pointed = (ref.md5 for ref in self._pointers.values() if ref is not None)
        kept = {*keep, *pointed, *(ref.md5 for ref in self._tags.values()), *(ref.md5 for ref in self._refs[-1:])}
        versions = {ref.md5: ref for ref in reversed(self._refs)}
        for md5 in kept & set(versions):
            if any(address not in self.objects for address in self._contents[md5].values()):
                raise DependencyUnavailable("memory", f"the remote lacks objects of {md5}")
        needed = {a for md5 in kept & set(versions) for a in self._contents[md5].values()}
        gone = [ref for md5, ref in versions.items() if md5 not in kept]
        old = {a for ref in gone for a in self._contents[ref.md5].values()} - needed
        there = {address: len(self.objects[address]) for address in old if address in self.objects}
        return Collectable(
            datasets=tuple(gone) if there else (),
            kept=len(kept & set(versions)),
            objects=len(there),
            size=sum(there.values()),
        )

    def collect(self, *, keep: Collection[str], key: str, permit: Permit | None) -> Collectable:
        """See `DatasetsPort.collect`."""
        self._permits.spend(permit, effect=EFFECT_COLLECT, key=key)
        with self._lock:
            if key in self._collected:
                return self._collected[key]
            told = self.collectable(keep)
            gone = {ref.md5 for ref in told.datasets}
            needed = {a for md5, files in self._contents.items() if md5 not in gone for a in files.values()}
            for address in {a for md5 in gone for a in self._contents[md5].values()} - needed:
                self.objects.pop(address, None)
            self._collected[key] = told
            return told

    def observe(self, key: str) -> Observation:
        """See `DatasetsPort.observe`."""
        if key in self._collected:
            return Observation.done({"revision": key, "collected": self._collected[key].model_dump_json()})
        if key in self._pointings and self._pointings[key] is None:
            return Observation.done({"revision": key, "collected": ""})
        ref = self._pointings.get(key) or self._keys.get(key) or self._pipelines.get(key, ("", None))[1]
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
