"""A process that is one of several executors on a PostgreSQL: it joins, works workflows, and takes over from the dead.

python -m tests.integrations.workflow.member URL NAME JOURNAL
"""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from adapters.database import Database
from adapters.workflow.base import Run
from adapters.workflow.dbos import DbosWorkflow
from domain.clock import SystemClock
from service.executor import executor_of

TTL = timedelta(seconds=5)


def main(url: str, name: str, journal: Path) -> int:
    """Work until fenced (4). A step of `w-hang` never ends in the process that starts it first."""

    def note(what: str) -> dict[str, Any]:
        with journal.open("a") as out:
            out.write(f"{what} {name}\n")
        return {"by": name}

    def second(workflow_id: str) -> dict[str, Any]:
        first_time = f"{workflow_id}/second " not in journal.read_text()
        note(f"{workflow_id}/second")
        if first_time and workflow_id == "w-hang":
            threading.Event().wait(15)
            note(f"{workflow_id}/woke")
        return {"by": name}

    def body(run: Run, workflow_id: str) -> dict[str, Any]:
        run.step("first", lambda: note(f"{workflow_id}/first"))
        run.sleep(timedelta(seconds=3))
        run.step("second", lambda: second(workflow_id))
        run.step("third", lambda: note(f"{workflow_id}/third"))
        return {}

    clock = SystemClock()
    with ExitStack() as closing:
        executor = executor_of(url, Database(url), name, clock, closing, ttl=TTL)
        assert executor is not None
        workflow = DbosWorkflow(
            url,
            clock=clock,
            application_version="1",
            executor_id=executor.lease.owner,
            slots=2,
            grace=timedelta(seconds=1),
        )
        closing.callback(workflow.close)
        workflow.launch(body)
        note("ready")
        while not executor.fenced.is_set():
            executor.take_over(workflow)
            clock.sleep(timedelta(milliseconds=300))
        note("fenced")
    return 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
