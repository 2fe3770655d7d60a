"""E-mail: the port's contract on a real SMTP server, and its ways to be wrong."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from adapters.notices.memory import MemoryNotices
from adapters.notify.base import EFFECT_SEND, Message, NotifyPort
from adapters.notify.email import EmailNotify, Mailbox
from adapters.rest import Refused
from domain.clock import FrozenClock
from domain.errors import (
    ConfigurationError,
    DependencyError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    InvalidInput,
)
from domain.observation import Seen
from domain.permit import PermitOffice
from testbed.servers.base import free_port
from testbed.servers.certificates import Authority
from tests.contract.notify_contract import MESSAGE, NotifyContract
from tests.contract.permits import permit_for
from tests.stubs.mail_server import MailServer

works = pytest.mark.integration("email", "works")
refused = pytest.mark.integration("email", "refused")
slow = pytest.mark.integration("email", "slow")
lying = pytest.mark.integration("email", "lying")
misconfigured = pytest.mark.integration("email", "misconfigured")

SENDER, TO = "evercrew@example.org", ("ann@example.org", "bob@example.org")


@pytest.fixture
def office() -> PermitOffice:
    return PermitOffice(FrozenClock())


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def cert(authority: Authority) -> tuple[Path, Path]:
    return authority.issue("mail")


def opened(office: PermitOffice, port: int, password: str = "", **fields: Any) -> EmailNotify:
    told = {"security": "none", "sender": SENDER, "to": TO, "timeout": timedelta(seconds=30), **fields}
    return EmailNotify(
        mailbox=Mailbox(host="127.0.0.1", port=port, **told),
        password=SecretStr(password) if password else None,
        register=MemoryNotices(),
        permits=office,
        clock=FrozenClock(),
    )


def sent(notify: NotifyPort, office: PermitOffice, message: Message = MESSAGE, key: str = "k1") -> None:
    notify.send(message, key=key, permit=permit_for(office, EFFECT_SEND, key))


@contextmanager
def speaking(*lines: bytes, close: bool = True) -> Iterator[int]:
    """A server that says these lines, one to every line it hears, and then nothing."""
    # Below the ports of clients: what is closed here is opened again by a test.
    with socket.create_server(("127.0.0.1", free_port())) as server:

        def serve() -> None:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                for line in lines:
                    connection.sendall(line)
                    if connection.recv(4096) == b"":
                        return
                if not close:
                    connection.recv(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]


@works
class TestEmail(NotifyContract):
    """The port's contract, in the clear on loopback."""

    @pytest.fixture
    def server(self) -> Iterator[MailServer]:
        with MailServer() as server:
            yield server

    @pytest.fixture
    def notify(self, office: PermitOffice, server: MailServer) -> NotifyPort:
        return opened(office, server.port)

    @pytest.fixture
    def sent(self, server: MailServer) -> Callable[[], list[str]]:
        return lambda: [subject.removeprefix("[evercrew] ") for subject in server.subjects()]

    def test_a_letter_is_whole_and_can_be_told_from_its_copy(
        self, notify: NotifyPort, office: PermitOffice, server: MailServer
    ) -> None:
        link = "https://evercrew.example/approvals/ap_1"
        told = Message(
            title="Promoted \u2713", body="ndcg <up>\nby 4 %", severity="critical", link=link, facts=(("a", "1"),)
        )
        sent(notify, office, told)
        (letter,) = server.letters
        assert (letter["From"], letter["To"]) == (SENDER, ", ".join(TO))
        assert server.envelopes == [(SENDER, list(TO))]
        assert letter["Message-ID"].endswith("@evercrew.example.org>")
        assert (letter["Auto-Submitted"], letter["X-Priority"]) == ("auto-generated", "1")
        text, page = letter.get_body(("plain",)), letter.get_body(("html",))
        assert text is not None
        assert page is not None
        assert "ndcg <up>\nby 4 %" in text.get_content().replace("\r\n", "\n")
        assert link in text.get_content()
        assert "ndcg &lt;up&gt;<br>by 4 %" in page.get_content()
        assert f'href="{link}"' in page.get_content()


@works
@pytest.mark.filterwarnings("ignore:Requiring AUTH")
@pytest.mark.parametrize("at_once", [False, True], ids=["starttls", "tls"])
def test_it_encrypts_and_logs_in(
    office: PermitOffice, authority: Authority, cert: tuple[Path, Path], at_once: bool
) -> None:
    with MailServer(cert=cert, at_once=at_once, users={"crew": "a-secret"}) as server:
        security = "tls" if at_once else "starttls"
        notify = opened(office, server.port, "a-secret", security=security, username="crew", ca=authority.ca)
        assert security.upper()[-3:] in notify.check()
        sent(notify, office)
        assert server.subjects() == [f"[evercrew] {MESSAGE.title}"]
        assert server.encrypted == [True]


@works
def test_who_takes_no_mail_does_not_keep_the_others_from_theirs(office: PermitOffice) -> None:
    with MailServer(refuses={TO[0]: "550 no such user"}) as server:
        sent(opened(office, server.port), office)
        assert server.envelopes == [(SENDER, [TO[1]])]


@refused
def test_nobody_listening_says_so_and_nothing_is_held_for_sent(office: PermitOffice) -> None:
    notify = opened(office, free_port())
    with pytest.raises(DependencyUnavailable, match=r"notify\.email\.host"):
        sent(notify, office)
    with pytest.raises(DependencyUnavailable):
        notify.check()
    assert notify.observe("k1").seen is Seen.ABSENT


