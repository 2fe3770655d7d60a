"""The documents as tests read them: code in them, commands, links, headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache

from tests.layout.tree import files, text

_FENCE = re.compile(r"^ *(```+|~~~+)")
_INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CALLED = re.compile(r"^(?:\w+=\S* +)*(?:\S*/)?(evercrew +\S.*)$")
# What follows a command in a line: the next of a pipe, where its output goes, or - behind a gap - what it is for.
_ENDS = re.compile(r"\s+(?:[|<>]|2>|&&|&$|#|;)|\s{3,}(?=\w)|;\s")


@cache
def documents() -> tuple[str, ...]:
    """Every document of the repository, as a path relative to its root."""
    return tuple(name for name in files() if name.endswith(".md"))


def blocks(name: str) -> Iterator[list[str]]:
    """Blocks of code of a document: fenced, or indented by four and more after an empty line."""
    block: list[str] = []
    fence, before = "", ""
    for line in (text(name) or "").splitlines():
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            yield block
            block, fence = [], "" if fence else mark[1]
        elif fence or (line.startswith("    ") and (block or not before.strip())):
            block.append(line if fence else line[4:])
        elif block and line.strip():
            yield block
            block = []
        before = line
    yield block


def code_lines(name: str) -> Iterator[str]:
    """Lines of the blocks of code; a line that a backslash continues is one."""
    for block in blocks(name):
        yield from re.sub(r"\\\n\s*", " ", "\n".join(block)).splitlines()


def prose(name: str) -> str:
    """The document without its fenced blocks of code."""
    kept: list[str] = []
    fence = ""
    for line in (text(name) or "").splitlines():
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        elif not fence:
            kept.append(line)
    return "\n".join(kept)


def inline(name: str) -> Iterator[str]:
    """Code in sentences; one that is broken over two lines is one."""
    for found in _INLINE.findall(prose(name)):
        yield re.sub(r"\s+", " ", found).replace("\\|", "|").strip()


def called(line: str) -> str:
    """What stands behind a call of `evercrew` in a line of code, options and all; empty where there is no call.

    Of alternatives (`on|off`, `[--agent ROLE | --tool NAME]`) it is the first.
    """
    match = _CALLED.match(line.strip())
    if match is None:
        return ""
    words = re.sub(r"\s*\|[^\]|]*(?=\])|(?<=\w)\|\w+", "", match[1].removeprefix("evercrew"))
    return re.split(_ENDS, f"{words.strip()} ")[0].replace("[", "").replace("]", "").strip()


def words_of(command: str) -> list[str]:
    """A command as the shell takes it apart."""
    return shlex.split(command)


def links(name: str) -> list[str]:
    """Targets of links within the repository."""
    return [to for to in _LINK.findall(prose(name)) if not re.match(r"[a-z]+:", to)]


@cache
def headings(name: str) -> frozenset[str]:
    """The anchors of a document's headings."""
    titles = re.findall(r"^#{1,6} +(.+?) *#*$", prose(name), flags=re.MULTILINE)
    return frozenset(_anchor(title) for title in titles)


def _anchor(title: str) -> str:
    plain = _LINK.sub(lambda found: found[0].split("](")[0].lstrip("!["), title)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
