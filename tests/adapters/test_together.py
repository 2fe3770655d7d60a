"""Threads that write at once share a transaction, and none of them is told of a write that did not happen."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType

import pytest

from adapters.together import COMPANY, Brought, Together, Turns
from domain.clock import SystemClock
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
        assert self.open.wait(60)
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
        thread.join(60)
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


def test_what_is_brought_goes_in_order_and_in_parts_that_fit_and_are_never_parted() -> None:
    first, released, written = threading.Event(), threading.Event(), list[list[str]]()

    def write(brought: Sequence[str]) -> None:
        written.append(list(brought))
        first.set()
        assert released.wait(60)

    turns = Turns(write, most=4, size=len)
    threads = []
    for place, item in enumerate(["a", "bb", "cc", "d", "eeeeee", "f"]):
        threads.append(threading.Thread(target=turns.bring, args=(item,)))
        threads[-1].start()
        assert first.wait(60)
        while len(turns) < place:
            threads[-1].join(0.001)
    released.set()
    for thread in threads:
        thread.join(60)
    assert written == [["a"], ["bb", "cc"], ["d"], ["eeeeee"], ["f"]]


def test_all_that_shared_a_transaction_are_told_why_it_failed() -> None:
    book, fates = Book(refuses="c"), dict[str, Brought[str]]()
    turns = Turns(book.write)

    def bring(item: str) -> None:
        fates[item] = turns.bring(item)

    threads = [threading.Thread(target=bring, args=(item,)) for item in "abcd"]
    for place, thread in enumerate(threads):
        thread.start()
        while len(turns) < place or (place == 0 and not book.batches):
            thread.join(0.001)
    book.open.set()
    for thread in threads:
        thread.join(60)
    assert {item: fate.written for item, fate in fates.items()} == {"a": True, "b": False, "c": False, "d": False}
    assert {str(fate.problem) for item, fate in fates.items() if item != "a"} == {"book: it is refused. Bring another"}
    assert [fates[item].alone for item in "ab"] == [True, False]


def test_where_many_wrote_together_the_next_waits_for_company_and_alone_nobody_waits() -> None:
    book = Book()
    turns, clock = Turns(book.write, gather=timedelta(seconds=1)), Waiting()
    turns._clock = clock
    threads = [threading.Thread(target=turns.bring, args=(f"{number}",)) for number in range(COMPANY + 1)]
    for place, thread in enumerate(threads):
        thread.start()
        while len(turns) < place or (place == 0 and not book.batches):
            thread.join(0.001)
    book.open.set()
    for thread in threads:
        thread.join(60)
    assert book.batches == [1, COMPANY]
    first = threading.Thread(target=turns.bring, args=("first",))
    first.start()
    second = threading.Thread(target=turns.bring, args=("second",))
    while not clock.waits:
        first.join(0.001)
    second.start()
    while len(turns) < 2:
        second.join(0.001)
    clock.over.set()
    for thread in (first, second):
        thread.join(60)
    assert book.batches == [1, COMPANY, 2]
    turns.bring("alone")
    assert clock.waits == 1
    assert book.batches == [1, COMPANY, 2, 1]


def test_one_that_is_stopped_while_it_waits_for_company_leaves_the_queue_usable() -> None:
    book, fates = Book(), dict[str, Brought[str]]()
    book.open.set()
    turns = Turns(book.write, gather=timedelta(microseconds=1))
    turns._company, turns._clock = COMPANY, Stopped()
    with pytest.raises(KeyboardInterrupt):
        turns.bring("a")
    turns._clock = SystemClock()
    after = threading.Thread(target=lambda: fates.update(b=turns.bring("b")), daemon=True)
    after.start()
    after.join(60)
    assert fates["b"].written
    assert book.kept == ["b"]


class Waiting(SystemClock):
    """Whoever waits by it waits until it is `over`, and is counted."""

    def __init__(self) -> None:
        self.waits, self.over = 0, threading.Event()

    def sleep(self, duration: timedelta) -> None:
        """See `Clock.sleep`."""
        self.waits += 1
        assert self.over.wait(60)


class Stopped(SystemClock):
    """Whoever waits by it is stopped."""

    def sleep(self, duration: timedelta) -> None:
        """Raise what a person stops a program with."""
        raise KeyboardInterrupt


@pytest.mark.parametrize("called", [False, True])
def test_one_that_is_stopped_in_the_queue_leaves_it_and_whoever_comes_later_is_written(called: bool) -> None:
    """`called`: it was told to write next, and is stopped before it began."""
    book, fates = Book(), dict[str, Brought[str]]()
    turns = Turns(book.write)
    first = threading.Thread(target=turns.bring, args=("first",), daemon=True)
    last = threading.Thread(target=lambda: fates.update(last=turns.bring("last")), daemon=True)

    def stop() -> None:
        while not len(turns):
            first.join(0.001)
        if called:
            last.start()
            while len(turns) < 2:
                first.join(0.001)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def called_meanwhile() -> None:
        book.open.set()
        first.join(60)

    first.start()
    while not book.batches:
        first.join(0.001)
    stopper = threading.Thread(target=stop, daemon=True)
    with interrupted(called_meanwhile if called else lambda: None):
        stopper.start()
        with pytest.raises(KeyboardInterrupt):
            turns.bring("stopped")
    if not called:
        assert len(turns) == 0
        book.open.set()
        last.start()
    last.join(60)
    assert fates["last"].written
    assert book.kept == ["first", "last"]
    assert (book.batches, len(turns)) == ([1, 1], 0)


@contextmanager
def interrupted(before: Callable[[], None]) -> Iterator[None]:
    """Let a signal stop the main thread as Ctrl-C does, after `before`."""

    def stop(number: int, frame: FrameType | None) -> None:
        before()
        raise KeyboardInterrupt

    kept = signal.signal(signal.SIGUSR1, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, kept)
