"""The dependencies of an office, each with the faults it can be given: where it can be had, over its real protocol."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from domain.permit import PermitOffice
from evals.simulated import World
from service.toolbox import Ports
from testbed.servers.proxy import Kind, Proxy
from tests.durability.wiring import Instead
from tests.support.office import Rig

# Real seconds; the office's clock runs fifty times as fast.
SLOW = 0.08
NETWORK: Mapping[str, Mapping[str, Any]] = {
    "down": {"kind": Kind.REFUSE},
    "reset": {"kind": Kind.RESET},
    "black hole": {"kind": Kind.BLACKHOLE},
    "latency": {"kind": Kind.LATENCY, "delay": SLOW, "jitter": SLOW / 2},
    "cut short": {"kind": Kind.CUT, "bytes_left": 40},
}


@dataclass(frozen=True)
class Fault:
    """One row of the table: what is done (`kind`), to which group it belongs, and whether it stays or passes.

    `stages` narrows the stages of its site to those at which it can show.
    """

    kind: str
    group: str
    stays: bool
    stages: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the row is called."""
        return f"{self.kind}, {'stays' if self.stays else 'passes'}"


def stays(group: str, *kinds: str, stages: tuple[str, ...] = ()) -> list[Fault]:
    """Return faults that are there until the process is killed."""
    return [Fault(kind, group, True, stages) for kind in kinds]


def passes(group: str, *kinds: str, stages: tuple[str, ...] = ()) -> list[Fault]:
    """Return faults that end after two attempts."""
    return [Fault(kind, group, False, stages) for kind in kinds]


class Site:
    """One dependency: how it is wired, and how it is hurt and healed at run time."""

    name: ClassVar[str] = ""
    faults: ClassVar[Sequence[Fault]] = ()
    stages: ClassVar[Sequence[str]] = ()
    # Whether a PostgreSQL of the cell's own has to run around it.
    needs_server: ClassVar[bool] = False
    # Whether no stage comes far without it, so that a fault that passes has to have shown.
    always_asked: ClassVar[bool] = False

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        self.folder = folder
        self.closing = closing
        self._healing: list[Callable[[], object]] = []

    def instead(self) -> Instead:
        """Return what to wire."""
        return Instead(ports=self.ports)

    def ports(self, ports: Ports, world: World, permits: PermitOffice) -> Ports:
        """Return the ports with this dependency among them."""
        return ports

    def attach(self, rig: Rig) -> None:
        """Take hold of parts of the office that has been wired."""

    def hurt(self, fault: str) -> None:
        """Begin the fault."""
        raise NotImplementedError

    def heal(self) -> None:
        """End it."""
        while self._healing:
            self._healing.pop()()

    @classmethod
    def missing(cls) -> str:
        """Return what has to be installed for it, or the empty string."""
        return ""

    # -- helpers ----------------------------------------------------------------------------------------------------

    def proxy(self, target: tuple[str, int] | Path) -> Proxy:
        """Return a proxy before the target that lives as long as the site."""
        return self.closing.enter_context(Proxy(target))

    def weather(self, proxy: Proxy, fault: str) -> None:
        """Switch the network, until it is healed."""
        proxy.switch(**NETWORK[fault])
        self._healing.append(lambda: proxy.switch(Kind.PASS))

    def moved_away(self, place: Path) -> None:
        """Take a file or folder away, and put something unusable in its place, until it is healed."""
        away = place.with_name(place.name + ".away")
        place.rename(away)
        broken = place.is_dir()
        place.mkdir() if not broken and away.is_file() else place.touch()

        def back() -> None:
            if place.is_dir():
                place.rmdir()
            else:
                place.unlink()
            away.rename(place)

        self._healing.append(back)

    def locked(self, database: Path) -> None:
        """Hold the write lock of a SQLite file, until it is healed."""
        connection = sqlite3.connect(database, timeout=20, isolation_level=None, check_same_thread=False)
        connection.execute("BEGIN EXCLUSIVE")

        def free() -> None:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            connection.close()

        self._healing.append(free)
