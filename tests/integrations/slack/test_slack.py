"""Slack: the port's contract on a receiver that speaks its incoming webhooks, and its ways to be wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.notices.memory import MemoryNotices
from adapters.notify.base import EFFECT_SEND, Busy, Message, NotifyPort
from adapters.notify.slack import SlackNotify, payload
from adapters.rest import Endpoint, Refused
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable, InvalidInput
from domain.observation import Seen
from domain.permit import PermitOffice
from testbed.servers.base import free_port
from tests.contract.notify_contract import MESSAGE, NotifyContract
from tests.contract.permits import permit_for
from tests.stubs.small_server import Asked, Said, SmallServer

works = pytest.mark.integration("slack", "works")
refused = pytest.mark.integration("slack", "refused")
slow = pytest.mark.integration("slack", "slow")
lying = pytest.mark.integration("slack", "lying")
misconfigured = pytest.mark.integration("slack", "misconfigured")

SECRET = "/services/T000/B000/verysecretpart"
OK = Said(200, b"ok", "text/plain")


def taken(request: Asked) -> Said:
    """Answer as Slack does: it reads the blocks, and refuses what is none."""
    if request.method != "POST":
        return Said(404, b"not here", "text/plain")
    if request.path != SECRET:
        return Said(404, b"no_service", "text/plain")
    return OK if not problems(request.json()) else Said(400, b"invalid_blocks", "text/plain")


def problems(body: Any) -> list[str]:
    """Return what Slack's documented limits say against a message."""
    found = [] if body.get("text") else ["no_text"]
    for block in body["blocks"]:
        texts = [block["text"]] if "text" in block else block.get("fields", [])
        limit = {"header": 150, "section": 3000}.get(block["type"], 3000)
        if "fields" in block:
            limit = 2000
            found += ["too many fields"] if len(block["fields"]) > 10 else []
        found += [f"{block['type']} too long" for text in texts if not 1 <= len(text["text"]) <= limit]
        found += [f"{block['type']} is formatted" for text in texts if text["type"] != "plain_text"]
    return found + (["too many blocks"] if len(body["blocks"]) > 50 else [])


@pytest.fixture
def office() -> PermitOffice:
    return PermitOffice(FrozenClock())


@pytest.fixture
def slack() -> Iterator[SmallServer]:
    with SmallServer(taken) as server:
        yield server


def opened(office: PermitOffice, url: str, seconds: float = 30, register: MemoryNotices | None = None) -> SlackNotify:
    return SlackNotify(
        address=SecretStr(url),
        reached=Endpoint(url="https://channel.invalid", timeout=timedelta(seconds=seconds)),
        register=register or MemoryNotices(),
        permits=office,
    )


def sent(notify: NotifyPort, office: PermitOffice, message: Message = MESSAGE, key: str = "k1") -> None:
    notify.send(message, key=key, permit=permit_for(office, EFFECT_SEND, key))


def posted(slack: SmallServer) -> list[Any]:
    return [asked.json() for asked in slack.seen if asked.method == "POST"]


@works
class TestSlack(NotifyContract):
    @pytest.fixture
    def notify(self, office: PermitOffice, slack: SmallServer) -> Iterator[NotifyPort]:
        notify = opened(office, slack.url + SECRET)
        yield notify
        notify.close()

    @pytest.fixture
    def sent(self, slack: SmallServer) -> Callable[[], list[str]]:
        return lambda: [body["text"].split("\n")[0].partition(" ")[2] for body in posted(slack)]

    def test_blocks_have_the_link_and_the_facts_and_the_text_falls_back(
        self, notify: NotifyPort, office: PermitOffice, slack: SmallServer
    ) -> None:
        told = Message(
            title="Needs you", body="why", severity="warning", link="https://e.example/a", facts=(("cycle", "c1"),)
        )
        sent(notify, office, told)
        (body,) = posted(slack)
        assert [block["type"] for block in body["blocks"]] == ["header", "section", "section", "actions"]
        assert body["blocks"][3]["elements"][0]["url"] == "https://e.example/a"
        assert body["blocks"][2]["fields"][0]["text"] == "cycle: c1"
        assert "Needs you" in body["text"]
        assert "https://e.example/a" in body["text"]


@works
def test_another_process_that_has_the_register_knows_what_was_sent(office: PermitOffice, slack: SmallServer) -> None:
    register = MemoryNotices()
    sent(opened(office, slack.url + SECRET, register=register), office)
    other = opened(office, slack.url + SECRET, register=register)
    assert other.observe("k1").seen is Seen.DONE
    sent(other, office)
    assert len(posted(slack)) == 1


@works
@pytest.mark.parametrize("answer", [b"ok", b'{"success": true}', b'{"ok": true}', b""])
def test_what_takes_the_same_webhooks_is_understood(office: PermitOffice, answer: bytes) -> None:
    with SmallServer(lambda _: Said(200, answer)) as other:
        notify = opened(office, f"{other.url}/hooks/x")
        sent(notify, office)
        assert notify.observe("k1").seen is Seen.DONE


@works
@given(
    title=st.text(min_size=1, max_size=290).filter(lambda t: t.strip()),
    body=st.text(max_size=8000),
    facts=st.lists(st.tuples(st.text(max_size=40), st.text(max_size=3000)), max_size=14),
)
def test_whatever_the_text_is_the_message_keeps_slacks_limits_and_holds_no_mention(
    title: str, body: str, facts: list[tuple[str, str]]
) -> None:
    made = payload(Message(title=title, body=body, facts=tuple(facts)))
    assert problems(made) == []
    assert "<" not in made["text"]
    assert ">" not in made["text"]


