"""`evercrew bench`: what the machinery costs, and how often the crew decides rightly."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import DependencyUnavailable

bench = typer.Typer(invoke_without_command=True, help="Measure the machinery, or the decisions.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@bench.callback(epilog="Example: evercrew bench --json")
def machinery(context: typer.Context, as_json: AsJson = False) -> None:
    """Measure the door, a policy decision, the cycle beside its bare work, and start-up, side by side in one run."""
    if context.invoked_subcommand is not None:
        return
    _evals("evals.machinery", ["--json"] if as_json else [])


@bench.command(epilog="Example: evercrew bench decisions --seeds 5 --documents 3000")
def decisions(
    seeds: Annotated[int, typer.Option(min=1, max=50, help="Seeds of each fault.")] = 5,
    documents: Annotated[int, typer.Option(min=500, help="Documents of the corpus.")] = 3000,
    collection: Annotated[Path | None, typer.Option(help="Use a collection instead.")] = None,
    faults: Annotated[str, typer.Option(help="Comma-separated faults.")] = "",
    as_json: AsJson = False,
) -> None:
    """Run every fault with several seeds and print the confusion table of fault against action.

    Ends with 1 below the bar.
    """
    words = ["--seeds", str(seeds), "--documents", str(documents)]
    words += ["--collection", str(collection)] if collection else []
    words += ["--faults", faults] if faults else []
    _evals("evals.decisions", [*words, *(["--json"] if as_json else [])])


@bench.command(epilog="Example: evercrew bench contract --rows etl_backlog,recall_drop")
def contract(
    rows: Annotated[str, typer.Option(help="Comma-separated triggers of the contract (default: all seven).")] = "",
    documents: Annotated[int, typer.Option(min=500, help="Documents of the corpus.")] = 3000,
    seed: Annotated[int, typer.Option(help="Seed of corpus, users and faults.")] = 1,
    keep: Annotated[Path | None, typer.Option(help="Keep the folders of the runs here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Let every row of the contract be breached on the testbed: its signal, its remedy, and the reaction time between.

    Ends with 1 when a row did not fire, did not act, or left no record of its reaction time.
    """
    words = ["--documents", str(documents), "--seed", str(seed)]
    words += ["--rows", rows] if rows else []
    words += ["--keep", str(keep.resolve())] if keep else []
    _evals("evals.contract", [*words, *(["--json"] if as_json else [])])


@bench.command(epilog="Example: evercrew bench rivals --documents 2000 --seed 1")
def rivals(
    documents: Annotated[int, typer.Option(min=500, help="Documents of the corpus.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of corpus, users and learners.")] = 1,
    learners: Annotated[str, typer.Option(help="Comma-separated learners.")] = "lightgbm,h2o",
    as_json: AsJson = False,
) -> None:
    """Train rival learners on one data set, judge them by the same gates, and let the gates choose."""
    words = ["--documents", str(documents), "--seed", str(seed), "--learners", learners]
    _evals("evals.rivals", [*words, *(["--json"] if as_json else [])])


def _evals(module: str, words: list[str]) -> None:
    """Run an evaluation in a process of its own: evaluators are out of reach of what they judge."""
    if importlib.util.find_spec(module) is None:
        raise DependencyUnavailable("evals", f"{module} is not installed", "Install the whole distribution")
    raise typer.Exit(subprocess.run([sys.executable, "-m", module, *words], check=False).returncode)
