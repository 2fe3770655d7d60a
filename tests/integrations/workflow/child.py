"""A process that runs one workflow and is killed in the middle of its second step; run again, it finishes.

python -m tests.integrations.workflow.child DATABASE JOURNAL
"""

from __future__ import annotations

import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

from adapters.workflow.base import Run
from adapters.workflow.dbos import DbosWorkflow
from domain.clock import SystemClock


def main(database: str, journal: Path) -> None:
    """Run the workflow; its second step hangs the first time it is run."""

    def note(name: str) -> dict[str, Any]:
        with journal.open("a") as out:
            out.write(name + "\n")
        return {"name": name}

    def second() -> dict[str, Any]:
        first_time = "second" not in journal.read_text().split()
        note("second")
        if first_time:
            threading.Event().wait(60)
        return {"name": "second"}

    def body(run: Run, workflow_id: str) -> dict[str, Any]:
        names = [run.step("first", lambda: note("first")), run.step("second", second)]
        run.sleep(timedelta(milliseconds=50))
        names.append(run.step("third", lambda: note("third")))
        return {"id": workflow_id, "names": [step["name"] for step in names]}

    workflow = DbosWorkflow(f"sqlite:///{database}", clock=SystemClock(), application_version="1")
    workflow.launch(body)
    workflow.start("w1")
    note("result " + "-".join(workflow.result("w1", timedelta(seconds=60))["names"]))
    workflow.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
