"""What stands around the demo's platform: nothing, a Prometheus, or the systems a production team has.

The systems are the real programs on loopback; Argo CD alone is a stand-in that speaks its protocol, follows the same
repository and applies it for real.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cycles.intake import Taken, take
from domain.errors import DependencyUnavailable
from service.wiring import App
from testbed.servers.base import ServerError
from testbed.servers.prometheus import Prometheus
from testbed.world import World

Note = Callable[[str], None]


@dataclass
class Inbox:
    """Where an alert manager's webhooks arrive. A body is taken durably before the sender is told that it was.

    `taken` is what the first alert that opened a cycle came to.
    """

    taken: Taken | None = None
    _app: App | None = None

    def open(self, app: App) -> None:
        """Take bodies from now on."""
        self._app = app

    def receive(self, body: Any) -> None:
        """Take one body.

        Raises:
            DependencyUnavailable: nobody is there yet; the sender tries again.
            InvalidInput: it is no webhook body.
        """
        app = self._app
        if app is None:
            raise DependencyUnavailable("inbox", "nobody takes alerts yet", "Send it again")
        taken = take(body, app.routing, app.ports.store, app.clock)
        if taken.opened and self.taken is None:
            self.taken = taken


@dataclass
class Surroundings:
    """Sections of the configuration that are laid over the demo's own, settings, and where alerts arrive.

    Without an inbox the demo looks at the signals itself, as an alerting rule would.
    """

    sections: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    inbox: Inbox | None = None


def with_prometheus(world: World, out: Path, running: ExitStack) -> Surroundings:
    """Start a Prometheus that reads the platform's page.

    Raises:
        DependencyUnavailable: it is not installed, or does not start.
    """
    server = Prometheus(out / "prometheus", targets={"platform": urlsplit(world.url).netloc})
    running.callback(server.stop)
    started("prometheus", server.start)
    return Surroundings(sections={"metrics": {"kind": "prometheus", "url": server.url}})


def started(name: str, start: Callable[[], Any]) -> Any:
    """Start a server.

    Raises:
        DependencyUnavailable: it does not; with its own words.
    """
    try:
        return start()
    except ServerError as problem:
        raise DependencyUnavailable(name, str(problem), "Run `make setup-integration`, which installs it") from problem
