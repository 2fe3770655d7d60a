"""A git remote, a cluster, a platform and the stand-in for Argo CD, wired up on loopback."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from adapters.delivery.argocd import ArgoCdDelivery
from adapters.delivery.memory import MemoryDelivery
from adapters.rest import Endpoint
from domain.candidate import LiveState
from domain.clock import FrozenClock
from domain.permit import PermitOffice
from testbed.argocd import Account, ArgoCd
from tests.contract.delivery_contract import NEW, OLD, OTHER
from tests.integrations.argocd.openapi import Recorder
from tests.stubs.small_server import Asked, Said, SmallServer, said

APPLICATION = "search-staging"
ADMIN, READER, NOBODY = "admin-token-1", "reader-token-1", "nobody-token-1"
PASSWORD = "correct horse 1"
ACCOUNTS = (
    Account("admin", ADMIN),
    Account("reader", READER, rights=frozenset({"get"})),
    Account("nobody", NOBODY, rights=frozenset()),
    Account("evercrew", "", PASSWORD),
)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Commits:
    """A bare repository at `old`; `new` and, on top of it, `other` are there and not on the branch yet."""

    repository: Path
    old: LiveState
    new: LiveState
    other: LiveState


def make_commits(folder: Path) -> Commits:
    """Make the repository."""
    bare, states = folder / "values.git", []
    _git("init", "--bare", "--quiet", "--template=", "--initial-branch=main", str(bare))
    parent: list[str] = []
    for minute, state in enumerate((OLD, NEW, OTHER)):
        blob = _git(f"--git-dir={bare}", "hash-object", "-w", "--stdin", sent=f"digest: {state.digest}\n")
        tree = _git(f"--git-dir={bare}", "mktree", sent=f"100644 blob {blob}\tvalues.yaml\n")
        who = f"Somebody <s@search.example> {1767225600 + 60 * minute} +0000"
        parents = "".join(f"parent {name}\n" for name in parent)
        text = f"tree {tree}\n{parents}author {who}\ncommitter {who}\n\nRelease {minute}\n"
        parent = [_git(f"--git-dir={bare}", "hash-object", "-t", "commit", "-w", "--stdin", sent=text)]
        states.append(state.model_copy(update={"revision": parent[0]}))
    _git(f"--git-dir={bare}", "update-ref", "refs/heads/main", states[0].revision)
    return Commits(bare, *states)


class Bench:
    """All of it for one test; time is `clock`, except on the wire."""

    def __init__(self, commits: Commits, folder: Path, recorder: Recorder, clock: FrozenClock) -> None:
        self.clock = clock
        self.old, self.new, self.other = commits.old, commits.new, commits.other
        self.office = PermitOffice(clock)
        self.recorder = recorder
        self.remote, self.cluster = folder / "remote.git", folder / "cluster.git"
        shutil.copytree(commits.repository, self.remote)
        shutil.copytree(commits.repository, self.cluster)
        self.platform = MemoryDelivery(state=self.old, clock=clock)
        self._folder = folder
        self._stack = ExitStack()
        self._platform_url = self._stack.enter_context(served(self._version))

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def enter(self, what: AbstractContextManager[Any]) -> None:
        """Enter something, and leave it with the bench."""
        self._stack.enter_context(what)

    def argo(self, **changes: Any) -> ArgoCd:
        """Start the stand-in."""
        settings: dict[str, Any] = {
            "folder": self._folder / "argocd",
            "remote": str(self.remote),
            "cluster": self.cluster,
            "platform": self._platform_url,
            "application": APPLICATION,
            "accounts": ACCOUNTS,
            "poll_seconds": 0,
            "slow_seconds": 1.5,
            "on_exchange": self.recorder,
        }
        return self._stack.enter_context(ArgoCd(**settings | changes))

    def delivery(self, argo: ArgoCd | str, **changes: Any) -> ArgoCdDelivery:
        """Return the adapter."""
        url = argo if isinstance(argo, str) else argo.url
        settings: dict[str, Any] = {
            "endpoint": endpoint(url),
            "platform": self.platform,
            "permits": self.office,
            "clock": self.clock,
            "application": APPLICATION,
            "refresh": timedelta(),
        }
        made = ArgoCdDelivery(**settings | changes)
        self._stack.callback(made.close)
        return made

    def push(self, state: LiveState) -> None:
        """Put a commit onto the branch."""
        _git(f"--git-dir={self.remote}", "update-ref", "refs/heads/main", state.revision)

    def becomes(self, state: LiveState, after: timedelta = timedelta()) -> None:
        """Push a commit, which the platform serves after a while."""
        self.push(state)
        self.platform.becomes(state, after)

    def applied(self) -> str:
        """Return the cluster's revision."""
        return _git(f"--git-dir={self.cluster}", "rev-parse", "refs/heads/main")

    def _version(self) -> Mapping[str, str]:
        live = self.platform.live()
        return {"values_revision": live.revision, "digest": live.digest}


def endpoint(url: str, token: str | None = ADMIN, **changes: Any) -> Endpoint:
    """Return an endpoint that does not wait long."""
    settings: dict[str, Any] = {"timeout": 30 * SECOND, "attempts": 2, **changes}
    return Endpoint(url=url, token=SecretStr(token) if token else None, **settings)


@contextmanager
def bench(commits: Commits, folder: Path, recorder: Recorder) -> Iterator[Bench]:
    """Build up and take down a bench."""
    with Bench(commits, folder, recorder, FrozenClock()) as built:
        yield built


@contextmanager
def served(version: Callable[[], Mapping[str, str]]) -> Iterator[str]:
    """Answer ``/version`` as the platform does, and nothing else."""

    def answer(request: Asked) -> Said:
        return said(version()) if request.path == "/version" else said({"detail": "not found"}, 404)

    with SmallServer(answer) as server:
        yield server.url


def _git(*arguments: str, sent: str | None = None) -> str:
    done = subprocess.run(["git", *arguments], input=sent, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()
