"""The platform's client, against a service that misbehaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from adapters.platform.base import EFFECT_QUARANTINE, PlatformPort
from adapters.platform.http import HttpPlatform
from adapters.platform.memory import MemoryPlatform
from domain.clock import FrozenClock
from domain.errors import DependencyError, DependencyLied, DependencyTimeout, DependencyUnavailable, InvalidInput
from domain.permit import PermitOffice
from tests.contract.permits import permit_for
from tests.contract.platform_contract import DOCUMENTS, JUDGEMENTS, LOGS, STATE, PlatformContract
from tests.contract.platform_stub import PlatformApi
from tests.contract.promserver import free_port
from tests.stubs.small_server import Asked, Said, SmallServer

VERSION = {
    "digest": "sha256:a",
    "values_revision": "r",
    "mode": "fast",
    "mode_source": "runtime",
    "tier": "premium",
    "variants": [],
    "index": {"generation": 1},
}


def client(url: str, **settings: float) -> HttpPlatform:
    return HttpPlatform(
        url=url,
        permits=PermitOffice(FrozenClock()),
        clock=FrozenClock(),
        timeout=timedelta(seconds=settings.get("seconds", 5)),
        most_bytes=int(settings.get("most_bytes", 10_000_000)),
    )


def always(status: int, body: str) -> Callable[[Asked], Said]:
    return lambda _request: Said(status, body.encode())


@pytest.mark.integration("platform", "works")
def test_a_service_that_is_not_ready_is_asked_again() -> None:
    answers = iter([Said(503, b"starting"), Said(502, b"gone"), Said(200, json.dumps(VERSION).encode())])
    with SmallServer(lambda _: next(answers)) as stub:
        assert client(stub.url).live().mode_source == "runtime"
        assert len(stub.seen) == 3


@pytest.mark.integration("platform", "refused")
def test_asking_again_has_an_end() -> None:
    with SmallServer(always(503, "still starting")) as stub:
        with pytest.raises(DependencyUnavailable, match="still starting"):
            client(stub.url).live()
        assert len(stub.seen) == 3


@pytest.mark.integration("platform", "lying")
def test_an_answer_cut_short_is_asked_for_again() -> None:
    body = json.dumps(VERSION).encode()
    answers = iter([Said(200, body[:20], promised=len(body)), Said(200, body)])
    with SmallServer(lambda _: next(answers)) as stub:
        assert client(stub.url).live().tier == "premium"


@pytest.mark.integration("platform", "refused")
def test_nobody_listening_is_unavailable() -> None:
    with pytest.raises(DependencyUnavailable, match="/version"):
        client(f"http://127.0.0.1:{free_port()}").live()


@pytest.mark.integration("platform", "slow")
def test_a_service_that_hangs_is_a_timeout() -> None:
    with SmallServer(lambda _: Said(), delay=30) as stub, pytest.raises(DependencyTimeout, match="/version"):
        client(stub.url, seconds=0.1).live()


@pytest.mark.integration("platform", "lying")
@pytest.mark.parametrize(
    "body", ["", "{", "[]", json.dumps({**VERSION, "digest": 5}), json.dumps({**VERSION, "index": {}})]
)
def test_a_state_that_is_none_is_a_lie(body: str) -> None:
    with SmallServer(always(200, body)) as stub, pytest.raises(DependencyLied, match="/version"):
        client(stub.url).live()


@pytest.mark.integration("platform", "lying")
def test_a_damaged_row_is_named_by_line_and_field() -> None:
    good = {"id": "a", "title": "t", "text": "x", "subject": "s", "arrived_at": 1.0, "seq": 1}
    bad = {**good, "seq": "many"}
    lines = json.dumps(good) + "\n" + json.dumps(bad) + "\n"
    with SmallServer(always(200, lines)) as stub, pytest.raises(DependencyLied, match="line 2: field seq"):
        client(stub.url).documents()
    with SmallServer(always(200, '"text"\n')) as stub, pytest.raises(DependencyLied, match="line 1"):
        client(stub.url).logs()


@pytest.mark.integration("platform", "lying")
def test_an_endless_answer_is_cut_off() -> None:
    with SmallServer(always(200, "x" * 100_000)) as stub, pytest.raises(DependencyLied, match="longer than 1000 bytes"):
        client(stub.url, most_bytes=1000).documents()


@pytest.mark.integration("platform", "works")
def test_times_and_limits_are_asked_of_the_service() -> None:
    with SmallServer(always(200, "")) as stub:
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        client(stub.url).judgements(since=moment, until=moment + timedelta(seconds=1), limit=7)
        client(stub.url).logs(contains="a&b=c", level="error")
        assert stub.seen[0].query == {
            "since": str(moment.timestamp()),
            "until": str(moment.timestamp() + 1),
            "limit": "7",
        }
        assert stub.seen[1].query == {"contains": "a&b=c", "level": "error", "limit": "200"}


@pytest.mark.integration("platform", "lying")
def test_a_service_that_sends_more_than_the_limit_is_cut_to_the_newest() -> None:
    lines = "".join(json.dumps({"ts": n, "level": "info", "event": f"e{n}"}) + "\n" for n in range(5))
    with SmallServer(always(200, lines)) as stub:
        assert [line.event for line in client(stub.url).logs(limit=2)] == ["e3", "e4"]


@pytest.mark.integration("platform", "refused")
@pytest.mark.parametrize(
    ("status", "error"),
    [(422, InvalidInput), (400, InvalidInput), (404, DependencyUnavailable), (500, DependencyError)],
)
def test_refusals_of_a_quarantine_are_told_apart(status: int, error: type[Exception]) -> None:
    office = PermitOffice(FrozenClock())
    with SmallServer(always(status, "no")) as stub:
        platform = HttpPlatform(url=stub.url, permits=office, clock=FrozenClock())
        with pytest.raises(error):
            platform.quarantine(
                since=datetime(2026, 1, 1, tzinfo=UTC),
                until=None,
                rule="click_disagreement",
                key="k1",
                permit=permit_for(office, EFFECT_QUARANTINE, "k1"),
            )


@pytest.mark.integration("platform", "works")
def test_a_key_is_no_path() -> None:
    with SmallServer(always(404, "")) as stub:
        client(stub.url).observe("../version?x=1")
        assert stub.seen[0].target == "/data/quarantine/..%2Fversion%3Fx%3D1"


@pytest.mark.integration("platform", "lying")
def test_a_quarantine_of_another_key_is_a_lie() -> None:
    with SmallServer(always(200, json.dumps({"key": "other", "dropped": 3}))) as stub, pytest.raises(DependencyLied):
        client(stub.url).observe("k1")


@pytest.mark.integration("platform", "works")
class TestHttpPlatform(PlatformContract):
    @pytest.fixture
    def platform(self, office: PermitOffice) -> Iterator[PlatformPort]:
        service = PermitOffice(FrozenClock())
        filled = MemoryPlatform(permits=service, state=STATE, documents=DOCUMENTS, judgements=JUDGEMENTS, logs=LOGS)
        with SmallServer(PlatformApi(filled, service)) as stub:
            client = HttpPlatform(url=stub.url, permits=office, clock=FrozenClock())
            yield client
            client.close()
