"""Objects as files below a folder: another disk, or a network file system."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from adapters.backup.base import accept, check_name, missing
from adapters.meter import metered
from domain.errors import DependencyUnavailable

NAME = "backup folder"
_CHECK = "check"
_MIB = 1024 * 1024


class LocalObjects:
    """`ObjectsPort` over `folder`, made when absent; a file takes its name once it is whole and on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, source: Path) -> None:
        """See `ObjectsPort.put`."""
        place = self._place(name)
        with self._guarded():
            place.parent.mkdir(parents=True, exist_ok=True)
            handle, scratch = tempfile.mkstemp(dir=place.parent, prefix=".")
            try:
                with os.fdopen(handle, "wb") as out, source.open("rb") as content:
                    shutil.copyfileobj(content, out)
                    out.flush()
                    os.fsync(out.fileno())
                Path(scratch).replace(place)
            finally:
                Path(scratch).unlink(missing_ok=True)

    def get(self, name: str, into: Path, *, sha256: str) -> None:
        """See `ObjectsPort.get`."""
        place = self._present(name)
        fetched = into.with_name(f".{into.name}.part")
        with self._guarded():
            shutil.copyfile(place, fetched)
        accept(fetched, into, name, sha256)

    def read(self, name: str) -> bytes:
        """See `ObjectsPort.read`."""
        place = self._present(name)
        with self._guarded():
            return place.read_bytes()

    def names(self, prefix: str = "") -> Mapping[str, int]:
        """See `ObjectsPort.names`."""
        with self._guarded():
            files = {
                path.relative_to(self._folder).as_posix(): path.stat().st_size
                for path in self._folder.rglob("*")
                if path.is_file() and not path.name.startswith(".")
            }
        return {name: size for name, size in sorted(files.items()) if name.startswith(prefix)}

    def delete(self, names: Iterable[str]) -> None:
        """See `ObjectsPort.delete`."""
        with self._guarded():
            for name in names:
                self._place(name).unlink(missing_ok=True)

    def check(self) -> str:
        """See `ObjectsPort.check`."""
        with self._guarded(), tempfile.TemporaryDirectory(prefix="evercrew-backup-") as scratch:
            probe = Path(scratch) / _CHECK
            probe.write_text(_CHECK)
            self.put(_CHECK, probe)
            self.delete([_CHECK])
            free = shutil.disk_usage(self._folder).free
        return f"{NAME}: can be written, {free // _MIB} MiB free"

    def _place(self, name: str) -> Path:
        return self._folder / check_name(name)

    def _present(self, name: str) -> Path:
        place = self._place(name)
        if not place.is_file():
            raise missing(name)
        return place

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with metered(NAME):
            try:
                yield
            except OSError as error:
                what = f"{error.strerror or error}: {error.filename or self._folder.name}"
                raise DependencyUnavailable(
                    NAME, what, "Mend backup.to, or make the folder writable and its disk larger"
                ) from error
