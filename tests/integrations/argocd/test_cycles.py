"""Whole cycles over the stand-in: Argo CD alone makes live what git says, and the platform alone is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.delivery.argocd import ArgoCdDelivery
from adapters.delivery.base import RolloutStatus
from domain.clock import FrozenClock
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.permit import PermitOffice
from service.toolbox import Ports
from testbed.argocd import ArgoCd, Fault
from testbed.argocd.exchange import Exchange
from tests.contract.gitremote import Remote, git, open_vcs
from tests.integrations.argocd.bench import ACCOUNTS, APPLICATION, endpoint, served
from tests.integrations.argocd.openapi import Recorder
from tests.support.cluster import MemoryRollout
from tests.support.meddling import when_stage
from tests.support.setting import profile
from tests.support.story import Story, given
from tools.deliver.values import parse_values

WELL = RolloutStatus(phase="Healthy", weight=100)
BY_SOMEBODY = "# a line by somebody\n"


@dataclass
class Site:
    """A remote, a cluster that serves what is applied to it, and the stand-in between them; see `built`."""

    story: Story
    remote: Remote
    cluster: Path
    argo: ArgoCd
    texts: dict[str, str] = field(default_factory=dict)

    def applied(self) -> str:
        """Return the revision the cluster is at."""
        return (self.cluster / "refs/heads/main").read_text(encoding="ascii").strip()

    def values(self) -> str:
        """Return the values the cluster has."""
        revision = self.applied()
        if revision not in self.texts:
            self.texts[revision] = git(self.cluster, "show", f"{revision}:values.yaml") + "\n"
        return self.texts[revision]

    def live(self) -> str:
        """Return the digest that is served."""
        return self.story.rig.ports.delivery.live().digest

    def desired(self) -> str:
        """Return the digest that git wants."""
        return parse_values(self.story.rig.ports.vcs.read()).model.digest


@dataclass
class Builder:
    """Makes a site on whose platform a retrain is called for; `watch` sees it after every exchange with Argo CD."""

    folder: Path
    recorder: Recorder
    stack: ExitStack
    automated: bool
    watch: Callable[[Site], object]
    rollout: MemoryRollout | None
    clock: FrozenClock = field(default_factory=FrozenClock)
    site: Site | None = None
    parts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.permits = PermitOffice(self.clock)

    def build(self) -> Site:
        """Wire it."""
        of = profile(poll={"delivery": "1s", "delivery_timeout": "20s"})
        story = given(self.folder, Action.RETRAIN, change=self.over_argo, clock=self.clock, permits=self.permits, of=of)
        self.site = Site(story, **self.parts)
        story.when(values=self.site.values, head=self.site.applied)
        return self.site

    def over_argo(self, ports: Ports) -> Ports:
        """Put git and Argo CD in the place of memory."""
        remote = Remote(self.folder, ports.vcs.read())
        cluster = self.folder / "cluster.git"
        git(self.folder, "clone", "--quiet", "--bare", str(remote.folder), str(cluster))
        (cluster / "refs/heads/main").write_text(git(cluster, "rev-parse", "main") + "\n", encoding="ascii")
        argo = self.stack.enter_context(self.argo(remote, cluster))
        vcs = open_vcs(remote.folder, self.folder / "clone", self.permits, clock=self.clock)
        delivery = ArgoCdDelivery(
            endpoint=endpoint(argo.url),
            platform=ports.platform,
            permits=self.permits,
            clock=self.clock,
            application=APPLICATION,
            refresh=timedelta(seconds=1),
            grace=timedelta(seconds=5),
            rollout=self.rollout,
        )
        self.stack.callback(delivery.close)
        self.parts = {"remote": remote, "cluster": cluster, "argo": argo}
        return replace(ports, vcs=vcs, delivery=delivery, rollout=self.rollout)

    def argo(self, remote: Remote, cluster: Path) -> ArgoCd:
        """Return the stand-in."""
        return ArgoCd(
            folder=self.folder / "argocd",
            remote=str(remote.folder),
            cluster=cluster,
            platform=self.stack.enter_context(served(self.version)),
            application=APPLICATION,
            accounts=ACCOUNTS,
            automated=self.automated,
            poll_seconds=0,
            on_exchange=self.exchanged,
        )

    def version(self) -> dict[str, str]:
        """Return what the platform says of itself."""
        assert self.site is not None
        return {"values_revision": self.site.applied()}

    def exchanged(self, exchange: Exchange) -> None:
        """See `ArgoCd.on_exchange`."""
        self.recorder(exchange)
        if self.site is not None:
            self.watch(self.site)


@pytest.fixture
def built(tmp_path: Path, recorder: Recorder) -> Iterator[Callable[..., Site]]:
    """Makes a site."""
    with ExitStack() as stack:

        def make(
            *, automated: bool, watch: Callable[[Site], object] = lambda _: None, rollout: MemoryRollout | None = None
        ) -> Site:
            return Builder(tmp_path, recorder, stack, automated, watch, rollout).build()

        yield make


@pytest.mark.integration("argocd", "works")
def test_without_automated_sync_each_release_is_asked_for_and_the_cycle_ends_promoted(
    built: Callable[..., Site],
) -> None:
    site = built(automated=False)
    story = site.story.runs().expect_end(OutcomeKind.IMPROVED).is_proven()
    assert [effect for effect in story.effects if effect in ("ab_start", "promote", "sync_live")] == [
        *("ab_start", "sync_live", "promote", "sync_live")
    ]
    assert site.applied() == story.rig.ports.vcs.head()
    assert site.live() == story.cycle.facts["candidate"]["model"]["digest"]
    by = [entry.by for entry in site.argo.controller.view().memory.history]
    assert by.count("admin") == 2


@pytest.mark.integration("argocd", "works")
def test_with_automated_sync_nothing_is_asked_for_and_nothing_stays_open(built: Callable[..., Site]) -> None:
    site = built(automated=True)
    story = site.story.runs().expect_end(OutcomeKind.IMPROVED).is_proven()
    told = [r["asked"] for call, r in story.rig.desk(story.cycle).results().items() if "sync_live" in call]
    assert told == [False, False]
    assert "admin" not in [entry.by for entry in site.argo.controller.view().memory.history]
    assert story.rig.audit.open_intents(story.cycle.id) == []


def _lies_from(site: Site, stage: str, *, until: str = "") -> None:
    def begin() -> None:
        site.argo.fault(Fault.LIE)
        if until:
            when_stage(site.story.rig, until, lambda: site.argo.fault(Fault.LIE, on=False))

    when_stage(site.story.rig, stage, begin)


@pytest.mark.integration("argocd", "lying")
@pytest.mark.parametrize("automated", [True, False], ids=["automated", "by hand"])
def test_synced_while_the_old_model_is_served_is_taken_back(built: Callable[..., Site], automated: bool) -> None:
    site = built(automated=automated)
    before = site.live()
    _lies_from(site, "promote", until="roll_back")
    story = site.story.runs().expect_end(OutcomeKind.ROLLED_BACK).said("NotLive", "the platform serves").is_proven()
    assert story.effects.count("promote") == story.effects.count("roll_back") == 1
    assert (site.live(), site.desired()) == (before, before)


@pytest.mark.integration("argocd", "lying")
def test_a_lie_that_does_not_end_goes_to_a_person_and_is_no_success(built: Callable[..., Site]) -> None:
    site = built(automated=True)
    before = site.live()
    _lies_from(site, "promote")
    story = site.story.runs().expect_end(OutcomeKind.HANDED_OFF).said("roll_back failed", "NotLive")
    assert (site.live(), site.desired()) == (before, before)
    assert story.effects.count("roll_back") == 1


@pytest.mark.integration("argocd", "lying")
@pytest.mark.parametrize("automated", [True, False], ids=["automated", "by hand"])
def test_somebody_else_s_commit_during_the_wait_ends_it_and_stays(built: Callable[..., Site], automated: bool) -> None:
    pushed: list[str] = []

    def watch(site: Site) -> None:
        """Once our promotion is applied, and before it is healthy, somebody pushes."""
        promoted = Fault.PROGRESSING in site.argo.controller.faults and parse_values(site.values()).model.version == "2"
        if promoted and not pushed:
            pushed.append(site.remote.push(site.values() + BY_SOMEBODY))
            site.argo.fault(Fault.PROGRESSING, on=False)

    site = built(automated=automated, watch=watch)
    before = site.live()
    when_stage(site.story.rig, "promote", lambda: site.argo.fault(Fault.PROGRESSING))
    story = site.story.runs().expect_end(OutcomeKind.ROLLED_BACK).said("Superseded", pushed[0][:12]).is_proven()
    assert story.effects.count("roll_back") == 1
    assert (site.live(), site.desired()) == (before, before)
    assert site.values().endswith(BY_SOMEBODY)


@pytest.mark.integration("argocd", "lying")
def test_a_rollout_that_aborts_takes_the_release_back_though_argo_cd_says_healthy(built: Callable[..., Site]) -> None:
    rollout = MemoryRollout(WELL)
    aborted = WELL.model_copy(update={"phase": "Degraded", "aborted": True, "message": "ndcg below its limit"})
    site = built(automated=True, rollout=rollout)
    before = site.live()

    def abort() -> None:
        rollout.given = aborted
        when_stage(site.story.rig, "roll_back", lambda: setattr(rollout, "given", WELL))

    when_stage(site.story.rig, "promote", abort)
    site.story.runs().expect_end(OutcomeKind.ROLLED_BACK).said("Degraded", "aborted: ndcg below its limit").is_proven()
    assert (site.live(), site.desired()) == (before, before)
