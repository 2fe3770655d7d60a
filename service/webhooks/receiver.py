"""What becomes of a webhook request: who sends it, what it holds, and an answer once it is on disk.

The answer decides what a sender does next. 2xx is final, so it is given only when every alert of the body is on disk.
What a retry can mend is 5xx, and 4xx is what it cannot: a wrong secret, a body that is none. A sender that comes too
often, or before the inbox has room, is told to come again by a status it obeys: Alertmanager gives up on a 429.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from fastapi import Request
from pydantic import BaseModel, ConfigDict

from adapters.audit.base import AuditPort
from adapters.inbox.base import InboxFull, InboxPort
from cycles.bodies import Form
from cycles.intake import Looked, Routing, look, set_aside
from domain.clock import Clock
from domain.errors import DependencyError
from service.api.problems import Problem
from service.serve_sections import SenderConfig, WebhooksConfig
from service.settings import Settings
from service.telemetry.counters import SKEW, WEBHOOK_ALERTS, WEBHOOK_SECONDS, WEBHOOKS
from service.webhooks.batch import Batch
from service.webhooks.limits import Buckets, NotPacked, TooLarge, TooSlow, body_of, unpacked
from service.webhooks.notes import Notes
from service.webhooks.proof import Proof, Prover, Standing

_LOG = logging.getLogger(__name__)
_SOON = timedelta(seconds=5)
# A larger body is looked at in a thread: meanwhile others are answered.
_SMALL = 32 * 1024


class Answer(BaseModel):
    """What became of a body: alerts on disk, those that are none of ours, and those that were kept aside, with reasons.

    `truncated` alerts were left out by the sender. `repeated` says that the same request was accepted before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    accepted: int = 0
    ignored: tuple[str, ...] = ()
    malformed: tuple[str, ...] = ()
    truncated: int = 0
    repeated: bool = False


@dataclass(frozen=True)
class Told:
    """How a request was answered, in a word for the metric."""

    word: str
    answer: Answer


class Refusal(Problem):
    """An answer that is an error, with its word for the metric."""

    def __init__(
        self,
        word: str,
        status: int,
        title: str,
        detail: str,
        *,
        field: str | None = None,
        remedy: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, title, detail, field=field, remedy=remedy, headers=headers)
        self.word = word


