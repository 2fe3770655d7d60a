"""The desk that tells people: herald, courier and outbox of one application, for `evercrew serve` and the terminal."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from adapters.notices.base import Notice, NoticesPort
from adapters.notify.base import EFFECT_SEND, NotifyPort
from domain.errors import AuditUnavailable, ConfigurationError, DependencyError, InvalidInput
from domain.permit import PermitOffice
from service.notices.channels import channels_of
from service.notices.courier import Courier, Round, message_of
from service.notices.herald import Herald
from service.notices.reading import Reader
from service.notices.routing import Routes
from service.notices.telling import Telling
from service.notify_sections import NoticeKind, NotifyConfig

if TYPE_CHECKING:
    from adapters.ledger.base import Standing
    from service.wiring import App

PAUSE = timedelta(seconds=2)
_PRUNE = 3600.0
_LOG = logging.getLogger(__name__)


class NoticeDesk:
    """Tells people what concerns them, beside the cycles and never in their way.

    Use it as a context manager; `run` works until it is stopped, in a thread of its own.
    """

    def __init__(self, app: App, config: NotifyConfig, *, public_url: str = "") -> None:
        self._app = app
        self._config = config
        self._closing = ExitStack()
        self._stop = threading.Event()
        self._pruned = float("-inf")
        self.permits = PermitOffice(app.clock)
        self.routes = Routes(config, public_url)
        self.channels: Mapping[str, NotifyPort] = channels_of(
            config, app.settings, app.notices, self.permits, app.clock, self._closing
        )
        approvals = app.office.consent.store
        reader = Reader(app.ports.store, approvals, app.audit, app.config.environment)
        self.herald = Herald(
            app.notices,
            app.audit,
            reader,
            self.routes,
            approvals,
            app.clock,
            accounts=self._accounts,
            environment=app.config.environment,
        )
        self.courier = Courier(
            app.notices,
            self.channels,
            self.permits,
            app.audit,
            app.clock,
            rate=config.rate,
            attempts=config.attempts,
            stop=self._stop.is_set,
        )

    def __enter__(self) -> NoticeDesk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def outbox(self) -> NoticesPort:
        """The outbox."""
        return self._app.notices

    def once(self) -> Round:
        """Read what happened and send what is due, once.

        Raises:
            DependencyError, AuditUnavailable: the outbox or the chain cannot be used.
        """
        while self.herald.look() and not self._stop.is_set():
            pass
        self._prune()
        return self.courier.round()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; what cannot be read or sent now is tried again."""
        while not stop.is_set():
            try:
                self.once()
            except (DependencyError, AuditUnavailable) as problem:
                _LOG.warning("people are told later: %s", problem)
            stop.wait(PAUSE.total_seconds())
        self.close()

    def close(self) -> None:
        """Stop, and close the connections; what was not sent waits in the outbox."""
        self._stop.set()
        self._closing.close()

    def test(self, channel: str = "") -> dict[str, str]:
        """Send a test message on a channel, or on all, past the outbox; return what came of it by channel.

        Raises:
            InvalidInput: there is no such channel.
        """
        if channel and channel not in self.channels:
            there = ", ".join(self.channels) or "none"
            raise InvalidInput("channel", f"there is no {channel!r}; there are: {there}", "See section notify")
        names = [channel] if channel else list(self.channels)
        return {name: self._tested(name) for name in names}

    def _tested(self, name: str) -> str:
        now = self._app.clock.now()
        telling = Telling(
            key=f"test/{name}/{now:%Y%m%dT%H%M%S}/{secrets.token_hex(4)}",
            kind=NoticeKind.TEST,
            severity="info",
            environment=self._app.config.environment,
            title="A test message of Evercrew",
            body="Somebody ran `evercrew notify test`. Messages about cycles come the same way.",
            page="/",
        )
        draft = self.routes.draft(telling, name, now)
        notice = Notice(**draft.model_dump(), number=0, put_at=now)
        permit = self.permits.mint(
            tool="test", effects=(EFFECT_SEND,), args_hash="", actor="operator", cycle_id="notices", key=notice.key
        )
        try:
            self.channels[name].send(message_of(notice), key=notice.key, permit=permit)
        except (DependencyError, InvalidInput) as problem:
            return str(problem)
        return ""

    def _accounts(self) -> list[Standing]:
        purse = self._app.office.purse
        if purse is None:
            return []
        names = self._app.current_accounts()
        found = (purse.ledger.account(name) for name in sorted(names))
        return [standing for standing in found if standing is not None]

    def _prune(self) -> None:
        now = self._app.clock.monotonic()
        if now - self._pruned >= _PRUNE:
            self._pruned = now
            self.outbox.prune(self._app.clock.now() - timedelta(days=self._config.keep_days))


def notice_desk_of(app: App, *, public_url: str = "") -> NoticeDesk:
    """Return the desk of an application.

    Raises:
        ConfigurationError: section `notify` is not there, or cannot be used.
    """
    if app.config.notify is None:
        raise ConfigurationError("notify", "is not there, so nobody is told anything", "See docs/notifications.md")
    return NoticeDesk(app, app.config.notify, public_url=public_url)
