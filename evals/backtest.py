"""A backtest of many recorded cycles, beside the bare decisions in it.

One cycle is really recorded: a retrain on a small real platform, or one of a state folder that is given. Its tape is
kept under as many identities as asked for, each with its own moments, in a store on SQLite, and the packaged policy set
with one more rule is asked about all of them. *Bare* is the policy point alone, on the same requests built beforehand.

`python -m evals.backtest [--cycles 1000] [--state FOLDER] [--gates] [--json]`
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.store.base import Recording, StorePort
from cycles.backtest import Backtest, backtest, requests_of
from cycles.shelf import POLICIES, RULES, SHARED, tapes_of
from domain.canonical import canonical_json
from domain.clock import Clock, SystemClock
from domain.cycle import Cycle
from domain.tape import KIND, StepTape, place_of, plain_tape, tape_hash
from evals.sections import Cell, Section
from evals.tables import console
from policies.packaged import packaged_policy_files
from policies.pdp import PolicyDecisionPoint

CYCLES = 1000
GOAL_S = 60.0
# What the other set adds: promotions that rest on an A/B test of users are stopped.
FORBIDS = b'@id("forbid-tests")\n@reason("no test on users")\nforbid (principal, action == Action::"ab_start", resource);'
STRICTER = "quality_gates:\n  ndcg_at_10:\n    threshold: 0.9\n"


def measure(folder: Path, clock: Clock, *, cycles: int = CYCLES, state: Path | None = None, gates: bool = False) -> Section:
    """Record, relabel and backtest; raises what the demo raises."""
    from adapters.store.sqlalchemy import SqlStore

    recorded, shared = _recorded(folder, state)
    store = SqlStore(f"sqlite:///{folder}/backtest.db")
    try:
        size = _relabelled(store, recorded, shared, cycles, clock.now())
        return _section(store, clock, size, gates=gates)
    finally:
        store.close()


def _recorded(folder: Path, state: Path | None) -> tuple[list[StepTape], list[Recording]]:
    """Return the tapes of a cycle that was really worked, and the rules beside them."""
    from adapters.store.sqlalchemy import SqlStore

    store = SqlStore(f"sqlite:///{state or _worked(folder)}/evercrew.db")
    try:
        cycle = next(cycle for cycle in store.cycles() if store.recordings(cycle.id, place_of(0)))
        results = [r for r in store.recordings(cycle.id) if r.kind == "tool"]
        return tapes_of(store, cycle.id), [*store.recordings(SHARED), *results]
    finally:
        store.close()


def _worked(folder: Path) -> Path:
    """Work one retrain cycle on the testbed, and return its state folder."""
    from domain.events import nobody
    from service.demo import DemoOptions, run
    from service.settings import load

    class Quiet:
        def __call__(self, event: object) -> None:
            nobody(event)  # type: ignore[arg-type]

        def signals(self, values: object) -> None:
            """See `Show`."""

    options = DemoOptions(fault="corpus_shift", out=folder / "cycle", documents=2000)
    _, _, app = run(options, load(), Quiet())
    app.close()
    return options.out / "state"


def _relabelled(
    store: StorePort, tapes: Sequence[StepTape], beside: Sequence[Recording], cycles: int, now: datetime
) -> int:
    """Keep the tape under so many identities, a minute apart; return the characters of one."""
    for recording in beside:
        if recording.cycle_id == SHARED and recording.place.startswith((RULES, POLICIES)):
            store.claim(recording)
    first = Cycle.model_validate({**(tapes[0].state or {}), "updated_at": (tapes[0].state or {})["opened_at"]})
    size = 0
    for number in range(cycles):
        alert = first.alert.model_copy(update={"target": f"{first.target}-{number}"})
        cycle, _ = store.open_cycle(alert, now - timedelta(minutes=number))
        previous = ""
        for tape in tapes:
            renamed = tape.model_copy(update={"cycle_id": cycle.id, "previous": previous, "state": _state(tape, cycle)})
            plain = plain_tape(renamed)
            previous = tape_hash(plain)
            size += len(canonical_json(plain)) if number == 0 else 0
            store.record(Recording(cycle_id=cycle.id, place=tape.place, kind=KIND, payload=plain))
        for result in (r for r in beside if r.cycle_id != SHARED):
            store.record(result.model_copy(update={"cycle_id": cycle.id}))
    return size


def _state(tape: StepTape, cycle: Cycle) -> dict[str, Any] | None:
    return None if tape.state is None else {**tape.state, "id": cycle.id}


def _section(store: StorePort, clock: Clock, size: int, *, gates: bool) -> Section:
    from service.backtesting import gates_changed, recorded_cycles

    pdp = PolicyDecisionPoint.from_files({**packaged_policy_files(), "zz.cedar": FORBIDS})
    started = clock.monotonic()
    cycles, _ = recorded_cycles(store, clock.now() - timedelta(days=30))
    loaded = clock.monotonic() - started
    found: Backtest = backtest(cycles, pdp)
    whole = clock.monotonic() - started
    requests = [request for tapes in cycles for tape in tapes for _, request in requests_of(tape)]
    started = clock.monotonic()
    for request in requests:
        pdp.decide(request)
    bare = clock.monotonic() - started
    rows: list[Sequence[Cell]] = [
        ("cycles", len(cycles)),
        ("decisions", found.decisions),
        ("promotions it would have stopped", len(found.stopped)),
        ("kB of tape a cycle", round(size / 1000, 1)),
        ("s to load the tapes", round(loaded, 2)),
        ("s for the whole backtest", round(whole, 2)),
        ("s for the bare decisions", round(bare, 2)),
        ("goal, s", GOAL_S),
    ]
    if gates:
        started = clock.monotonic()
        parted = gates_changed(store, cycles, STRICTER, None)
        rows += [("s to replay all under other gates", round(clock.monotonic() - started, 2)), ("parted", len(parted))]
    return Section("backtest", "a backtest of recorded cycles beside its bare decisions", rows, ("what", "found"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns 0 when the goal was met."""
    parser = argparse.ArgumentParser(prog="python -m evals.backtest", description=__doc__)
    parser.add_argument("--cycles", type=int, default=CYCLES, help="recorded cycles")
    parser.add_argument("--state", type=Path, default=None, help="take the cycle of this state folder")
    parser.add_argument("--gates", action="store_true", help="replay each under other gates, too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="evercrew-backtest-") as scratch:
        section = measure(Path(scratch), SystemClock(), cycles=given.cycles, state=given.state, gates=given.gates)
    if given.json:
        sys.stdout.write(json.dumps(section.plain(), indent=2) + "\n")
    else:
        console().print(section.table())
    seconds = next(float(str(row[1])) for row in section.rows if row[0] == "s for the whole backtest")
    return 0 if seconds < GOAL_S else 1


if __name__ == "__main__":
    sys.exit(main())