@refused
def test_a_wrong_password_names_the_setting_and_never_itself(
    office: PermitOffice, authority: Authority, cert: tuple[Path, Path]
) -> None:
    with MailServer(cert=cert, users={"crew": "a-secret"}) as server:
        notify = opened(office, server.port, "wrong-one", security="starttls", username="crew", ca=authority.ca)
        with pytest.raises(Refused, match="EVERCREW_NOTIFY_EMAIL_PASSWORD") as error:
            sent(notify, office)
        assert "wrong-one" not in str(error.value)
        assert server.letters == []


@refused
@pytest.mark.parametrize(
    ("reply", "error"), [("550 no such user", InvalidInput), ("450 try again later", DependencyUnavailable)]
)
def test_addresses_that_get_nothing_are_named(office: PermitOffice, reply: str, error: type[Exception]) -> None:
    with MailServer(refuses=dict.fromkeys(TO, reply)) as server, pytest.raises(error, match="ann@example"):
        sent(opened(office, server.port), office)


@refused
@pytest.mark.parametrize(("reply", "error"), [("554 spam", InvalidInput), ("451 greylisted", DependencyUnavailable)])
def test_a_letter_that_is_not_taken_is_an_error_with_the_servers_words(
    office: PermitOffice, reply: str, error: type[Exception]
) -> None:
    with MailServer(reply=reply) as server:
        notify = opened(office, server.port)
        with pytest.raises(error, match=reply.split()[1]):
            sent(notify, office)
        assert notify.observe("k1").seen is Seen.ABSENT


@slow
def test_a_server_that_never_greets_is_a_timeout(office: PermitOffice) -> None:
    with speaking(close=False) as port:
        notify = opened(office, port, timeout=timedelta(seconds=0.2))
        with pytest.raises(DependencyTimeout):
            sent(notify, office)
        assert notify.observe("k1").seen is Seen.UNKNOWN


@slow
def test_a_server_that_falls_silent_in_the_middle_is_a_timeout_and_the_letter_is_sent_again(
    office: PermitOffice,
) -> None:
    with speaking(b"220 hello\r\n", b"250 hello\r\n", close=False) as port:
        notify = opened(office, port, timeout=timedelta(seconds=0.2))
        with pytest.raises(DependencyTimeout):
            sent(notify, office)
    with MailServer(port=port) as server:
        sent(notify, office)
        assert server.subjects() == [f"[evercrew] {MESSAGE.title}"]


@lying
@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_what_does_not_speak_smtp_is_recognised(office: PermitOffice, greeting: bytes) -> None:
    with speaking(greeting) as port, pytest.raises(DependencyError) as error:
        opened(office, port).check()
    assert isinstance(error.value, DependencyLied | DependencyUnavailable)
    assert "notify.email" in error.value.remedy


@lying
def test_a_server_that_hangs_up_after_its_greeting_is_unavailable(office: PermitOffice) -> None:
    with speaking(b"220 hello\r\n") as port, pytest.raises(DependencyUnavailable, match="hung up"):
        opened(office, port).check()


@lying
def test_a_server_that_offers_no_encryption_gets_no_letter(office: PermitOffice) -> None:
    with MailServer() as server:
        with pytest.raises(Refused, match="STARTTLS"):
            sent(opened(office, server.port, security="starttls"), office)
        assert server.letters == []


@misconfigured
def test_a_certificate_that_is_not_trusted_names_the_field(office: PermitOffice, cert: tuple[Path, Path]) -> None:
    with MailServer(cert=cert) as server:
        with pytest.raises(DependencyUnavailable, match=r"notify\.email\.ca"):
            sent(opened(office, server.port, security="starttls"), office)
        assert server.letters == []


@misconfigured
def test_tls_where_the_port_wants_starttls_says_so(office: PermitOffice, authority: Authority) -> None:
    with MailServer() as server, pytest.raises(DependencyUnavailable, match="security"):
        sent(opened(office, server.port, security="tls", ca=authority.ca), office)


@misconfigured
@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"username": "crew"}, "EVERCREW_NOTIFY_EMAIL_PASSWORD"),
        ({"ca": Path("missing.pem")}, "notify.email.ca"),
    ],
    ids=["user without password", "no such certificate"],
)
def test_each_way_to_misconfigure_it_names_its_field(office: PermitOffice, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        opened(office, 25, **fields)
    assert field in str(error.value)


@misconfigured
def test_a_password_is_never_sent_in_the_clear(office: PermitOffice) -> None:
    with pytest.raises(ConfigurationError, match="in the clear"):
        opened(office, 25, "a-secret", username="crew", security="none")


@misconfigured
@pytest.mark.parametrize("address", ["nobody", "a@b\nBcc: c@d", "a b@c", "<a@b>", "a@b,c@d"])
def test_what_is_no_address_is_refused(office: PermitOffice, address: str) -> None:
    with pytest.raises((ConfigurationError, ValidationError)):
        opened(office, 25, to=(address,))


@misconfigured
@pytest.mark.parametrize("title", ["Promoted\r\nBcc: everybody@example.org", "a\nb", "", " ", "x" * 400])
def test_a_title_that_would_end_the_header_is_refused_before_anything_is_sent(office: PermitOffice, title: str) -> None:
    with MailServer() as server:
        notify = opened(office, server.port)
        with pytest.raises(InvalidInput, match=r"message\.title"):
            sent(notify, office, MESSAGE.model_copy(update={"title": title}))
        assert server.letters == []
        assert notify.observe("k1").seen is Seen.ABSENT
