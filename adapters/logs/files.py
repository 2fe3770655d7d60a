"""Log files of this host: JSON lines or plain text, with their rotated neighbours (`.1`, `.2.gz`), newest first."""

from __future__ import annotations

import gzip
import re
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from adapters.logs.base import Found, LogLine, checked, matches, newest
from adapters.logs.parsing import LONGEST, PATTERN, of_text, pattern_of
from adapters.meter import metered
from domain.errors import ConfigurationError, DependencyLied, DependencyUnavailable

NAME = "logs"
_ROTATED = re.compile(r"\.(\d+)(?:\.gz)?$")
_CHUNK = 1 << 16


class FileLogs:
    """`LogsPort` over files.

    Args:
        paths: the live files; their rotated neighbours are found beside them.
        pattern: of a plain-text line, with the groups ``ts``, ``event`` and perhaps ``level``. Lines that do not match
            belong to the line before (a stack trace).
        most_bytes: read in one search, decompressed, over all files.
    """

    def __init__(self, *, paths: Sequence[Path], pattern: str = PATTERN, most_bytes: int = 32 * 1024 * 1024) -> None:
        if not paths:
            raise ConfigurationError("logs.files", "names no file", "Name the platform's log files")
        self._paths = list(paths)
        self._pattern = pattern_of(pattern)
        self._most_bytes = most_bytes

    def search(
        self, since: datetime, until: datetime | None = None, contains: str = "", level: str = "", limit: int = 200
    ) -> Found:
        """See `LogsPort.search`."""
        checked(since, until, level, limit)
        with metered(NAME):
            found: list[LogLine] = []
            complete = True
            for live in self._paths:
                lines, whole = self._of_file(live, since)
                complete = complete and whole
                found += [line for line in lines if matches(line, since, until, contains, level)]
            return newest(found, limit, complete=complete)

    def check(self) -> str:
        """See `LogsPort.check`."""
        for path in self._paths:
            if not path.exists():
                raise ConfigurationError("logs.files", f"there is no file {path.name}", "Mend the path")
            lines, _ = self._read(path, _CHUNK)
            if lines and not any(self._parsed([line], None) for line in lines):
                raise ConfigurationError(
                    "logs.pattern", f"no line of {path.name} has a time it can read", "Give a pattern with a group ts"
                )
        return f"{NAME}: {len(self._paths)} files"

    def _of_file(self, live: Path, since: datetime) -> tuple[list[LogLine], bool]:
        """Return the parsed lines of a file and its older neighbours, back to `since` or as far as bytes allow."""
        left = self._most_bytes // len(self._paths)
        found: list[LogLine] = []
        for path in _generations(live):
            if left <= 0:
                return found, False
            raw, whole = self._read(path, left)
            left -= sum(len(line) + 1 for line in raw)
            lines = self._parsed(raw, since)
            found = lines + found
            if lines and lines[0].ts < since:
                return found, True
            if not whole:
                return found, False
        return found, True

    def _parsed(self, raw: Sequence[str], since: datetime | None) -> list[LogLine]:
        lines: list[LogLine] = []
        for text in raw:
            line = of_text(text, None, self._pattern)
            if line is not None:
                lines.append(line)
            elif lines and text.strip() and len(lines[-1].fields) < LONGEST:
                last = lines[-1]
                lines[-1] = last.model_copy(update={"fields": f"{last.fields}\n{text}".strip("\n")[:LONGEST]})
        return lines

    def _read(self, path: Path, most: int) -> tuple[list[str], bool]:
        """Return the last lines of a file, at most `most` bytes of them, and whether that is all of it."""
        try:
            content, whole = _tail_of_gz(path, most) if path.suffix == ".gz" else _tail(path, most)
        except FileNotFoundError:
            return [], True  # rotated away while it was looked for
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DependencyLied(NAME, f"{path.name} is no whole gzip file: {error}", "Remove or mend it") from error
        except OSError as error:
            remedy = "Let the user that runs this read logs.files"
            raise DependencyUnavailable(NAME, f"{path.name}: {error.strerror}", remedy) from error
        text = content.decode("utf-8", "replace")
        lines = text.split("\n")
        if lines and not lines[-1]:
            lines.pop()
        return (lines if whole else lines[1:]), whole


def _generations(live: Path) -> Iterator[Path]:
    """The live file, then its rotated neighbours from the newest on."""
    yield live
    found = [(match, path) for path in live.parent.glob(f"{live.name}.*") if (match := _ROTATED.search(path.name))]
    yield from (path for _, path in sorted(found, key=lambda item: int(item[0].group(1))))


def _tail(path: Path, most: int) -> tuple[bytes, bool]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - most, 0))
        return file.read(most), size <= most


def _tail_of_gz(path: Path, most: int) -> tuple[bytes, bool]:
    kept: deque[bytes] = deque()
    held, whole = 0, True
    with gzip.open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            kept.append(chunk)
            held += len(chunk)
            while held - len(kept[0]) >= most:
                held -= len(kept.popleft())
                whole = False
    content = b"".join(kept)
    return (content, whole) if len(content) <= most else (content[-most:], False)
