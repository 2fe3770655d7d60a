"""Notices as a week leaves them: told, told in a digest, waiting, tried and waiting, and given up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from adapters.notices.base import NewNotice
from service.api.serving import Serving
from service.wording import words

SECTION = {
    "slack": {},
    "email": {"host": "mail.example", "sender": "evercrew@example.org", "to": ["search-team@example.org"]},
    "webhook": {"url": "https://pager.example/in"},
}
"""Section `notify` of the configuration that these notices fit."""


def tell(serving: Serving) -> None:
    """Put the notices into the outbox of a served application."""
    app, now = serving.app, serving.clock.now()
    asked = app.office.consent.store.requests()
    ended = [cycle for cycle in app.ports.store.cycles() if cycle.stage.terminal and cycle.outcome]

    def new(key: str, title: str, body: str, **fields: Any) -> NewNotice:
        given = {"channel": "slack", "kind": "outcome", "severity": "info", "due_at": now, **fields}
        return NewNotice.model_validate({"key": key, "title": title, "body": body, **given})

    notices = [
        new(f"end/{cycle.id}", f"{cycle.id}: {words(cycle.outcome)}", cycle.reason, cycle_id=cycle.id)
        for cycle in ended
    ]
    notices += [
        new(
            f"approval/{request.id}",
            f"{request.binding.tool} on {request.binding.target} waits for an approval ({request.binding.quorum})",
            request.reason,
            kind="approval",
            severity="warning",
            channel=channel,
            cycle_id=request.binding.cycle_id,
        )
        for request in asked
        for channel in ("slack", "email", "webhook")
    ]
    notices.append(new("record/1", "Kill switch is off again", "By Ann: the index is whole again", kind="kill_switch"))
    outbox = app.notices
    outbox.put(notices, now=now)
    kept = {(notice.key, notice.channel): notice.number for notice in outbox.listed()}
    folded = [kept[f"end/{cycle.id}", "slack"] for cycle in ended[1:]]
    lost = [number for (key, channel), number in kept.items() if channel == "webhook"]
    tried = [number for (key, channel), number in kept.items() if channel == "email"]
    outbox.folded(folded, "digest/1", at=now)
    for number in lost:
        outbox.dead(number, at=now, reason="pager.example answered 410 Gone")
    for number in tried:
        outbox.again(number, due=now + timedelta(minutes=4), reason="mail.example did not answer in time")
    rest = set(kept.values()) - {*folded, *lost, *tried}
    outbox.sent(sorted(rest), at=now)
