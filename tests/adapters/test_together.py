"""Threads that write at once share a transaction, and none of them is told of a write that did not happen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from adapters.together import Together
from domain.errors import DependencyError, DependencyUnavailable


class Book:
    """Where it is written; the first to come waits until `queued` others stand behind it."""

    def __init__(self, refuses: str = "", breaks: type[BaseException] | None = None) -> None:
        self.kept: list[str] = []
        self.batches: list[int] = []
        self.open = threading.Event()
        self._refuses, self._breaks = refuses, breaks

    def write(self, items: Sequence[str]) -> None:
        """Keep all of it or nothing."""
        self.batches.append(len(items))
        assert self.open.wait(5)
        if self._refuses in items:
            raise DependencyUnavailable("book", "it is refused", "Bring another")
        if self._breaks is not None and len(items) > 1:
            raise self._breaks("in the middle")
        self.kept.extend(items)


def brought(book: Book, items: Sequence[str]) -> dict[str, str]:
    """Bring each item from a thread, the rest while the first is being written; return what each is told."""
    told: dict[str, str] = {}
    together = Together(book.write)

    def bring(item: str) -> Callable[[], None]:
        def work() -> None:
            try:
                together.add(item)
                told[item] = "kept"
            except (DependencyError, KeyboardInterrupt) as problem:
                told[item] = type(problem).__name__

        return work

    threads = [threading.Thread(target=bring(item)) for item in items]
    for place, thread in enumerate(threads):
        thread.start()
        while len(together) < place or (place == 0 and not book.batches):
            thread.join(0.001)
    book.open.set()
    for thread in threads:
        thread.join(5)
    return told


def test_those_who_come_while_another_writes_share_one_transaction() -> None:
    book = Book()
    assert brought(book, ["a", "b", "c", "d"]) == dict.fromkeys("abcd", "kept")
    assert (book.batches, sorted(book.kept)) == ([1, 3], ["a", "b", "c", "d"])


def test_one_that_cannot_be_written_spoils_nothing_for_the_others() -> None:
    book = Book(refuses="c")
    told = brought(book, ["a", "b", "c", "d"])
    assert told == {"a": "kept", "b": "kept", "c": "DependencyUnavailable", "d": "kept"}
    assert sorted(book.kept) == ["a", "b", "d"]


def test_when_the_writing_thread_is_stopped_the_others_write_their_own() -> None:
    book = Book(breaks=KeyboardInterrupt)
    told = brought(book, ["a", "b", "c", "d"])
    assert sorted(told.values()) == ["KeyboardInterrupt", "kept", "kept", "kept"]
    assert set(book.kept) == {item for item, what in told.items() if what == "kept"}


def test_a_lone_write_that_fails_is_tried_once_and_leaves_the_queue_usable() -> None:
    book = Book(refuses="a")
    book.open.set()
    together = Together(book.write)
    with pytest.raises(DependencyUnavailable):
        together.add("a")
    together.add("b")
    assert (book.batches, book.kept) == ([1, 1], ["b"])
