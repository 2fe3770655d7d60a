"""What the channels without a memory share: the register of what was sent, and what no message may hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.notices.base import NoticesPort, Progress
from adapters.notify.base import EFFECT_SEND, Message
from domain.errors import DependencyTimeout, EvercrewError, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

LONGEST_TITLE = 300
LONGEST_BODY = 20_000
_BREAKS = "\r\n\x00\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


class Sending:
    """Sends under a key once, by the register; what was begun and never answered is sent again."""

    def __init__(self, channel: str, register: NoticesPort, permits: PermitVerifier) -> None:
        self.channel = channel
        self._register = register
        self._permits = permits

    @contextmanager
    def once(self, message: Message, key: str, permit: Permit | None) -> Iterator[bool]:
        """Give whether the message is to be sent now, and keep what came of it.

        A failure that leaves no doubt is forgotten; a late answer leaves it as begun, for it may have been taken.

        Raises:
            PermitError: the permit does not cover this.
            InvalidInput: the message cannot be sent safely.
        """
        self._permits.spend(permit, effect=EFFECT_SEND, key=key)
        safe(message)
        if self._register.begin(self.channel, key) is Progress.SENT:
            yield False
            return
        try:
            yield True
        except DependencyTimeout:
            raise
        except EvercrewError:
            self._register.forget(self.channel, key)
            raise
        self._register.settle(self.channel, key)

    def observe(self, key: str) -> Observation:
        """See `NotifyPort.observe`."""
        match self._register.progress(self.channel, key):
            case Progress.SENT:
                return Observation.done({})
            case Progress.BEGUN:
                return Observation.unknown(f"{self.channel} was given it and did not answer")
            case _:
                return Observation.absent()


def safe(message: Message) -> None:
    """Return when nothing of the message can end a header, or lead somewhere else than it says.

    Raises:
        InvalidInput: names the field.
    """
    for field, value in (("title", message.title), ("cycle_id", message.cycle_id), ("kind", message.kind)):
        if any(mark in value for mark in _BREAKS):
            raise InvalidInput(f"message.{field}", "has a line break or a control character", "Give it on one line")
    if not message.title.strip() or len(message.title) > LONGEST_TITLE:
        raise InvalidInput("message.title", f"has to have 1 to {LONGEST_TITLE} characters", "Shorten it")
    if len(message.body) > LONGEST_BODY:
        raise InvalidInput("message.body", f"has more than {LONGEST_BODY} characters", "Shorten it, and give a link")
    link = message.link
    if link and (not link.startswith(("http://", "https://")) or any(c.isspace() or c in '<>"|`' for c in link)):
        raise InvalidInput("message.link", "is no address of a page", "Give an http(s) address without spaces")