class Receiver:
    """Takes webhook requests. Belongs to the event loop of one application."""

    def __init__(
        self,
        inbox: InboxPort,
        audit: AuditPort,
        routing: Routing,
        clock: Clock,
        config: WebhooksConfig,
        *,
        settings: Settings,
    ) -> None:
        self._inbox = inbox
        self._routing = routing
        self._clock = clock
        self._config = config
        self._senders: Mapping[Form, SenderConfig] = {form: getattr(config, form.value) for form in Form}
        self._prover = Prover(
            clock,
            tokens=(settings.webhook_token, settings.webhook_token_previous),
            secrets=(settings.webhook_secret, settings.webhook_secret_previous),
            window=config.window,
        )
        self._buckets = {
            form: Buckets(clock, per_minute=sender.per_minute, burst=sender.burst)
            for form, sender in self._senders.items()
        }
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="webhooks")
        self._looking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="webhook-bodies")
        self._batch = Batch(inbox, self._threads)
        self._notes = Notes(audit, clock)

    def close(self) -> None:
        """Wait for what is being written, and stop."""
        for threads in (self._threads, self._looking):
            threads.shutdown(wait=True)

    async def receive(self, request: Request, form: Form) -> Answer:
        """Return the answer once the body is on disk.

        Raises:
            Problem: it is not; the status says whether to come again.
        """
        began, word = self._clock.monotonic(), "failed"
        try:
            told = await self._received(request, form)
            word = told.word
            return told.answer
        except Refusal as refusal:
            word = refusal.word
            raise
        finally:
            WEBHOOKS.labels(form.value, word).inc()
            WEBHOOK_SECONDS.labels(form.value).observe(self._clock.monotonic() - began)

    async def _received(self, request: Request, form: Form) -> Told:
        sender = self._senders[form]
        self._within_rate(request, form, sender)
        early = self._prover.before_body(request.headers, sender.auth)
        if early is not None and early.standing is not Standing.PROVEN:
            raise _unproven(early)
        raw, body = await self._body(request)
        proof = early or self._prover.of_body(request.headers, raw)
        if proof.standing is Standing.REPEATED:
            return Told("repeated", Answer(repeated=True))
        if proof.standing is not Standing.PROVEN:
            raise _unproven(proof)
        answer = await self._kept(body, form, sender)
        self._prover.accepted(proof)
        return Told("accepted" if answer.accepted else "ignored", answer)

    def _within_rate(self, request: Request, form: Form, sender: SenderConfig) -> None:
        wait = self._buckets[form].take(request.client.host if request.client else "")
        if wait is not None:
            raise _busy("limited", sender, f"more than {sender.per_minute} requests a minute", wait)

    async def _body(self, request: Request) -> tuple[bytes, bytes]:
        """Return the body as it was sent, and unpacked."""
        most = self._config.max_bytes
        try:
            raw = await body_of(request.stream(), most=most, timeout=self._config.body_timeout)
            return raw, unpacked(raw, request.headers.get("content-encoding", ""), most=most)
        except TooLarge as problem:
            remedy = "Send fewer alerts in a body, or raise serve.webhooks.max_bytes"
            raise Refusal("too_large", 413, "The body is too large", str(problem), remedy=remedy) from None
        except TooSlow as problem:
            raise Refusal("slow", 408, "The body did not come in time", str(problem), remedy="Send it again") from None
        except NotPacked as problem:
            remedy = "Send it plain, or with Content-Encoding: gzip"
            raise Refusal("malformed", 415, "The body cannot be unpacked", str(problem), remedy=remedy) from None

    async def _kept(self, body: bytes, form: Form, sender: SenderConfig) -> Answer:
        loop = asyncio.get_running_loop()
        looked = (
            look(body, self._routing, form)
            if len(body) <= _SMALL
            else await loop.run_in_executor(self._looking, look, body, self._routing, form)
        )
        try:
            await self._batch.put(looked.letters)
            malformed = await self._aside(looked)
        except InboxFull as problem:
            raise _busy("full", sender, problem.problem, problem.retry_after) from None
        except DependencyError as problem:
            _LOG.error("a webhook could not be put on disk: %s", problem)
            again = {"Retry-After": str(ceil(_SOON.total_seconds()))}
            title = "The alerts could not be put on disk"
            raise Refusal("failed", 503, title, problem.problem, remedy=problem.remedy, headers=again) from None
        answer = Answer(
            accepted=len(looked.letters),
            ignored=tuple(found.ignored for found in looked.alerts if found.ignored),
            malformed=malformed,
            truncated=looked.truncated,
        )
        await self._noted(looked, answer, form)
        if malformed and not answer.accepted:
            field, _, detail = malformed[0].partition(": ")
            remedy = "GET /webhooks/generic/schema has the shape" if form is Form.GENERIC else None
            told = remedy or f"Send the webhook body of {form.value} as it is"
            raise Refusal("malformed", 400, "The body is no alerts", detail, field=field, remedy=told)
        return answer

    async def _aside(self, looked: Looked) -> tuple[str, ...]:
        if not looked.unfit and all(not found.unfit for found in looked.alerts):
            return ()
        return await asyncio.get_running_loop().run_in_executor(self._threads, set_aside, looked, self._inbox)

    async def _noted(self, looked: Looked, answer: Answer, form: Form) -> None:
        counts = {
            "accepted": answer.accepted,
            "ignored": len(answer.ignored),
            "malformed": len(answer.malformed),
            "truncated": answer.truncated,
        }
        for result, count in counts.items():
            if count:
                WEBHOOK_ALERTS.labels(form.value, result).inc(count)
        ahead = looked.ahead_s(self._clock.now())
        SKEW.labels(form.value).set(max(ahead, 0.0))
        due: list[tuple[str, float]] = []
        if answer.truncated:
            due.append(("alerts_truncated", answer.truncated))
        if ahead > self._config.skew.total_seconds():
            due.append(("clock_skew", ahead))
        for status, amount in due:
            if self._notes.due(status, form, amount):
                await asyncio.get_running_loop().run_in_executor(self._threads, self._notes.write, status, form)


def _unproven(proof: Proof) -> Refusal:
    """Nobody is told which part of a proof was wrong beyond what he knows himself; an unset secret is ours to mend."""
    if proof.standing is Standing.UNSET:
        remedy = "Set EVERCREW_WEBHOOK_TOKEN or EVERCREW_WEBHOOK_SECRET"
        again = {"Retry-After": str(ceil(_SOON.total_seconds()))}
        return Refusal("unset", 503, "Webhooks are not set up", proof.said, remedy=remedy, headers=again)
    word = "late" if proof.standing is Standing.LATE else "unproven"
    remedies = {
        Standing.LATE: "Set the sender's clock, and sign each attempt anew",
        Standing.FORGED: "Check the secret, and that the body is sent byte for byte as it was signed",
        Standing.MISSING: "Send `Authorization: Bearer TOKEN`, or sign the body: docs/webhooks.md",
    }
    challenge = {"WWW-Authenticate": 'Bearer realm="webhooks"'}
    return Refusal(
        word,
        401,
        "It is not known who sends this",
        proof.said,
        remedy=remedies[proof.standing],
        headers=challenge,
    )


def _busy(word: str, sender: SenderConfig, said: str, wait: timedelta) -> Refusal:
    seconds = max(ceil(wait.total_seconds()), 1)
    again = {"Retry-After": str(seconds)}
    remedy = f"Come again in {seconds} s; nothing of this body was accepted"
    return Refusal(word, sender.busy_status, "Come again later", said, remedy=remedy, headers=again)
