"""Slack, and what takes the same incoming webhooks (Mattermost, Rocket.Chat, Zulip).

Everything from outside goes as `plain_text`, which no client formats, and with ``&``, ``<`` and ``>`` escaped in the
fallback, so that no text can mention a channel, hide an address behind a word, or look like another message.

Format: Block Kit and incoming webhooks, as Slack documents them (api.slack.com/reference/block-kit/blocks).
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import SecretStr

from adapters.notices.base import NoticesPort
from adapters.notify.base import Message
from adapters.notify.sending import Sending
from adapters.notify.wire import Poster
from adapters.rest import Endpoint
from domain.errors import DependencyLied
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

NAME = "slack"
FIELD = "notify.slack"
SETTING = "EVERCREW_NOTIFY_SLACK_URL"
# Limits of the blocks, in characters.
_HEADER, _SECTION, _FIELD_TEXT, _FIELDS, _TEXT = 150, 2900, 1900, 10, 3000
_MARKS = {"critical": "\N{OCTAGONAL SIGN}", "warning": "\N{WARNING SIGN}", "info": "\N{INFORMATION SOURCE}"}


class SlackNotify:
    """A `NotifyPort` on one incoming webhook; its address is the secret that lets us post."""

    def __init__(
        self, *, address: SecretStr, reached: Endpoint, register: NoticesPort, permits: PermitVerifier
    ) -> None:
        self._poster = Poster(address, reached, name=NAME, field=FIELD, setting=SETTING)
        self._sending = Sending(NAME, register, permits)

    def close(self) -> None:
        """Close the connections."""
        self._poster.close()

    def send(self, message: Message, *, key: str, permit: Permit | None) -> None:
        """See `NotifyPort.send`.

        Raises:
            DependencyLied: what answered is no such webhook.
        """
        with self._sending.once(message, key, permit) as needed:
            if not needed:
                return
            body = json.dumps(payload(message), ensure_ascii=False).encode()
            self._taken(self._poster.post(body, {"Content-Type": "application/json; charset=utf-8"}))

    def observe(self, key: str) -> Observation:
        """See `NotifyPort.observe`."""
        return self._sending.observe(key)

    def check(self) -> str:
        """See `NotifyPort.check`; nothing is posted, so whether the address still works is not known."""
        self._poster.reach()
        return f"notify: slack at {self._poster.where} answers; `evercrew notify test` sends a message"

    def _taken(self, answer: str) -> None:
        """Slack and Mattermost say ``ok``, Rocket.Chat ``{"success": true}``."""
        if answer.strip() in ("ok", ""):
            return
        try:
            told = json.loads(answer)
        except ValueError:
            told = None
        if not (isinstance(told, dict) and (told.get("success") is True or told.get("ok") is True)):
            said = " ".join(answer.split())[:80]
            raise DependencyLied(NAME, f"{self._poster.where} did not say it took it: {said}", f"Check {SETTING}")


def payload(message: Message) -> dict[str, Any]:
    """Return the body of the request."""
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(_marked(message), _HEADER)}]
    blocks += [{"type": "section", "text": _plain(part, _SECTION)} for part in _parts(message.body)]
    if message.facts:
        fields = [_plain(f"{name}: {value}", _FIELD_TEXT) for name, value in message.facts[:_FIELDS]]
        blocks.append({"type": "section", "fields": fields})
    if message.link:
        button = {"type": "button", "text": _plain("Open in Evercrew", 75), "url": message.link}
        blocks.append({"type": "actions", "elements": [button]})
    fallback = f"{_marked(message)}\n{message.body}\n{message.link}".strip()
    return {"text": escaped(fallback)[:_TEXT], "mrkdwn": False, "unfurl_links": False, "blocks": blocks}


def escaped(text: str) -> str:
    """Return text in which nothing is a mention or a link: the three characters Slack's control sequences need."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _marked(message: Message) -> str:
    return f"{_MARKS.get(message.severity, '')} {message.title}".strip()


def _parts(body: str) -> list[str]:
    """Return the body in pieces that a section holds; two at most, the rest is behind the link."""
    return [body[start : start + _SECTION] for start in range(0, min(len(body), 2 * _SECTION), _SECTION)]


def _plain(text: str, limit: int) -> dict[str, Any]:
    cut = text if len(text) <= limit else f"{text[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"
    return {"type": "plain_text", "text": cut or " ", "emoji": False}
