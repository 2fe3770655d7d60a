"""What a proof is read from, and what it is made of: checks, each with both sides of what it compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from adapters.audit.base import AuditPort, SignedPort
from adapters.datasets.base import DatasetsPort
from adapters.delivery.base import DeliveryPort
from adapters.store.base import StorePort
from adapters.tracking.base import TrackingPort
from adapters.vcs.base import VcsPort
from cycles.artifacts import Artifacts
from domain.errors import EvercrewError
from tools.deliver.values import DEFAULT_LAYOUT, ValuesLayout


class Check(BaseModel):
    """One link of the proof."""

    model_config = ConfigDict(frozen=True)

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Evidence:
    """The ports the proof is read from.

    `signed` is the chain where its checkpoints are signed, `policy_hash` that of the set in force.
    """

    store: StorePort
    audit: AuditPort
    artifacts: Artifacts
    tracking: TrackingPort
    datasets: DatasetsPort
    vcs: VcsPort
    delivery: DeliveryPort
    model: str
    layout: ValuesLayout = DEFAULT_LAYOUT
    signed: SignedPort | None = None
    policy_hash: str = ""


class Differs(ValueError):
    """Two sides of a link differ."""


def same(left_name: str, left: Any, right_name: str, right: Any) -> str:
    """Return that both sides are the same.

    Raises:
        Differs: they are not, or there is nothing to compare.
    """
    if left != right or left in ("", None):
        raise Differs(f"{left_name} is {left!r}, {right_name} is {right!r}")
    return f"{left_name} = {right_name} = {left}"


def guarded(name: str, test: Callable[[], str]) -> Check:
    """Make a check; one that cannot be made is not ok."""
    try:
        return Check(name=name, ok=True, detail=test())
    except (EvercrewError, Differs) as problem:
        return Check(name=name, ok=False, detail=str(problem))
