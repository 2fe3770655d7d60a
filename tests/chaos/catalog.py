"""The matrix as data: which dependency, hurt how, at which stage, and whether the fault passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.database_sites import PostgresSite
from tests.chaos.local_sites import AuditSite, DvcSite, MlflowSite, StoreSite, WorkflowSite
from tests.chaos.model_site import ModelSite
from tests.chaos.policy_site import PolicySite
from tests.chaos.remote_sites import DeliverySite, GitHttpSite, GitSshSite, MetricsSite
from tests.chaos.sites import Fault, Site

STAGES = (
    *("observe", "diagnose", "plan", "augment", "train", "evaluate", "ab", "promote", "watch"),
    *("watch of a worse model", "roll_back", "learn"),
)
SITES: Sequence[type[Site]] = (
    MetricsSite,
    MlflowSite,
    DvcSite,
    GitHttpSite,
    GitSshSite,
    DeliverySite,
    ModelSite,
    PolicySite,
    AuditSite,
    StoreSite,
    WorkflowSite,
    PostgresSite,
)
BY_NAME: Mapping[str, type[Site]] = {site.name: site for site in SITES}
_WORSE = ("watch of a worse model", "roll_back")


@dataclass(frozen=True)
class Cell:
    """One experiment: a fault of a dependency that begins with a stage."""

    dependency: str
    fault: Fault
    stage: str

    @property
    def path(self) -> str:
        """The path of the cycle that comes by this stage."""
        return "worse model" if self.stage in _WORSE else "retrain"

    @property
    def begins(self) -> str:
        """The stage whose beginning is the moment of the fault."""
        return self.stage.split(" ")[0]

    @property
    def name(self) -> str:
        """What it is called on a command line and in a path."""
        words = (self.dependency, self.fault.name, self.stage)
        return "-".join("".join(c if c.isalnum() else "_" for c in word) for word in words)


def rows() -> Iterator[tuple[type[Site], Fault]]:
    """Give the rows of the table."""
    for site in SITES:
        for fault in site.faults:
            yield site, fault


def cells() -> Iterator[Cell]:
    """Give every cell of the matrix."""
    for site, fault in rows():
        for stage in fault.stages or site.stages:
            yield Cell(site.name, fault, stage)
