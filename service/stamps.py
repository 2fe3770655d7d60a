"""When a watched file, or what is in a watched folder, may have changed: found out by looking, without reading."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from domain.clock import Clock

if TYPE_CHECKING:
    from policies.watched import Stamp


def stamp_of(place: Path, clock: Clock, within: Callable[[Path], Iterable[Path]] = lambda _resolved: ()) -> Stamp:
    """Return the stamp of a place, which may be a symbolic link that is swapped, and of the files `within` it.

    The change time tells it from the time a file says of itself: whoever copies one into place can set only that one.

    Raises:
        OSError, RuntimeError: it cannot be looked at; the latter where its links lead in a ring.
    """
    from policies.watched import Stamp

    resolved = place.resolve(strict=True)
    seen = [(path.name, path.stat()) for path in (resolved, *within(resolved))]
    marks = tuple((name, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in seen)
    newest = max(s.st_ctime for _, s in seen)
    return Stamp(mark=(str(resolved), marks), age=clock.now() - datetime.fromtimestamp(newest, UTC))
