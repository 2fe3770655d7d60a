"""What people were told, as a page shows it: the channels, and every notice with how it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from adapters.notices.base import Notice, NoticeCounts, NoticeState
from service.notify_sections import CHANNELS, NoticeKind

if TYPE_CHECKING:
    from service.notify_sections import NotifyConfig
    from service.wiring import App

MOST = 500
LABELS = {"slack": "Slack", "email": "E-mail", "webhook": "Webhook"}
STATES = {
    NoticeState.WAITING: "waits",
    NoticeState.SENT: "told",
    NoticeState.FOLDED: "told in a digest",
    NoticeState.DEAD: "given up",
}
_TONES = {NoticeState.WAITING: "info", NoticeState.SENT: "good", NoticeState.FOLDED: "good", NoticeState.DEAD: "bad"}
_ALERTING = {"critical": "bad", "warning": "warn"}
# Pages of what belongs to no cycle; that of a cycle is where the rest leads.
_PAGES = {
    NoticeKind.KILL_SWITCH: "/kill",
    NoticeKind.BUDGET: "/budgets",
    NoticeKind.POLICY_BROKEN: "/policies",
    NoticeKind.WEEKLY: "/reports",
    NoticeKind.SCHEDULE: "/schedules",
}
_APPROVAL = "approval/"


@dataclass(frozen=True)
class ChannelRow:
    """A channel: whom it reaches, and how many notices stand how on it. `there` is whether it is configured still."""

    label: str
    whom: str
    counts: NoticeCounts
    there: bool = True


@dataclass(frozen=True)
class NoticeRow:
    """A notice in the list. `href` is the page of what it tells of; empty where there is none."""

    notice: Notice
    href: str

    @property
    def channel(self) -> str:
        """The channel, as people call it."""
        return LABELS.get(self.notice.channel, self.notice.channel)

    @property
    def state(self) -> str:
        """How it stands, in words."""
        return STATES[self.notice.state]

    @property
    def tone(self) -> str:
        """How loud its state is drawn; what waits after an attempt that failed is louder."""
        tried = self.notice.state is NoticeState.WAITING and self.notice.attempts > 0
        return "warn" if tried else _TONES[self.notice.state]

    @property
    def weight(self) -> str:
        """How loud its severity is drawn."""
        return _ALERTING.get(self.notice.severity, "")


@dataclass(frozen=True)
class NoticesView:
    """Everything the page shows. `configured` is whether anybody is told anything."""

    configured: bool
    channels: Sequence[ChannelRow]
    rows: Sequence[NoticeRow]
    counts: NoticeCounts


def notices_view(app: App, state: NoticeState | None) -> NoticesView:
    """Return the channels and the newest notices, of one state or of all.

    Raises:
        DependencyError: the outbox cannot be read.
    """
    outbox, now = app.notices, app.clock.now()
    rows = [NoticeRow(notice, page_of(notice)) for notice in outbox.listed(state=state, limit=MOST)]
    return NoticesView(app.config.notify is not None, _channels(app), rows, outbox.counts(now=now))


def page_of(notice: Notice) -> str:
    """Return the page of what a notice tells of: a request, a page of its kind, or its cycle."""
    identity = notice.key.removeprefix(_APPROVAL).partition("/")[0]
    if notice.kind == NoticeKind.APPROVAL and notice.key.startswith(_APPROVAL) and identity:
        return f"/approvals/{identity}"
    by_kind = next((place for kind, place in _PAGES.items() if kind == notice.kind), "")
    return by_kind or (f"/cycles/{notice.cycle_id}" if notice.cycle_id.startswith("si_") else "")


def _channels(app: App) -> list[ChannelRow]:
    config, now = app.config.notify, app.clock.now()
    there = config.channels if config is not None else ()
    counted = {name: app.notices.counts(name, now=now) for name in CHANNELS}
    rows = [ChannelRow(LABELS[name], _whom(config, name), counted[name]) for name in there if config is not None]
    gone = [name for name in CHANNELS if name not in there and counted[name] != NoticeCounts()]
    return [*rows, *(ChannelRow(LABELS[name], "not configured any more", counted[name], there=False) for name in gone)]


def _whom(config: NotifyConfig, name: str) -> str:
    """Whom a channel reaches; of an address that may be a secret, or lead into one, no more than the host."""
    if name == "email" and config.email is not None:
        return ", ".join(config.email.to)
    if name == "webhook" and config.webhook is not None:
        return urlsplit(config.webhook.url).hostname or ""
    return "an incoming webhook"
