"""What a cycle costs at several sizes of the fleet: seconds of processor and bytes of database, drawn as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evals import scale_fleet
from testbed.servers.postgres import fresh_database


@dataclass(frozen=True)
class CurvePoint:
    """One size: totals of a run in which nobody is killed."""

    cycles: int
    cpu_s: float
    bytes_: int
    seconds: float
    ok: bool


def point(server: str, cycles: int, targets: int, slots: int) -> CurvePoint:
    """Run so many cycles on two executors and return what they cost; starting the executors is part of it."""
    with fresh_database(server) as url:
        ran = scale_fleet.run(url, cycles=cycles, targets=targets, executors=2, slots=slots, kill_every=0.0)
    return CurvePoint(ran.cycles, ran.cpu_s, ran.bytes_, ran.seconds, ran.ok)


def draw(points: Sequence[CurvePoint], into: Path) -> None:
    """Draw totals over cycles, with the straight line through the first and the last point beside them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "evercrew"  # the same figures give the same file
    figure, panes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    sizes = [ran.cycles for ran in points]
    totals = (
        ("seconds of processor", [ran.cpu_s for ran in points]),
        ("MiB of PostgreSQL", [ran.bytes_ / 2**20 for ran in points]),
    )
    for pane, (name, values) in zip(panes, totals, strict=True):
        pane.plot([sizes[0], sizes[-1]], [values[0], values[-1]], "--", color="0.6", label="straight line")
        pane.plot(sizes, values, "o-", color="#1f6f8b", label="measured")
        pane.set(xlabel="cycles", ylabel=name, xlim=(0, None), ylim=(0, None))
        pane.legend(frameon=False)
        pane.spines[["top", "right"]].set_visible(False)
    into.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(into, metadata={"Date": None})
    pyplot.close(figure)
