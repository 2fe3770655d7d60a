"""The values repository behind pull requests holds to its contract, on a forge that merges what it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from adapters.vcs.base import VcsPort
from tests.contract.vcs_contract import Outside, VcsContract
from tests.integrations.forge.conftest import Team

PATIENCE, POLL = timedelta(seconds=60), timedelta(seconds=0.01)


@pytest.mark.integration("github", "works")
class TestPullRequestsSquashedOnGitHub(VcsContract):
    @pytest.fixture
    def team(self, team_of: Callable[..., Team]) -> Team:
        return team_of("github", auto=True, style="squash")

    @pytest.fixture
    def vcs(self, team: Team) -> VcsPort:
        return team.vcs(patience=PATIENCE, poll=POLL)

    @pytest.fixture
    def outside(self, team: Team) -> Outside:
        return team.remote.push


@pytest.mark.integration("gitlab", "works")
class TestMergeRequestsRebasedOnGitLab(VcsContract):
    @pytest.fixture
    def team(self, team_of: Callable[..., Team]) -> Team:
        return team_of("gitlab", auto=True, style="rebase")

    @pytest.fixture
    def vcs(self, team: Team) -> VcsPort:
        return team.vcs(patience=PATIENCE, poll=POLL)

    @pytest.fixture
    def outside(self, team: Team) -> Outside:
        return team.remote.push
