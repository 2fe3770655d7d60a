"""What is in the simulated platform: documents, judged sessions, held-out sessions, models."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.evaluation.sealed import SealedRow
from adapters.platform.base import JudgementRow, PlatformDocument
from adapters.platform.memory import MemoryPlatform
from adapters.tracking.base import EFFECT_ALIAS, EFFECT_LOG_RUN, EFFECT_REGISTER, TrackingPort
from domain.candidate import LiveState
from domain.permit import PermitOffice
from evals.simulated import ONSET, World
from evals.simulated_jobs import digest_of

MODEL = "reranker"
VALUES = """\
# Values of the search platform.
model:
  name: reranker
  version: "{version}"
  digest: {digest}  # by content
variants:
  - name: champion
    digest: {digest}
    weight: 100
search:
  mode: balanced
  tier: standard
index:
  generation: 1
"""


class LivePlatform(MemoryPlatform):
    """A platform in memory that serves what the world says."""

    def __init__(self, world: World, permits: PermitOffice, **rows: Any) -> None:
        super().__init__(permits=permits, state=LiveState(digest="", revision=""), **rows)
        self._world = world

    def live(self) -> LiveState:
        """See `PlatformPort.live`."""
        return self._world.live()


def documents(alert_at: datetime, *, shifted: bool) -> list[PlatformDocument]:
    """Return forty documents that every model knows, and twenty of a new subject that arrived when the shift began."""
    old, new = alert_at - timedelta(days=2), alert_at - ONSET
    known = [_document(number, "cooking", old) for number in range(40)]
    return known + [_document(number, "sailing", new) for number in range(40, 60) if shifted]


def judgements(alert_at: datetime, *, shifted: bool, damaged: bool) -> list[JudgementRow]:
    """Return judged sessions of both sides of the alert; damaged ones name documents nobody was shown."""
    before = [_row(n, alert_at - timedelta(seconds=28 - n * 0.08), "cooking", False) for n in range(200)]
    subject = "sailing" if shifted else "cooking"
    after = [_row(200 + n, alert_at - timedelta(seconds=5 - n * 0.02), subject, damaged) for n in range(240)]
    return before + after


def sealed_rows() -> list[SealedRow]:
    """Return two hundred held-out sessions."""
    return [
        SealedRow(request_id=f"s{n}", ts=float(n), query=f"q{n} held out", relevant={f"d{n}": 1}, shown=(f"d{n}",))
        for n in range(200)
    ]


def register(tracking: TrackingPort, permits: PermitOffice, bundle: Path, name: str, trained_at: str) -> str:
    """Register a bundle as the platform's own release process does, make it champion, and return its digest."""
    effects = (EFFECT_LOG_RUN, EFFECT_REGISTER, EFFECT_ALIAS)
    permit = permits.mint(
        tool="set-up", effects=effects, args_hash="", actor="release", cycle_id="si_2025_01_01_001", key=name
    )
    tags = {"trained_at": trained_at}
    run_id = tracking.log_run(name=name, params={}, metrics={}, tags={}, artifacts=[], key=name, permit=permit)
    ref = tracking.register(
        model=MODEL, bundle=bundle, digest=digest_of(bundle), run_id=run_id, tags=tags, key=name, permit=permit
    )
    tracking.set_alias(model=MODEL, alias="champion", version=ref.version, key=name, permit=permit)
    return ref.digest


def _document(number: int, subject: str, at: datetime) -> PlatformDocument:
    text = f"{subject} guide number{number} about topic{number} and detail{number}"
    return PlatformDocument(
        id=f"d{number}",
        title=f"q{number} {subject} topic{number}",
        text=text,
        subject=subject,
        arrived_at=at,
        seq=number + 1,
    )


def _row(number: int, at: datetime, subject: str, damaged: bool) -> JudgementRow:
    wanted = 40 + number % 20 if subject == "sailing" else number % 40
    right = f"d{wanted}"
    return JudgementRow(
        request_id=f"r{number}",
        ts=at,
        user_id=f"u{number % 50}",
        query=f"q{wanted} {subject} detail{wanted}",
        doc_id="d-unrelated" if damaged else right,
        grade=1,
        clicked=(right,),
        shown=("other-1", right),
        subject=subject,
    )
