"""Proofs, rates and bodies: the parts by themselves, at their edges."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.inbox.base import InboxFull, NewLetter
from adapters.inbox.memory import MemoryInbox
from adapters.store.memory import MemoryStore
from domain.clock import FrozenClock
from domain.errors import DependencyUnavailable
from service.webhooks.batch import Batch
from service.webhooks.limits import Buckets, NotPacked, TooLarge, TooSlow, body_of, unpacked
from service.webhooks.proof import Prover, Seen, Standing, signature
from tests.contract.inbox_contract import letter

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
WINDOW = timedelta(minutes=5)
SECOND = timedelta(seconds=1)


async def dripping(*parts: bytes, pause: float = 0.0) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(pause)
        yield part


def prover(clock: FrozenClock) -> Prover:
    return Prover(clock, tokens=("token",), secrets=("new", "old"), window=WINDOW)


@given(st.binary(max_size=200), st.binary(max_size=200), st.integers(0, 2**40), st.sampled_from(["new", "old", "none"]))
def test_only_the_body_and_time_that_were_signed_are_proven(body: bytes, other: bytes, at: int, secret: str) -> None:
    headers = {"x-evercrew-timestamp": str(at), "x-evercrew-signature": signature(secret, str(at), body)}
    found = prover(FrozenClock(NOON)).of_body(headers, other)
    assert (found.standing is Standing.PROVEN) == (body == other and secret != "none")


def test_a_signature_counts_once_and_is_forgotten_when_its_time_is_over() -> None:
    clock = FrozenClock(NOON)
    seen = Seen(clock, WINDOW, most=2)
    for seal in ("a", "b", "c"):
        seen.add(seal)
    assert ["a" in seen, "b" in seen, "c" in seen] == [False, True, True]
    clock.advance(2 * WINDOW + SECOND)
    assert "c" not in seen


def test_the_time_may_be_in_milliseconds() -> None:
    at = str(int(NOON.timestamp() * 1000))
    headers = {"x-evercrew-timestamp": at, "x-evercrew-signature": signature("new", at, b"x")}
    looked = prover(FrozenClock(NOON))
    assert looked.before_body(headers, "either") is None
    assert looked.of_body(headers, b"x").standing is Standing.PROVEN


@pytest.mark.parametrize("given", ["token", "Basic dG9rZW4=", "Bearer", "Bearer  ", "bearer wrong"])
def test_what_is_no_bearer_of_ours_is_forged(given: str) -> None:
    found = prover(FrozenClock(NOON)).before_body({"authorization": given}, "either")
    assert found is not None
    assert found.standing is Standing.FORGED


def test_a_bucket_gives_a_burst_and_then_so_many_a_minute_to_each_sender() -> None:
    clock = FrozenClock(NOON)
    buckets = Buckets(clock, per_minute=60, burst=2)
    assert [buckets.take("a") for _ in range(3)] == [None, None, SECOND]
    assert buckets.take("b") is None
    clock.advance(SECOND)
    assert buckets.take("a") is None
    assert buckets.take("a") == SECOND


def test_so_many_senders_are_remembered_and_no_more() -> None:
    buckets = Buckets(FrozenClock(NOON), per_minute=1, burst=1, most=3)
    assert [buckets.take(str(n)) for n in range(10)] == [None] * 10
    assert len(buckets._left) == 3


def test_a_body_within_its_limits_is_read_whole() -> None:
    assert asyncio.run(body_of(dripping(b"a", b"", b"bc"), most=3, timeout=WINDOW)) == b"abc"


def test_a_body_is_read_no_further_than_its_limit_and_for_no_longer() -> None:
    read: list[bytes] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read.append(b"xx")
            yield b"xx"

    with pytest.raises(TooLarge):
        asyncio.run(body_of(endless(), most=5, timeout=WINDOW))
    assert len(read) == 3
    with pytest.raises(TooSlow):
        asyncio.run(body_of(dripping(b"a", b"b", pause=30), most=5, timeout=timedelta(seconds=0.05)))


@given(st.binary(max_size=3000))
def test_what_is_packed_is_unpacked(plain: bytes) -> None:
    assert unpacked(gzip.compress(plain), "GZIP", most=3000) == plain


@pytest.mark.parametrize(
    "packed",
    [b"", b"\x1f\x8b", gzip.compress(b"x")[:-1], gzip.compress(b"x") * 2],
    ids=["empty", "only its mark", "cut off", "two of them"],
)
def test_what_is_no_gzip_or_more_than_one_is_named(packed: bytes) -> None:
    with pytest.raises(NotPacked):
        unpacked(packed, "gzip", most=100)


# -- batches --------------------------------------------------------------------------------------


class Counting(MemoryInbox):
    """An inbox that counts transactions, and is slow enough for others to come meanwhile."""

    def __init__(self, limit: int = 10_000, broken: bool = False) -> None:
        clock = FrozenClock(NOON)
        super().__init__(MemoryStore(), clock, limit=limit)
        self.puts: list[int] = []
        self.broken = broken
        self.go_on = threading.Event()

    def put(self, letters: Sequence[NewLetter]) -> None:
        """See `InboxPort.put`."""
        self.go_on.wait(60)
        self.puts.append(len(letters))
        if self.broken:
            raise DependencyUnavailable("inbox", "it is away")
        super().put(letters)


async def sent(inbox: Counting, counts: Sequence[int]) -> list[BaseException | None]:
    """Put letters of several requests at once, and return what each was told."""
    with ThreadPoolExecutor(1) as threads:
        batch = Batch(inbox, threads)
        waiting = [
            asyncio.create_task(batch.put([letter(f"f{n}-{m}") for m in range(count)]))
            for n, count in enumerate(counts)
        ]
        await asyncio.sleep(0.05)
        inbox.go_on.set()
        return await asyncio.gather(*waiting, return_exceptions=True)


def test_requests_that_come_at_once_share_a_transaction() -> None:
    inbox = Counting()
    assert asyncio.run(sent(inbox, [1, 2, 3, 0])) == [None] * 4
    assert sum(inbox.puts) == inbox.counts().waiting == 6
    assert len(inbox.puts) <= 2


def test_what_cannot_be_written_is_told_to_everybody_whose_it_is() -> None:
    told = asyncio.run(sent(Counting(broken=True), [1, 2]))
    assert [type(one) for one in told] == [DependencyUnavailable] * 2


def test_where_room_is_short_those_that_fit_are_taken() -> None:
    inbox = Counting(limit=3)
    told = asyncio.run(sent(inbox, [1, 5, 2]))
    assert [type(one) for one in told] == [type(None), InboxFull, type(None)]
    assert inbox.counts().waiting == 3
