"""Observe: read every signal, and give a dip the time to heal by itself."""

from __future__ import annotations

from datetime import timedelta

from cycles.budget import begin
from cycles.desk import Desk
from domain.actor import Role
from domain.stage import Stage, StageResult
from tools.observe.signals import Snapshot
from tools.tool import Nothing


def run(desk: Desk) -> StageResult:
    """Take a snapshot at once, wait until the breach has lasted long enough, and take another."""
    begin(desk)
    if desk.fact("first_snapshot") is None:
        desk.keep(
            "first_snapshot", desk.do("signal_snapshot", Nothing(), Role.METRICS_ANALYST, Snapshot, place="first")
        )
        desk.since("observed_at")
    # A row that asks for a quick answer cannot wait as long as others for a dip to heal.
    most = desk.contract.signal(desk.cycle.alert.signal).reaction / 3
    left = min(desk.profile.measure.confirm, most) - desk.since("observed_at")
    if left > timedelta():
        return StageResult(next=Stage.OBSERVE, reason="waiting to see whether it lasts", wait=left)
    again = desk.do("signal_snapshot", Nothing(), Role.METRICS_ANALYST, Snapshot, place="confirmed")
    desk.keep("snapshot", again)
    return StageResult(next=Stage.DIAGNOSE, reason=f"breached: {', '.join(again.breached) or 'nothing any more'}")
