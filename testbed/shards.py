"""The index files: stored fields of every indexed document in eight shard files, read from disk at every search.

A record is `crc32 (8 hex) | JSON | newline`; `directory.jsonl` beside the shards tells where each one stands. A
record that does not match its checksum cannot be shown, so its document is missing from the results until the index
is rebuilt. A document that the directory leaves out is no part of the index: no search finds it.

    ShardError   a stored record is damaged or unreadable
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import weakref
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from testbed.errors import TestbedError

SHARDS = 8
_DIRECTORY = "directory.jsonl"


class ShardError(TestbedError):
    """The stored fields of a document cannot be read from its shard file."""

    def __init__(self, shard: int, doc_id: str, reason: str) -> None:
        super().__init__(f"shard {shard:02d}: record of {doc_id!r} {reason}; raise index.generation to rebuild")
        self.shard = shard


class Stored(NamedTuple):
    """What a result shows of a document."""

    id: str
    title: str
    subject: str


@dataclass(frozen=True, slots=True)
class _Place:
    shard: int
    offset: int
    length: int


def shard_of(doc_id: str) -> int:
    """The shard that holds a document."""
    return hashlib.sha256(doc_id.encode()).digest()[0] % SHARDS


def shard_path(root: Path, generation: int, shard: int) -> Path:
    """The file of one shard of one index generation."""
    return root / f"gen-{generation:04d}" / f"shard-{shard:02d}.dat"


def directory_path(root: Path, generation: int) -> Path:
    """The file of one index generation that says where each stored document stands; what it leaves out is not found."""
    return root / f"gen-{generation:04d}" / _DIRECTORY


class ShardStore:
    """Stored fields of one index generation. Reads are thread-safe (`pread`); appending is for one thread at a time.

    The files are closed when the last search that uses the store has let go of it.
    """

    def __init__(self, root: Path, generation: int) -> None:
        self.generation = generation
        self._root = root
        self._home = root / f"gen-{generation:04d}"
        self._home.mkdir(parents=True, exist_ok=True)
        self._places: dict[str, _Place] = {}
        flags = os.O_RDWR | os.O_CREAT
        self._files = [os.open(shard_path(root, generation, shard), flags, 0o644) for shard in range(SHARDS)]
        weakref.finalize(self, _close, self._files)
        self._load_directory()
        self._stamp = self._directory_stamp()

    @classmethod
    def rebuild(cls, root: Path, generation: int, documents: Iterable[Stored]) -> ShardStore:
        """Write a generation anew from the documents and open it."""
        shutil.rmtree(root / f"gen-{generation:04d}", ignore_errors=True)
        store = cls(root, generation)
        store.append(documents)
        return store

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, doc_id: str) -> bool:
        return doc_id in self._places

    def append(self, documents: Iterable[Stored]) -> None:
        """Add documents; those already stored are skipped."""
        chunks: dict[int, list[bytes]] = {shard: [] for shard in range(SHARDS)}
        ends = [os.fstat(file).st_size for file in self._files]
        added: dict[str, _Place] = {}
        for document in documents:
            if document.id in self._places or document.id in added:
                continue
            shard = shard_of(document.id)
            payload = json.dumps(document, separators=(",", ":")).encode()
            record = b"%08x" % zlib.crc32(payload) + payload + b"\n"
            added[document.id] = _Place(shard, ends[shard], len(record))
            chunks[shard].append(record)
            ends[shard] += len(record)
        for shard, records in chunks.items():
            os.lseek(self._files[shard], 0, os.SEEK_END)
            _write_all(self._files[shard], b"".join(records))
        with (self._home / _DIRECTORY).open("a", encoding="utf-8") as directory:
            for doc_id, place in added.items():
                directory.write(json.dumps([doc_id, place.shard, place.offset, place.length]) + "\n")
        self._places.update(added)
        self._stamp = self._directory_stamp()

    def replaced(self) -> bool:
        """Whether somebody else has written the directory since this store read or wrote it."""
        return self._directory_stamp() != self._stamp

    def read(self, doc_id: str) -> Stored:
        """The stored fields of an indexed document; raises `ShardError`."""
        place = self._places.get(doc_id)
        if place is None:
            raise ShardError(shard_of(doc_id), doc_id, "is absent")
        record = os.pread(self._files[place.shard], place.length, place.offset)
        payload = record[8:-1]
        if len(record) != place.length or record[:8] != b"%08x" % zlib.crc32(payload):
            raise ShardError(place.shard, doc_id, "does not match its checksum")
        return Stored(*json.loads(payload))

    def _directory_stamp(self) -> tuple[int, int]:
        try:
            stat = (self._home / _DIRECTORY).stat()
        except FileNotFoundError:
            return (0, 0)
        return (stat.st_mtime_ns, stat.st_size)

    def _load_directory(self) -> None:
        path = self._home / _DIRECTORY
        if path.exists():
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    doc_id, shard, offset, length = json.loads(line)
                    self._places[doc_id] = _Place(shard, offset, length)


def _close(files: Iterable[int]) -> None:
    for file in files:
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
