"""The crash matrix: a cycle whose process dies at place N of its writes, and the sound one that comes after it."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from testbed.servers.postgres import Postgres, programs
from tests.chaos.child import PROFILE, told_in
from tests.chaos.runner import Runner, tail
from tests.chaos.writes import sample

PATHS = ("tuning", "rollback")
WAIT = timedelta(seconds=120)


@dataclass(frozen=True)
class Crash:
    """Die at place `at` of the path (0 counts the places and dies at none); `urls` are databases, by name."""

    path: str
    at: int
    backend: str = "SQLite"
    urls: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its folder is called."""
        return f"crash-{self.backend}-{self.path}-{self.at}"


@dataclass
class Found:
    """What became of it."""

    crash: Crash
    died: bool
    unsafe: list[str]
    writes: int = 0


def live(folder: str, crash: Crash) -> None:
    """Run the cycle of the folder until it ends, or the process dies."""
    told_in(Path(folder), "first", lambda here: _lived(here, crash, crash.at))


def after(folder: str, crash: Crash) -> None:
    """Go on with it, and judge."""
    told_in(Path(folder), "second", lambda here: _lived(here, crash, 0))


def _lived(folder: Path, crash: Crash, end: int) -> dict[str, Any]:
    from tests.chaos.judge import judged
    from tests.chaos.writes import CountedAudit, Writes
    from tests.durability.wiring import PATHS, Instead, build, prepare
    from tests.support.setting import alert_of

    if not (folder / "setup.json").exists():
        prepare(folder, crash.path)
    writes = Writes(end)
    with ExitStack() as closing:
        closing.callback(writes.close)
        urls: dict[str, Any] = dict(crash.urls)
        instead = replace(Instead(profile=PROFILE), wrap=lambda audit: CountedAudit(audit, writes), **urls)
        rig = build(folder, crash.path, "", instead)
        alert = alert_of(PATHS[crash.path], rig.clock).model_copy(update={"starts_at": rig.world.alert_at})
        cycle = next(iter(rig.store.cycles()), None) or rig.open(alert)
        rig.engine.launch()
        rig.engine.start(cycle.id)
        rig.workflow.result(cycle.id, WAIT)
        told = judged(folder, crash, rig, cycle.id, "")
        rig.workflow.close()
    return {**told, "writes": writes.count}


@dataclass(frozen=True)
class Backend:
    """Where store, workflows and chain stand. `fresh` makes the databases of one experiment."""

    name: str
    fresh: Callable[[], Mapping[str, str]]
    share: float = 1.0

    def places(self, count: int, most: int) -> Sequence[int]:
        """Return the places to die at, of so many: all, or what time allows, spread evenly."""
        return sample(count, max(2, min(math.ceil(count * self.share), most)))


@contextmanager
def backends() -> Iterator[list[Backend]]:
    """Give SQLite, and PostgreSQL where it is installed: there every fifth place, for a database takes its time."""
    made = [Backend("SQLite", dict)]
    if programs() is None:
        yield made
        return
    with Postgres() as server:
        numbers = count(1)
        server.database("base")

        def fresh() -> Mapping[str, str]:
            url = server.url(server.database(f"crash{next(numbers)}", "base"))
            return {"store": url, "workflow": url, "audit": url}

        yield [*made, Backend("PostgreSQL", fresh, share=0.2)]


class Crashes:
    """Runs them on a runner's processes."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def counted(self, path: str, urls: Mapping[str, str], backend: str = "SQLite") -> Found:
        """Run the path without a death, and count its places."""
        return self.one(Crash(path, 0, backend, urls))

    def run(self, wanted: Iterable[Crash], workers: int = 2) -> Iterator[Found]:
        """Give what was found, as it comes."""
        with ThreadPoolExecutor(workers) as pool:
            for future in as_completed([pool.submit(self.one, crash) for crash in wanted]):
                yield future.result()

    def one(self, crash: Crash) -> Found:
        """Die once, come back, and be judged."""
        place = Path(shutil.copytree(self._runner.template, self._runner.folder / crash.name))
        first = self._runner.finished(live, str(place), crash)
        second = self._runner.finished(after, str(place), crash)
        told = _read(place / "second.json")
        problems = list(told.get("unsafe", ()))
        if first is None or second is None:
            problems.append("a process hung")
        if second:
            problems.append(f"the one after ended with {second}: {tail(place)}")
        if first not in (0, -9, None):
            problems.append(f"it ended with {first}: {tail(place)}")
        if told and told["outcome"] != told["wanted"]:
            problems.append(f"it ended {told['outcome']}, not {told['wanted']}: {told['reason']}")
        writes = int(_read(place / "first.json").get("writes", 0))
        if not problems:
            shutil.rmtree(place, ignore_errors=True)
        return Found(crash, first == -9, problems, writes)


def _read(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text())) if file.exists() else {}
