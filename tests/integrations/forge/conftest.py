"""Forges over a real repository, and the product in front of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.rest import Endpoint
from adapters.vcs.forge import ForgePort
from adapters.vcs.github import GitHubForge
from adapters.vcs.gitlab import GitLabForge
from adapters.vcs.pull_request import PullRequestVcs
from domain.clock import FrozenClock, SystemClock
from domain.permit import PermitOffice
from tests.contract.gitremote import Remote, open_vcs
from tests.contract.vcs_contract import VALUES
from tests.stubs.forge.github import GitHubStub
from tests.stubs.forge.gitlab import GitLabStub
from tests.stubs.forge.server import ForgeStub

TOKEN = "forge-t0ken"
PROJECT = "team/values"
STUBS: dict[str, type[GitHubStub] | type[GitLabStub]] = {"github": GitHubStub, "gitlab": GitLabStub}
FORGES: dict[str, type[GitHubForge] | type[GitLabForge]] = {"github": GitHubForge, "gitlab": GitLabForge}


class Meanwhile(SystemClock):
    """While the product sleeps, these happen, one at a sleep."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self.acts = list(acts)

    def sleep(self, duration: timedelta) -> None:
        if self.acts:
            self.acts.pop(0)()
        super().sleep(duration)


@dataclass
class Team:
    """A stub of a forge, the repository behind it, and how the product comes to them."""

    kind: str
    stub: ForgeStub
    remote: Remote
    office: PermitOffice
    folder: Path

    def forge(self, *, token: str = TOKEN, url: str = "", project: str = PROJECT, seconds: float = 30) -> ForgePort:
        endpoint = Endpoint(
            url=url or self.stub.url, token=SecretStr(token), timeout=timedelta(seconds=seconds), attempts=1
        )
        return FORGES[self.kind](endpoint=endpoint, project=project, clock=SystemClock())

    def vcs(self, folder: str = "clone", forge: ForgePort | None = None, **more: Any) -> PullRequestVcs:
        """An adapter of a process of its own that waits for 0.3 s."""
        usual = {"patience": timedelta(seconds=0.3), "poll": timedelta(seconds=0.02), "clock": SystemClock()}
        return PullRequestVcs(
            git=open_vcs(self.remote.folder, self.folder / folder, self.office),
            forge=forge or self.forge(),
            permits=self.office,
            **{**usual, **more},
        )

    def branches(self) -> list[str]:
        """Branches of ours in the repository."""
        return self.stub.bare.git("for-each-ref", "--format=%(refname:short)", "refs/heads/evercrew").split()


@pytest.fixture
def office() -> PermitOffice:
    return PermitOffice(FrozenClock())


@pytest.fixture
def team_of(office: PermitOffice, tmp_path: Path) -> Iterator[Callable[..., Team]]:
    """Makes a team on a forge of a kind."""
    running: list[ForgeStub] = []

    def make(kind: str, **options: Any) -> Team:
        remote = Remote(tmp_path, VALUES)
        stub = STUBS[kind](remote.folder, project=PROJECT, token=TOKEN, **options)
        running.append(stub.__enter__())
        return Team(kind, stub, remote, office, tmp_path)

    yield make
    for stub in running:
        stub.__exit__()


@pytest.fixture
def team(kind: str, team_of: Callable[..., Team]) -> Team:
    """A team on the forge that the test names."""
    return team_of(kind)


def on_both(case: str) -> pytest.MarkDecorator:
    """Run a test on each forge, as one of its cells."""
    kinds = [pytest.param(kind, marks=pytest.mark.integration(kind, case)) for kind in STUBS]
    return pytest.mark.parametrize("kind", kinds)
