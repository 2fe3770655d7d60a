"""The signed webhook: the port's contract on a receiver that checks the signature, and its ways to be wrong."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.notices.memory import MemoryNotices
from adapters.notify.base import EFFECT_SEND, Busy, Message, NotifyPort
from adapters.notify.webhook import WebhookNotify
from adapters.rest import Endpoint, Refused
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable, InvalidInput
from domain.observation import Seen
from domain.permit import PermitOffice
from testbed.servers.base import free_port
from tests.contract.notify_contract import MESSAGE, NotifyContract
from tests.contract.permits import permit_for
from tests.stubs.small_server import Asked, Said, SmallServer
from tests.support.waiting import until

works = pytest.mark.integration("webhook", "works")
refused = pytest.mark.integration("webhook", "refused")
slow = pytest.mark.integration("webhook", "slow")
lying = pytest.mark.integration("webhook", "lying")
misconfigured = pytest.mark.integration("webhook", "misconfigured")

SECRET = "sixteen-or-more-characters"


@dataclass
class Receiver:
    """A receiver as it should be written: it checks the signature and its age, and takes each message once."""

    clock: FrozenClock
    secret: str = SECRET
    bearable: float = 300
    messages: list[dict[str, Any]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def __call__(self, request: Asked) -> Said:
        if request.method != "POST":
            return Said(405, b"")
        told = dict(part.split("=", 1) for part in request.headers["x-evercrew-signature"].split(","))
        signed = f"{told['t']}.".encode() + request.body
        made = hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(made, told["v1"]):
            return Said(401, b"bad signature")
        if abs(self.clock.now().timestamp() - int(told["t"])) > self.bearable:
            return Said(401, b"too old")
        if request.headers["idempotency-key"] not in self.seen:
            self.seen.add(request.headers["idempotency-key"])
            self.messages.append(request.json())
        return Said(202, b"")


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def office(clock: FrozenClock) -> PermitOffice:
    return PermitOffice(clock)


@pytest.fixture
def receiver(clock: FrozenClock) -> Receiver:
    return Receiver(clock)


@pytest.fixture
def server(receiver: Receiver) -> Iterator[SmallServer]:
    with SmallServer(receiver) as server:
        yield server


def opened(office: PermitOffice, url: str, secret: str = SECRET, **fields: Any) -> WebhookNotify:
    told = {"timeout": timedelta(seconds=30), **fields}
    return WebhookNotify(
        address=SecretStr(url),
        secret=SecretStr(secret),
        reached=Endpoint(url="https://channel.invalid", **told),
        register=MemoryNotices(),
        permits=office,
        clock=FrozenClock(),
    )


def sent(notify: NotifyPort, office: PermitOffice, message: Message = MESSAGE, key: str = "k1") -> None:
    notify.send(message, key=key, permit=permit_for(office, EFFECT_SEND, key))


@works
class TestWebhook(NotifyContract):
    @pytest.fixture
    def office(self, office_clock: FrozenClock) -> PermitOffice:
        return PermitOffice(office_clock)

    @pytest.fixture
    def notify(self, office: PermitOffice, server: SmallServer) -> Iterator[NotifyPort]:
        notify = opened(office, f"{server.url}/hook?of=us")
        yield notify
        notify.close()

    @pytest.fixture
    def sent(self, receiver: Receiver) -> Callable[[], list[str]]:
        return lambda: [str(message["title"]) for message in receiver.messages]

    def test_the_message_is_json_with_everything_in_it(
        self, notify: NotifyPort, office: PermitOffice, receiver: Receiver, server: SmallServer
    ) -> None:
        told = MESSAGE.model_copy(update={"kind": "outcome", "link": "https://e.example/c", "facts": (("a", "1"),)})
        sent(notify, office, told)
        (message,) = receiver.messages
        assert message["facts"] == {"a": "1"}
        assert {name: message[name] for name in ("version", "key", "kind", "severity", "cycle_id", "link")} == {
            "version": 1,
            "key": "k1",
            "kind": "outcome",
            "severity": MESSAGE.severity,
            "cycle_id": MESSAGE.cycle_id,
            "link": "https://e.example/c",
        }
        assert server.seen[-1].headers["x-evercrew-event"] == "outcome"


@works
def test_a_message_that_is_sent_again_has_the_same_key_for_the_receiver(
    office: PermitOffice, receiver: Receiver, server: SmallServer
) -> None:
    for _ in range(2):  # two processes that do not know of one another
        sent(opened(office, server.url), office)
    assert len(server.seen) == 2
    assert len(receiver.messages) == 1


@refused
def test_nobody_listening_says_so(office: PermitOffice) -> None:
    notify = opened(office, f"http://127.0.0.1:{free_port()}/hook")
    with pytest.raises(DependencyUnavailable, match=r"notify\.webhook\.url"):
        sent(notify, office)
    with pytest.raises(DependencyUnavailable):
        notify.check()
    assert notify.observe("k1").seen is Seen.ABSENT


@refused
def test_another_secret_is_refused_by_the_receiver(
    office: PermitOffice, receiver: Receiver, server: SmallServer
) -> None:
    with pytest.raises(Refused, match="bad signature"):
        sent(opened(office, server.url, "another-secret-altogether"), office)
    assert receiver.messages == []


@refused
def test_a_signature_covers_the_body_and_the_time(
    office: PermitOffice, receiver: Receiver, server: SmallServer
) -> None:
    sent(opened(office, server.url), office)
    (asked,) = server.seen
    changed = json.dumps({**json.loads(asked.body), "title": "another"}).encode()
    assert receiver(Asked("POST", "/", {}, asked.headers, changed)).status == 401
    receiver.clock.advance(timedelta(minutes=6))
    assert receiver(Asked("POST", "/", {}, asked.headers, asked.body)).body == b"too old"


@refused
@pytest.mark.parametrize(("status", "error"), [(400, InvalidInput), (403, Refused), (500, DependencyUnavailable)])
def test_an_answer_that_is_a_no_is_an_error_and_can_be_tried_again(
    office: PermitOffice, status: int, error: type[Exception]
) -> None:
    with SmallServer(lambda _: Said(status, b"no")) as server:
        notify = opened(office, server.url)
        with pytest.raises(error):
            sent(notify, office)
        assert notify.observe("k1").seen is Seen.ABSENT


@slow
def test_a_late_answer_is_a_timeout_and_a_second_try_is_told_once(
    office: PermitOffice, receiver: Receiver, server: SmallServer
) -> None:
    late = threading.Event()
    server.answer = lambda request: receiver(request) if late.wait(60) else Said(500)
    notify = opened(office, server.url, timeout=timedelta(seconds=1))
    with pytest.raises(DependencyTimeout):
        sent(notify, office)
    assert notify.observe("k1").seen is Seen.UNKNOWN
    server.answer = receiver
    sent(notify, office)
    assert notify.observe("k1").seen is Seen.DONE
    late.set()
    until(lambda: len(server.exchanges) == 2)  # the late one as well
    assert len(receiver.messages) == 1


@slow
def test_too_many_is_busy_with_or_without_a_time(office: PermitOffice) -> None:
    with SmallServer(lambda _: Said(429, b"")) as server, pytest.raises(Busy) as error:
        sent(opened(office, server.url), office)
    assert error.value.after is None


@lying
def test_a_redirect_is_not_followed(office: PermitOffice, receiver: Receiver, server: SmallServer) -> None:
    away = Said(307, b"", headers={"Location": server.url})
    with SmallServer(lambda _: away) as other, pytest.raises(DependencyLied, match="elsewhere"):
        sent(opened(office, other.url), office)
    assert receiver.messages == []


@lying
def test_an_answer_without_an_end_is_cut(office: PermitOffice) -> None:
    with SmallServer(lambda _: Said(200, b"x" * 200_000)) as other, pytest.raises(DependencyLied, match="no end"):
        sent(opened(office, other.url), office)


@misconfigured
@pytest.mark.parametrize("secret", ["", "short"])
def test_a_secret_that_signs_nothing_is_refused(office: PermitOffice, secret: str) -> None:
    with pytest.raises(ConfigurationError, match="EVERCREW_NOTIFY_WEBHOOK_SECRET") as error:
        opened(office, "https://hook.example", secret)
    assert "short'" not in str(error.value)


@misconfigured
def test_a_certificate_that_is_missing_names_its_field(office: PermitOffice) -> None:
    with pytest.raises(ConfigurationError, match=r"notify\.webhook\.ca"):
        opened(office, "https://hook.example", ca=Path("missing.pem"))
