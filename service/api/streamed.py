"""A file that is sent part by part: however large it is, a part of it is in memory at a time.

It is opened once, and its tag is the hash of what is sent: a file that takes its place meanwhile is another one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api.etags import NotModified, matches
from service.api.problems import Problem

PART_BYTES = 256 * 1024
_ONE_RANGE = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$")


class FileSent(StreamingResponse):
    """An open file, or a part of it, as an answer; it is closed when it is sent, or when the client went."""

    def __init__(
        self, file: BinaryIO, part: range, *, status: int, headers: Mapping[str, str], media_type: str
    ) -> None:
        super().__init__(_parts(file, part), status_code=status, headers=headers, media_type=media_type)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._file:
            await super().__call__(scope, receive, send)


def streamed(
    path: Path, headers: Mapping[str, str], media_type: str, *, if_none_match: str, wanted: str, if_range: str
) -> FileSent:
    """Return a file as it is sent, with its tag.

    Args:
        wanted: the header Range; one range of bytes is understood, anything else is answered with the whole file.
        if_range: a tag: of another file than this one all is sent, whatever is wanted.

    Raises:
        NotModified: the client has it.
        Problem: 416, the range begins behind its end.
        OSError: it cannot be read.
    """
    with ExitStack() as closing:
        file = closing.enter_context(path.open("rb"))
        size, tag = _hashed(file)
        if matches(if_none_match, tag, weakly=True):
            raise NotModified(tag)
        part = _part(wanted, size) if if_range in ("", tag) else None
        told = {**headers, "ETag": tag, "Accept-Ranges": "bytes"}
        if part is not None:
            told["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
        found = part if part is not None else range(size)
        told["Content-Length"] = str(len(found))
        answer = FileSent(file, found, status=200 if part is None else 206, headers=told, media_type=media_type)
        closing.pop_all()
        return answer


def tag_of(digest: str) -> str:
    """Return the strong entity tag of a file whose SHA-256 this is."""
    return f'"{digest[:32]}"'


def _hashed(file: BinaryIO) -> tuple[int, str]:
    """Return how many bytes there are, and the tag of them: what is written behind them later is not sent."""
    size, digest = 0, hashlib.sha256()
    while part := file.read(PART_BYTES):
        size += len(part)
        digest.update(part)
    return size, tag_of(digest.hexdigest())


def _part(wanted: str, size: int) -> range | None:
    """Return the bytes that are wanted, or None for all."""
    found = _ONE_RANGE.match(wanted.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    start, stop = (int(first), int(last or size) + 1) if first else (max(0, size - int(last)), size)
    if start >= stop and first and start < size:
        return None  # it ends before it begins: no range
    if start >= size:
        problem, headers = f"there are {size} bytes", {"Content-Range": f"bytes */{size}"}
        remedy = "Ask for bytes that there are, or leave Range out"
        raise Problem(416, "There is no such part", problem, field="Range", remedy=remedy, headers=headers)
    return range(start, min(stop, size))


def _parts(file: BinaryIO, part: range) -> Iterator[bytes]:
    file.seek(part.start)
    left = len(part)
    while left:
        read = file.read(min(left, PART_BYTES))
        if not read:  # it was cut short meanwhile: the client sees that it did not get all
            return
        left -= len(read)
        yield read
