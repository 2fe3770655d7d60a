"""What DBOS has no public call for, in one place: the rows of its system database, as version 3.4 keeps them.

Three things. A sleeping workflow is put back in the queue with a delay (from running to delayed, guarded by the
token of whoever runs it, so that a runner that lost it changes nothing): it holds no thread and belongs to no
process. The owners of running workflows are listed, and those of owners that are dead are put back in the queue, from
which exactly one runner takes each. A replay reads all recorded steps at once, and not one by one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from dbos import DBOS
from dbos._context import DBOSContext, get_local_dbos_context
from dbos._dbos import _get_dbos_instance
from dbos._recovery import recover_pending_workflows

from domain.clock import SystemClock
from domain.errors import DependencyUnavailable

V = TypeVar("V")
_MOST_AT_ONCE = 1000


def apart(ask: Callable[[], V]) -> V:
    """Ask DBOS something from a thread of its own: in a workflow's it would be recorded as a step.

    Raises:
        DependencyUnavailable: the question raised.
    """
    answers: list[V] = []
    asking = threading.Thread(target=lambda: answers.append(ask()))
    asking.start()
    asking.join()
    if not answers:
        raise DependencyUnavailable("workflow", "the database of the workflows did not answer")
    return answers[0]


class Recorded:
    """The steps of a workflow that were recorded before this run of its body, to be passed without asking again."""

    def __init__(self, workflow_id: str) -> None:
        steps = apart(lambda: DBOS.list_workflow_steps(workflow_id))
        self._steps: Mapping[int, tuple[str, Any]] = {
            step["function_id"]: (step["function_name"], step["output"]) for step in steps if step["error"] is None
        }
        self._last = max((step["function_id"] for step in steps), default=0)

    def passes(self, name: str) -> dict[str, Any] | None:
        """Return what the next step came to, and count it as passed; None when it has to be asked for."""
        place = _place()
        known = self._steps.get(place.function_id + 1)
        if known is None or known[0] != name or not isinstance(known[1], dict):
            return None
        place.function_id += 1
        return dict(known[1])

    def goes_on(self) -> bool:
        """Whether a step is recorded after the last one that was passed."""
        return self._last > _place().function_id


def put_back(workflow_id: str, after: timedelta) -> None:
    """Let the workflow that the calling thread runs be taken from the queue again `after` some time, by anybody."""
    place, database = _place(), _get_dbos_instance()._sys_db
    rows = database.tables.workflow_status
    due = SystemClock().now() + after
    mine = (rows.c.workflow_uuid == workflow_id, rows.c.status == "PENDING", rows.c.owner_xid == place.owner_xid)
    values = {
        "status": "DELAYED",
        "delay_until_epoch_ms": int(due.timestamp() * 1000),
        "owner_xid": None,
        "started_at_epoch_ms": None,
        "recovery_attempts": 0,  # it counts deaths, and this is none
    }
    with database.engine.begin() as connection:
        connection.execute(sa.update(rows).where(*mine).values(**values))


def known(workflow_ids: Collection[str]) -> frozenset[str]:
    """Return those of the workflows that were started."""
    database = _get_dbos_instance()._sys_db
    name = database.tables.workflow_status.c.workflow_uuid
    found: set[str] = set()
    asked = list(workflow_ids)
    with database.engine.begin() as connection:
        for start in range(0, len(asked), _MOST_AT_ONCE):
            some = asked[start : start + _MOST_AT_ONCE]
            found.update(connection.scalars(sa.select(name).where(name.in_(some))))
    return frozenset(found)


def owners(application_version: str) -> frozenset[str]:
    """Return the executors under whose names workflows of this version run, dead or alive."""
    database = _get_dbos_instance()._sys_db
    rows = database.tables.workflow_status
    running = (rows.c.status == "PENDING", rows.c.application_version == application_version)
    with database.engine.begin() as connection:
        return frozenset(connection.scalars(sa.select(rows.c.executor_id).where(*running).distinct()))


def adopt(dead: Collection[str]) -> int:
    """Put what the dead executors ran back in the queue, and return how many workflows that were."""
    return len(recover_pending_workflows(_get_dbos_instance(), sorted(dead))) if dead else 0


def _place() -> DBOSContext:
    place = get_local_dbos_context()
    if place is None:
        raise DependencyUnavailable("workflow", "the calling thread runs no workflow")
    return place
