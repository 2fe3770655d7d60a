"""The doctor: asks every connection how it is, and passes on how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import BaseModel, ConfigDict

from domain.actor import Role
from domain.errors import EvercrewError
from service.wiring import App


class Finding(BaseModel):
    """One connection."""

    model_config = ConfigDict(frozen=True)

    name: str
    ok: bool
    detail: str


def examine(app: App) -> list[Finding]:
    """Return a finding for every connection."""
    return [_asked(name, check) for name, check in _checks(app)]


def _checks(app: App) -> Iterator[tuple[str, Callable[[], str]]]:
    ports = app.ports
    yield "policies", lambda: f"{len(app.contract.signals)} signals, profile {app.profile.name}"
    yield "platform", ports.platform.check
    yield "metrics", ports.metrics.check
    yield "values", ports.vcs.check
    yield "live", ports.delivery.check
    yield "models", ports.tracking.check
    yield "datasets", ports.datasets.check
    yield "training", ports.training.check
    yield "evaluation", ports.evaluation.check
    yield "sandbox", ports.sandbox.check
    yield "store", ports.store.check
    yield "audit", lambda: f"{app.audit.verify()} records, the chain is whole"
    yield "traces", app.traces.check
    yield "notify", ports.notify.check
    yield "model", lambda: app.chat(Role.SUPERVISOR).check()


def _asked(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name=name, ok=True, detail=check())
    except EvercrewError as problem:
        return Finding(name=name, ok=False, detail=str(problem))