@works
def test_a_mention_or_a_hidden_link_is_only_text(office: PermitOffice, slack: SmallServer) -> None:
    hostile = "<!channel> <http://evil.example|your bank> *bold* `code`"
    sent(opened(office, slack.url + SECRET), office, Message(title=hostile, body=hostile))
    (body,) = posted(slack)
    assert "&lt;!channel&gt;" in body["text"]
    assert body["mrkdwn"] is False
    assert all(block["text"]["type"] == "plain_text" for block in body["blocks"])


@refused
def test_nobody_listening_says_so_and_shows_nothing_of_the_address(office: PermitOffice) -> None:
    notify = opened(office, f"http://127.0.0.1:{free_port()}{SECRET}")
    with pytest.raises(DependencyUnavailable, match="EVERCREW_NOTIFY_SLACK_URL") as error:
        sent(notify, office)
    assert "verysecretpart" not in str(error.value)
    assert notify.observe("k1").seen is Seen.ABSENT
    with pytest.raises(DependencyUnavailable):
        notify.check()


@refused
@pytest.mark.parametrize(
    ("status", "said"), [(403, b"action_prohibited"), (404, b"no_service"), (410, b"channel_is_archived")]
)
def test_a_webhook_that_was_taken_away_is_refused_with_the_remedy(
    office: PermitOffice, status: int, said: bytes
) -> None:
    with SmallServer(lambda _: Said(status, said, "text/plain")) as gone:
        with pytest.raises(Refused, match="EVERCREW_NOTIFY_SLACK_URL") as error:
            sent(opened(office, gone.url + SECRET), office)
        assert said.decode() in str(error.value)
        assert "verysecretpart" not in str(error.value)


@refused
def test_a_message_it_does_not_want_is_an_error_with_its_words(office: PermitOffice) -> None:
    unwanted = Said(400, b"invalid_blocks", "text/plain")
    with SmallServer(lambda _: unwanted) as server, pytest.raises(InvalidInput, match="invalid_blocks"):
        sent(opened(office, server.url + SECRET), office)


@slow
def test_a_late_answer_is_a_timeout_and_whether_it_was_taken_is_unknown(
    office: PermitOffice, slack: SmallServer
) -> None:
    slack.delay = 30
    notify = opened(office, slack.url + SECRET, seconds=1)
    with pytest.raises(DependencyTimeout) as error:
        sent(notify, office)
    assert "verysecretpart" not in str(error.value)
    assert notify.observe("k1").seen is Seen.UNKNOWN
    slack.delay = 0
    sent(notify, office)
    assert notify.observe("k1").seen is Seen.DONE


@slow
def test_a_service_that_wants_rest_says_for_how_long(office: PermitOffice) -> None:
    limited = Said(429, b"slow down", "text/plain", headers={"Retry-After": "30"})
    with SmallServer(lambda _: limited) as server, pytest.raises(Busy) as error:
        sent(opened(office, server.url + SECRET), office)
    assert error.value.after == timedelta(seconds=30)


@lying
@pytest.mark.parametrize("answer", [b"<html>Sign in</html>", b'{"success": false}', b"[]", b"no_text", b'"ok" maybe'])
def test_an_answer_that_is_not_slacks_is_not_believed(office: PermitOffice, answer: bytes) -> None:
    with SmallServer(lambda _: Said(200, answer)) as other:
        notify = opened(office, other.url + SECRET)
        with pytest.raises(DependencyLied, match="did not say it took it"):
            sent(notify, office)
        assert notify.observe("k1").seen is Seen.ABSENT


@lying
def test_an_answer_without_an_end_is_cut(office: PermitOffice) -> None:
    with SmallServer(lambda _: Said(200, b"x" * 200_000)) as other, pytest.raises(DependencyLied, match="no end"):
        sent(opened(office, other.url + SECRET), office)


@lying
def test_a_redirect_is_not_followed(office: PermitOffice, slack: SmallServer) -> None:
    away = Said(302, b"", headers={"Location": slack.url + SECRET})
    with SmallServer(lambda _: away) as other, pytest.raises(DependencyLied, match="elsewhere"):
        sent(opened(office, other.url + SECRET), office)
    assert posted(slack) == []


@misconfigured
@pytest.mark.parametrize("address", ["hooks.slack.com/services/x", "ftp://a/b", "https://", "https://user:pw@host/x"])
def test_what_is_no_address_is_refused_and_not_shown(office: PermitOffice, address: str) -> None:
    with pytest.raises(ConfigurationError, match="EVERCREW_NOTIFY_SLACK_URL") as error:
        opened(office, address)
    assert "user:pw" not in str(error.value)


@misconfigured
@pytest.mark.parametrize("link", ["javascript:alert(1)", "https://a b", "https://x|y", "//evil", "https://e/\n"])
def test_a_link_that_leads_nowhere_good_is_refused(office: PermitOffice, slack: SmallServer, link: str) -> None:
    with pytest.raises(InvalidInput, match=r"message\.link"):
        sent(opened(office, slack.url + SECRET), office, MESSAGE.model_copy(update={"link": link}))
    assert posted(slack) == []


@misconfigured
def test_the_address_of_another_workspace_says_so(office: PermitOffice, slack: SmallServer) -> None:
    with pytest.raises(Refused, match="no_service"):
        sent(opened(office, f"{slack.url}/services/T1/B1/other"), office)
    assert "answers" in opened(office, slack.url + SECRET).check()
