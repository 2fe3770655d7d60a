"""A backtest of many recorded cycles, beside the bare decisions in it.

One cycle is really recorded: a retrain on a small real platform, or one of a state folder that is given. Its tape is
kept under as many identities as asked for, each with its own moments, in a store on SQLite, and the packaged policy set
with one more rule is asked about all of them. *Bare* is the policy point alone, on the same requests built beforehand.

`python -m evals.backtest [--cycles 1000] [--state FOLDER] [--gates] [--json]`
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from adapters.store.base import Recording, StorePort
from adapters.store.sqlalchemy import SqlStore
from cycles.backtest import backtest, requests_of
from cycles.shelf import SHARED, tapes_of
from domain.canonical import canonical_json
from domain.clock import Clock, SystemClock
from domain.errors import InvalidInput
from domain.tape import KIND, PLACE, StepTape, plain_tape, tape_hash
from evals.active import Stopwatch
from evals.sections import Cell, Section, timed
from evals.tables import console
from policies.packaged import packaged_policy_files
from policies.pdp import PolicyDecisionPoint
from service.backtesting import gates_changed, recorded_cycles
from service.demo import DemoOptions, run
from service.settings import load

CYCLES = 1000
GOAL_S = 60.0
DOCUMENTS = 2000
WHOLE = "s for the whole backtest"
# What the other set adds: promotions that rest on an A/B test of users are stopped.
FORBIDS = b'@id("forbid-tests") @reason("no test on users") forbid (principal, action == Action::"ab_start", resource);'
STRICTER = "quality_gates:\n  ndcg_at_10:\n    threshold: 0.9\n"


def measure(
    folder: Path, clock: Clock, *, cycles: int = CYCLES, state: Path | None = None, gates: bool = False
) -> Section:
    """Record, relabel and backtest; raises what the demo raises."""
    source = SqlStore(f"sqlite:///{state or _worked(folder, clock)}/evercrew.db")
    store = SqlStore(f"sqlite:///{folder}/backtest.db")
    try:
        with closing(sqlite3.connect(folder / "backtest.db")) as file:
            size = _relabelled(source, store, file, cycles, clock.now(), gates=gates)
        return _section(store, clock, size, gates=gates)
    finally:
        source.close()
        store.close()


def _worked(folder: Path, clock: Clock) -> Path:
    """Work one retrain cycle on the testbed, and return its state folder."""
    options = DemoOptions(fault="corpus_shift", out=folder / "cycle", documents=DOCUMENTS)
    _, _, app = run(options, load(), Stopwatch(clock), clock)
    app.close()
    return options.out / "state"


def _relabelled(
    source: StorePort, store: StorePort, file: sqlite3.Connection, cycles: int, now: datetime, *, gates: bool
) -> int:
    """Keep the newest recorded cycle under so many identities, a minute apart; return the characters of its tape.

    What its tools answered is copied too where the cycles are to be replayed. The rows are written past the store, a
    cycle at once: writing them is not what is measured.
    """
    found = next((cycle for cycle in source.cycles() if source.recordings(cycle.id, PLACE)), None)
    if found is None:
        raise InvalidInput("--state", "no cycle of it has a record", "Name the state folder of a demo that has run")
    tapes = tapes_of(source, found.id)
    results = [r for r in source.recordings(found.id) if r.kind == "tool"] if gates else []
    for shared in source.recordings(SHARED):
        store.claim(shared)
    size = 0
    for number in range(cycles):
        alert = found.alert.model_copy(update={"target": f"{found.target}-{number}"})
        cycle, _ = store.open_cycle(alert, now - timedelta(minutes=number))
        kept = list(_under(tapes, cycle.id))
        size = size or sum(len(canonical_json(recording.payload)) for recording in kept)
        rows = [(cycle.id, r.place, r.kind, canonical_json(r.payload)) for r in (*kept, *results)]
        file.executemany("INSERT INTO recordings (cycle_id, place, kind, payload) VALUES (?, ?, ?, ?)", rows)
        file.commit()
    return size


def _under(tapes: Sequence[StepTape], cycle_id: str) -> Iterator[Recording]:
    """Yield the tapes as those of another cycle."""
    previous = ""
    for tape in tapes:
        state = None if tape.state is None else {**tape.state, "id": cycle_id}
        renamed = tape.model_copy(update={"cycle_id": cycle_id, "previous": previous, "state": state})
        plain = plain_tape(renamed)
        previous = tape_hash(plain)
        yield Recording(cycle_id=cycle_id, place=tape.place, kind=KIND, payload=plain)


def _section(store: StorePort, clock: Clock, size: int, *, gates: bool) -> Section:
    pdp = PolicyDecisionPoint.from_files({**packaged_policy_files(), "zz.cedar": FORBIDS})
    started, before = clock.monotonic(), _used()
    cycles, _ = recorded_cycles(store, clock.now() - timedelta(days=30))
    loaded = clock.monotonic() - started
    found = backtest(cycles, pdp)
    whole, used = clock.monotonic() - started, _used() - before
    requests = [request for tapes in cycles for tape in tapes for _, request in requests_of(tape)]
    bare = timed(clock, lambda: [pdp.decide(request) for request in requests])
    rows: dict[str, Cell] = {
        "cycles": len(cycles),
        "decisions": found.decisions,
        "promotions it would have stopped": len(found.stopped),
        "kB of tape a cycle": size / 1000,
        "s to load the tapes": loaded,
        WHOLE: whole,
        "of one core, s": used,
        "s for the bare decisions": bare,
        "goal, s": GOAL_S,
    }
    if gates:
        started = clock.monotonic()
        parted = gates_changed(store, cycles, STRICTER, None)
        rows["s to replay all under other gates"] = clock.monotonic() - started
        rows["cycles that part under them"] = len(parted)
    table = [{"what": what, "found": value} for what, value in rows.items()]
    return Section("backtest", "a backtest of recorded cycles beside its bare decisions", table)


def _used() -> float:
    """Seconds of a core that this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns 0 when the goal was met."""
    parser = argparse.ArgumentParser(prog="python -m evals.backtest", description=__doc__)
    parser.add_argument("--cycles", type=int, default=CYCLES, help="recorded cycles")
    parser.add_argument("--state", type=Path, default=None, help="take the cycle of this state folder")
    parser.add_argument("--gates", action="store_true", help="replay each under other gates, too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="evercrew-backtest-") as scratch:
            section = measure(Path(scratch), SystemClock(), cycles=given.cycles, state=given.state, gates=given.gates)
    except InvalidInput as problem:
        parser.error(str(problem))
    if given.json:
        sys.stdout.write(json.dumps(section.plain(), indent=2) + "\n")
    else:
        console().print(section.table())
    seconds = next(row["found"] for row in section.rows if row["what"] == WHOLE)
    return 0 if isinstance(seconds, float) and seconds < GOAL_S else 1


if __name__ == "__main__":
    sys.exit(main())
