"""The courier takes notices out of the outbox and sends them, one channel after the other.

A channel that is down costs the others nothing: its notices wait, a little longer after every attempt, and after the
last one they are dead letters that a person can see and send again. More than the channel's rate allows becomes one
message that lists the rest. That a notice is about to be sent is on the audit chain before the first attempt.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import Counter

from adapters.audit.base import AuditPort
from adapters.meter import REGISTRY
from adapters.notices.base import SEVERITIES, Notice, NoticesPort
from adapters.notify.base import EFFECT_SEND, Busy, Message, NotifyPort
from domain.clock import Clock
from domain.errors import DependencyError, EvercrewError, InvalidInput
from domain.permit import Permit, PermitOffice
from domain.receipt import AuditEntry, RecordKind
from service.notify_sections import RateConfig

SCOPE = "notices"
"""What stands in place of a cycle in records about notices of no cycle."""
PAUSE, LONGEST = timedelta(seconds=10), timedelta(hours=1)
LEASE = timedelta(minutes=2)
LISTED = 12
_BATCH = 200
_LOG = logging.getLogger(__name__)
_TOLD = Counter("evercrew_notices", "Notices, by what came of them.", ["channel", "result"], registry=REGISTRY)


@dataclass(frozen=True)
class Round:
    """What one round came to, by channel: messages sent, notices given back, dead letters."""

    sent: int = 0
    again: int = 0
    dead: int = 0

    def plus(self, other: Round) -> Round:
        """Return the sum."""
        return Round(self.sent + other.sent, self.again + other.again, self.dead + other.dead)


class Courier:
    """Sends what is due.

    Args:
        attempts: after so many a notice is dead.
        stop: asked between two messages; what is not sent yet waits for the next process.
        lease: after so long another process takes what a dead one had taken.
    """

    def __init__(
        self,
        outbox: NoticesPort,
        channels: Mapping[str, NotifyPort],
        permits: PermitOffice,
        audit: AuditPort,
        clock: Clock,
        *,
        rate: RateConfig,
        attempts: int,
        stop: Callable[[], bool] = lambda: False,
        lease: timedelta = LEASE,
    ) -> None:
        self._outbox = outbox
        self._channels = channels
        self._permits = permits
        self._audit = audit
        self._clock = clock
        self._rate = rate
        self._attempts = attempts
        self._stop = stop
        self._lease = lease

    def round(self) -> Round:
        """Send what is due on every channel.

        Raises:
            DependencyError: the outbox cannot be used.
        """
        total = Round()
        for name, port in self._channels.items():
            if not self._stop():
                came = self._on(name, port)
                total = total.plus(came)
                for result in ("sent", "again", "dead"):
                    _TOLD.labels(name, result).inc(getattr(came, result))
        return total

    def _on(self, name: str, port: NotifyPort) -> Round:
        now = self._clock.now()
        allowed = self._rate.most - self._outbox.told_since(name, now - self._rate.per)
        if allowed <= 0:
            return Round()
        taken = list(self._outbox.take(name, now=now, lease=self._lease, most=_BATCH))
        alone, rest = (taken, []) if len(taken) <= allowed else (taken[: allowed - 1], taken[allowed - 1 :])
        total = Round()
        for place, notice in enumerate(alone):
            if self._stop():
                self._hand_back([*alone[place:], *rest])
                return total
            told = self._sent(name, port, (notice,), notice.key, message_of(notice))
            total = total.plus(told)
            if told.again and place + 1 < len(taken):
                # It is down: the others would only be late one by one.
                self._hand_back([*alone[place + 1 :], *rest], after=PAUSE)
                return total
        if rest:
            total = total.plus(self._sent(name, port, rest, _digest_key(rest), digest(rest)))
        return total

    def _sent(self, name: str, port: NotifyPort, notices: Sequence[Notice], key: str, message: Message) -> Round:
        try:
            self._on_record(name, notices, key)
            port.send(message, key=key, permit=self._permit(key))
        except InvalidInput as problem:
            return self._dead(name, notices, str(problem))
        except EvercrewError as problem:
            return self._later(name, notices, problem)
        now = self._clock.now()
        if len(notices) == 1 and notices[0].key == key:
            self._outbox.sent([notices[0].number], at=now)
        else:
            self._outbox.folded([notice.number for notice in notices], key, at=now)
        return Round(sent=1)

    def _later(self, name: str, notices: Sequence[Notice], problem: EvercrewError) -> Round:
        _LOG.warning("%s could not be told: %s", name, problem)
        counted = isinstance(problem, DependencyError) and not isinstance(problem, Busy)
        total = Round()
        for notice in notices:
            if counted and notice.attempts + 1 >= self._attempts:
                total = total.plus(self._dead(name, [notice], str(problem)))
                continue
            wait = min(PAUSE * 2**notice.attempts, LONGEST)
            if isinstance(problem, Busy) and problem.after is not None:
                wait = max(problem.after, PAUSE)
            self._outbox.again(notice.number, due=self._clock.now() + wait, reason=str(problem)[:500], counted=counted)
            total = total.plus(Round(again=1))
        return total

    def _dead(self, name: str, notices: Sequence[Notice], reason: str) -> Round:
        _LOG.error("%d notices on %s are dead letters: %s", len(notices), name, reason)
        for notice in notices:
            self._outbox.dead(notice.number, at=self._clock.now(), reason=reason[:500])
        return Round(dead=len(notices))

    def _hand_back(self, notices: Sequence[Notice], after: timedelta = timedelta()) -> None:
        for notice in notices:
            self._outbox.again(notice.number, due=self._clock.now() + after, reason=notice.reason, counted=False)

    def _on_record(self, name: str, notices: Sequence[Notice], key: str) -> None:
        """Put on the chain what will be told where, once however often it is tried.

        Raises:
            AuditUnavailable: it cannot be recorded; nothing is sent.
        """
        if self._audit.of_key(_hashed(name, key)):
            return
        entry = AuditEntry(
            kind=RecordKind.NOTE,
            cycle_id=notices[0].cycle_id if len(notices) == 1 and notices[0].cycle_id else SCOPE,
            actor=SCOPE,
            key=_hashed(name, key),
            status="notice",
            body={"channel": name, "keys": [n.key for n in notices], "kinds": sorted({n.kind for n in notices})},
        )
        self._audit.append(entry)

    def _permit(self, key: str) -> Permit:
        return self._permits.mint(
            tool=SCOPE, effects=(EFFECT_SEND,), args_hash="", actor=SCOPE, cycle_id=SCOPE, key=key
        )


def message_of(notice: Notice) -> Message:
    """Return what goes out for a notice."""
    return Message(
        title=notice.title,
        body=notice.body,
        severity=notice.severity,
        cycle_id=notice.cycle_id,
        kind=notice.kind,
        link=notice.link,
        facts=notice.facts,
    )


def digest(notices: Sequence[Notice]) -> Message:
    """Return one message that lists many: the most severe first, the first dozen by name."""
    ordered = sorted(notices, key=lambda n: (SEVERITIES.index(n.severity), n.number))
    shown = ordered[:LISTED]
    lines = [f"* {n.title}{f' ({n.severity})' if n.severity != 'info' else ''}" for n in shown]
    lines += [f"and {len(ordered) - len(shown)} more"] if len(ordered) > len(shown) else []
    first = ordered[0]
    return Message(
        title=f"{first.title[:120]}, and {len(ordered) - 1} more" if len(ordered) > 1 else first.title,
        body="So many came at once that they are one message.\n" + "\n".join(lines),
        severity=first.severity,
        cycle_id="",
        kind="digest",
        link=first.link,
    )


def _digest_key(notices: Sequence[Notice]) -> str:
    return f"digest/{_hashed('', '|'.join(sorted(n.key for n in notices)))}"


def _hashed(name: str, key: str) -> str:
    return hashlib.sha256(f"{name}\n{key}".encode()).hexdigest()[:32]
