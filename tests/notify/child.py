"""A process that tells what waits in an outbox, until nothing waits: arguments are the folder and the address."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from adapters.audit.sqlite import SqliteAudit
from adapters.database import Database
from adapters.notices.sqlalchemy import SqlNotices
from adapters.notify.slack import SlackNotify
from adapters.rest import Endpoint
from domain.clock import SystemClock
from domain.permit import PermitOffice
from service.notices.courier import Courier
from service.notify_sections import RateConfig


def main(folder: Path, address: str) -> None:
    """Tell everything."""
    clock = SystemClock()
    permits = PermitOffice(clock)
    outbox = SqlNotices(Database(f"sqlite:///{folder / 'store.db'}"))
    slack = SlackNotify(
        address=SecretStr(address),
        reached=Endpoint(url="https://channel.invalid"),
        register=outbox,
        permits=permits,
    )
    courier = Courier(
        outbox,
        {"slack": slack},
        permits,
        SqliteAudit(folder / "audit.db", clock),
        clock,
        rate=RateConfig(most=1000),
        attempts=50,
        lease=timedelta(milliseconds=200),
    )
    while outbox.counts().waiting:
        courier.round()
        clock.sleep(timedelta(milliseconds=20))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
