"""A cycle that somebody wants: it goes through the inbox, as an alert does."""

from __future__ import annotations

import secrets

from adapters.inbox.base import InboxPort, NewLetter
from cycles.intake import Routing
from domain.alert import Alert, AlertStatus
from domain.canonical import canonical_hash
from domain.clock import Clock
from domain.errors import InvalidInput
from domain.wish import SOURCE, Wish

NAME = "OperatorRequest"
MOST_REASON = 2000


def wanted(
    routing: Routing, clock: Clock, wish: Wish, *, signal: str, target: str, reason: str, key: str = ""
) -> Alert:
    """Return the alert that asks for a cycle.

    Args:
        target: by default the first one.
        key: what makes two requests of one person the same one; the same opens no second cycle.

    Raises:
        InvalidInput: there is no such signal or target, or no reason.
    """
    known = routing.signals_of(target or routing.targets[0])
    if signal not in known:
        raise InvalidInput("signal", f"{signal!r} is not in the contract", f"Use one of: {', '.join(known)}")
    if target and target not in routing.targets:
        raise InvalidInput("target", f"{target!r} is not cared for here", f"Use one of: {', '.join(routing.targets)}")
    if not reason.strip():
        raise InvalidInput("reason", "is empty", "Say why a cycle is wanted")
    mark = canonical_hash([wish.by, key or secrets.token_hex(16)])[:32]
    return Alert(
        fingerprint=f"wanted-{mark}",
        name=NAME,
        status=AlertStatus.FIRING,
        signal=signal,
        target=target or routing.targets[0],
        environment=routing.environment,
        starts_at=clock.now(),
        annotations={"reason": reason.strip()[:MOST_REASON], **wish.annotations()},
        source=SOURCE,
    )


def ask(inbox: InboxPort, alert: Alert) -> None:
    """Put the alert into the inbox: it is on disk when this returns.

    Raises:
        InboxFull: too many wait. DependencyError: the inbox cannot be used; nothing was accepted.
    """
    inbox.put([NewLetter(alert=alert)])
