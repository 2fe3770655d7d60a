"""What every store of requests has to hold to."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from adapters.requests.base import Answer, RequestDiffers, RequestInFlight, RequestsPort

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
LEASE = timedelta(minutes=15)
DONE = Answer(status=201, media_type="application/json", body='{"a":1}', headers={"location": "/a"})


def begun(requests: RequestsPort, caller: str = "ann", key: str = "k", at: datetime = NOON) -> str:
    """Begin a request, and return the ticket it has to give."""
    ticket = requests.begin(caller, key, "hash", at=at, lease=LEASE)
    assert isinstance(ticket, str)
    return ticket


class RequestsContract:
    """A vendor gives `requests`, empty."""

    @pytest.fixture
    def requests(self) -> RequestsPort:
        raise NotImplementedError

    def test_what_was_answered_is_answered_again(self, requests: RequestsPort) -> None:
        assert requests.finish(begun(requests), DONE, at=NOON)
        assert requests.begin("ann", "k", "hash", at=NOON + LEASE * 9, lease=LEASE) == DONE

    def test_a_key_stands_for_one_request_of_one_caller(self, requests: RequestsPort) -> None:
        ticket = begun(requests)
        with pytest.raises(RequestDiffers, match="another request"):
            requests.begin("ann", "k", "other", at=NOON, lease=LEASE)
        requests.finish(ticket, DONE, at=NOON)
        with pytest.raises(RequestDiffers):
            requests.begin("ann", "k", "other", at=NOON, lease=LEASE)
        assert len({ticket, begun(requests, "bob"), begun(requests, key="l")}) == 3

    def test_while_one_works_on_it_others_are_told_until_the_lease_is_over(self, requests: RequestsPort) -> None:
        first = begun(requests)
        with pytest.raises(RequestInFlight, match="worked on"):
            begun(requests, at=NOON + LEASE - timedelta(seconds=1))
        second = begun(requests, at=NOON + LEASE)
        assert not requests.finish(first, DONE, at=NOON + LEASE)
        with pytest.raises(RequestInFlight):
            begun(requests, at=NOON + LEASE)
        assert requests.finish(second, DONE, at=NOON + LEASE)

    def test_what_was_given_up_can_be_made_again_and_what_was_answered_cannot_be_given_up(
        self, requests: RequestsPort
    ) -> None:
        requests.abandon(begun(requests))
        ticket = begun(requests)
        requests.finish(ticket, DONE, at=NOON)
        requests.abandon(ticket)
        assert not requests.finish(ticket, DONE.model_copy(update={"status": 500}), at=NOON)
        assert requests.begin("ann", "k", "hash", at=NOON, lease=LEASE) == DONE

    def test_old_ones_are_forgotten(self, requests: RequestsPort) -> None:
        requests.finish(begun(requests), DONE, at=NOON)
        begun(requests, key="later", at=NOON + LEASE)
        assert requests.prune(NOON) == 0
        assert requests.prune(NOON + LEASE) == 1
        begun(requests)

    def test_of_many_at_once_exactly_one_does_it(self, requests: RequestsPort) -> None:
        got: list[object] = []
        gate = threading.Barrier(8)

        def ask() -> None:
            gate.wait()
            try:
                got.append(requests.begin("ann", "k", "hash", at=NOON, lease=LEASE))
            except RequestInFlight as problem:
                got.append(problem)

        askers = [threading.Thread(target=ask) for _ in range(8)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        assert len(got) == 8
        assert sum(isinstance(answer, str) for answer in got) == 1
