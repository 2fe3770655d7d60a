"""PostgreSQL under store, workflows and chain, through the proxy; each cell has a server of its own."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from testbed.servers.postgres import Postgres, programs
from testbed.servers.proxy import Kind
from tests.chaos.sites import NETWORK, Site, passes, stays
from tests.durability.wiring import Instead

WHERE = "postgres.txt"
DATABASE = "cycles"


class PostgresSite(Site):
    """`WHERE` in the cell's folder names the folder of the server."""

    name = "database (PostgreSQL)"
    faults = (
        *passes("down", "restarted", "down"),
        *stays("slow", "latency"),
        *passes("slow", "black hole"),
    )
    stages = ("observe", "train", "promote", "watch", "roll_back")
    needs_server = True

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        super().__init__(folder, closing)
        self._server = Postgres(Path((folder / WHERE).read_text()))
        self._proxy = self.proxy(self._server.socket)

    @classmethod
    def missing(cls) -> str:
        """See `Site.missing`."""
        return "" if programs() else "postgresql"

    def instead(self) -> Instead:
        """See `Site.instead`."""
        url = f"postgresql://evercrew@{self._proxy.address}/{DATABASE}"
        return Instead(store=url, workflow=url, audit=url)

    def hurt(self, fault: str) -> None:
        """See `Site.hurt`."""
        if fault == "latency":
            # A step asks a hundred times.
            self._proxy.switch(Kind.LATENCY, delay=0.005, jitter=0.005)
            self._healing.append(lambda: self._proxy.switch(Kind.PASS))
            return
        if fault in NETWORK:
            self.weather(self._proxy, fault)
            return
        self._server.restart()
