"""Dependencies that answer over a network: metrics, git over HTTPS and SSH, Argo CD."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from pydantic import SecretStr

from adapters.delivery.argocd import ArgoCdDelivery
from adapters.rest import Endpoint
from adapters.vcs.access import GitAccess
from adapters.vcs.git import GitVcs
from domain.errors import DependencyTimeout
from domain.permit import PermitOffice
from evals.simulated import World, WorldMetrics
from service.toolbox import Ports
from testbed.argocd.faults import Fault as ArgoFault
from testbed.argocd.server import ADMIN_TOKEN, ArgoCd
from testbed.servers.githttp import GitHttp
from testbed.servers.proxy import Proxy
from testbed.servers.ssh import Sshd
from tests.chaos.metrics_stub import Api, Booked
from tests.chaos.sites import NETWORK, Site, passes, stays
from tests.durability.wiring import Instead, git
from tests.stubs.small_server import Asked, Said, SmallServer, said

# Real seconds until an adapter gives up on an answer. Metrics are read by the dozen in every stage before the fault
# too: three slow answers of a busy machine would end the cycle before it came to the stage that is to be hurt.
ANSWER = timedelta(seconds=0.3)
METRICS_ANSWER = timedelta(seconds=1)
GIT_ANSWER = timedelta(seconds=3)
APPLICATION = "search-production"
_EPOCH = datetime.fromtimestamp(0, UTC)


class MetricsSite(Site):
    """Prometheus' protocol through the proxy."""

    name = "metrics"
    faults = (
        *stays("down", "down"),
        *passes("down", "down"),
        *passes("down", "reset", "cut short", stages=("ab", "watch")),
        *stays("slow", "latency", stages=("ab", "watch")),
        *stays("slow", "black hole"),
        *stays("lying", "stale", "nan"),
        *passes("lying", "duplicate", "another product"),
    )
    stages = ("observe", "diagnose", "ab", "watch", "watch of a worse model")

    def ports(self, ports: Ports, world: World, permits: PermitOffice) -> Ports:
        """See `Site.ports`."""
        self._api = Api(WorldMetrics(world))
        server = self.closing.enter_context(SmallServer(self._api))
        self._proxy = self.proxy(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
        endpoint = Endpoint(url=f"http://{self._proxy.address}", timeout=METRICS_ANSWER, attempts=1)
        metrics = Booked(endpoint=endpoint, clock=world.clock, lookback=timedelta(minutes=4))
        metrics.book = self._api.book
        self.closing.callback(metrics.close)
        return replace(ports, metrics=metrics)

    def hurt(self, fault: str) -> None:
        """See `Site.hurt`."""
        if fault in NETWORK:
            self.weather(self._proxy, fault)
            return
        self._api.lie = fault
        self._healing.append(lambda: setattr(self._api, "lie", ""))


class Lossy:
    """A port whose next effect is made, and its answer lost; `lose` is what happens to the line in that moment."""

    def __init__(self, port: object) -> None:
        self._port = port
        self.lose: Callable[[], object] | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found

        def called(*args: Any, **kwargs: Any) -> Any:
            result = found(*args, **kwargs)
            lose = self.lose
            if lose is not None and kwargs.get("permit") is not None:
                self.lose = None
                lose()
                raise DependencyTimeout("git", "the answer was lost")
            return result

        return called


class GitSite(Site):
    """The values repository behind git's own programs and the proxy; the platform reads the repository itself."""

    stages: ClassVar[Sequence[str]] = ("diagnose", "ab", "promote", "roll_back", "learn")
    _proxy: Proxy

    def ports(self, ports: Ports, world: World, permits: PermitOffice) -> Ports:
        """See `Site.ports`."""
        remote, access = self.served()
        vcs = GitVcs(
            remote=remote,
            branch="main",
            path="values.yaml",
            folder=self.folder / "clone",
            permits=permits,
            clock=world.clock,
            access=access,
            timeout=GIT_ANSWER,
        )
        self._lossy = Lossy(vcs)
        return replace(ports, vcs=self._lossy)

    def served(self) -> tuple[str, GitAccess]:
        """Return the address through the proxy, and who we are there."""
        raise NotImplementedError

    def hurt(self, fault: str) -> None:
        """See `Site.hurt`."""
        self.weather(self._proxy, fault)


class GitHttpSite(GitSite):
    """Over HTTPS; `stale` is a copy of the repository that was made when the fault began, and takes pushes."""

    name = "git over HTTPS"
    faults = (
        *stays("down", "down"),
        *passes("down", "reset"),
        *stays("slow", "black hole"),
        *passes("lying", "stale copy", stages=("ab", "promote", "roll_back")),
        *passes("lying", "answer lost", stages=("ab", "promote", "roll_back")),
    )

    def served(self) -> tuple[str, GitAccess]:
        """See `GitSite.served`."""
        self._server = self.closing.enter_context(
            GitHttp(self.folder / "values.git", users={"evercrew": "secret"}, tls=True)
        )
        self._proxy = self.proxy(("127.0.0.1", int(self._server.url.split(":")[2].split("/")[0])))
        access = GitAccess(username="evercrew", token=SecretStr("secret"), ca=self._server.ca)
        return f"https://{self._proxy.address}/values.git", access

    def hurt(self, fault: str) -> None:
        """See `Site.hurt`."""
        if fault in NETWORK:
            super().hurt(fault)
            return
        if fault == "answer lost":
            self._lossy.lose = lambda: self.weather(self._proxy, "down")
            self._healing.append(lambda: setattr(self._lossy, "lose", None))
            return
        copy = self.folder / "copy" / "values.git"
        shutil.copytree(self._server.repository, copy, dirs_exist_ok=True)
        true, self._server.repository = self._server.repository, copy
        self._healing.append(lambda: setattr(self._server, "repository", true))


class GitSshSite(GitSite):
    """Over SSH."""

    name = "git over SSH"
    faults = (*stays("down", "down"), *passes("slow", "black hole"))
    stages = ("promote", "roll_back")

    @classmethod
    def missing(cls) -> str:
        """See `Site.missing`."""
        return "" if shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin") else "openssh-server"

    def served(self) -> tuple[str, GitAccess]:
        """See `GitSite.served`."""
        server = self.closing.enter_context(Sshd(self.folder / "sshd"))
        self._proxy = self.proxy(("127.0.0.1", server.port))
        hosts = self.folder / "proxied_hosts"
        key = server.known_hosts.read_text().split(" ", 1)[1]
        hosts.write_text(f"[127.0.0.1]:{self._proxy.port} {key}")
        access = GitAccess(ssh_key=server.user_key, known_hosts=hosts)
        place = (self.folder / "values.git").absolute()
        return f"ssh://{server.user}@{self._proxy.address}{place}", access


class DeliverySite(Site):
    """The stand-in of Argo CD through the proxy; what it applied is what the platform serves."""

    name = "delivery (Argo CD)"
    faults = (
        *stays("down", "down"),
        *passes("slow", "black hole"),
        *stays("lying", "lie", "degraded"),
        *passes("lying", "stale", "broken_json"),
    )
    stages = ("ab", "promote", "roll_back")

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        super().__init__(folder, closing)
        self._cluster = folder / "cluster.git"
        if not self._cluster.exists():
            git("clone", "--quiet", "--bare", str(folder / "values.git"), str(self._cluster), at=_EPOCH)
            head = git("--git-dir", str(self._cluster), "rev-parse", "main", at=_EPOCH)
            (self._cluster / "refs" / "heads" / "main").write_text(head)

    def instead(self) -> Instead:
        """See `Site.instead`."""
        return Instead(ports=self.ports, served="cluster.git")

    def ports(self, ports: Ports, world: World, permits: PermitOffice) -> Ports:
        """See `Site.ports`."""

        def version(asked: Asked) -> Said:
            return said({"values_revision": world.live().revision})

        platform = self.closing.enter_context(SmallServer(version))
        self._argo = self.closing.enter_context(
            ArgoCd(
                folder=self.folder / "argocd",
                remote=str(self.folder / "values.git"),
                cluster=self._cluster,
                platform=platform.url,
                application=APPLICATION,
                poll_seconds=0.1,
            )
        )
        self._proxy = self.proxy(("127.0.0.1", int(self._argo.url.rsplit(":", 1)[1])))
        delivery = ArgoCdDelivery(
            endpoint=Endpoint(url=f"http://{self._proxy.address}", token=SecretStr(ADMIN_TOKEN), timeout=ANSWER),
            platform=ports.platform,
            permits=permits,
            clock=world.clock,
            application=APPLICATION,
            refresh=timedelta(seconds=1),
            grace=timedelta(seconds=5),
        )
        self.closing.callback(delivery.close)
        return replace(ports, delivery=delivery)

    def hurt(self, fault: str) -> None:
        """See `Site.hurt`."""
        if fault in NETWORK:
            self.weather(self._proxy, fault)
            return
        self._argo.fault(ArgoFault(fault))
        self._healing.append(lambda: self._argo.fault(ArgoFault(fault), on=False))
