"""`evercrew bench`: what the machinery costs, and how often the crew decides rightly."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import DependencyUnavailable, InvalidInput

bench = typer.Typer(invoke_without_command=True, help="Measure the machinery, or the decisions.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@bench.callback(epilog="Example: evercrew bench --json")
def machinery(context: typer.Context, as_json: AsJson = False) -> None:
    """Measure the door, a policy decision, the cycle beside its bare work, and start-up, side by side in one run."""
    if context.invoked_subcommand is not None:
        return
    _evals("evals.machinery", ["--json"] if as_json else [])


@bench.command(epilog="Example: evercrew bench door --records 1000000 --json")
def door(
    records: Annotated[int, typer.Option(min=1000, help="Records of the chain that is verified.")] = 1_000_000,
    seconds: Annotated[float, typer.Option(min=0.2, help="Seconds of each sustained run.")] = 4.0,
    as_json: AsJson = False,
) -> None:
    """Measure the door: gate, policy decision, sustained calls, and verification of a long audit chain.

    Ends with 1 when a goal is missed.
    """
    words = ["--records", str(records), "--seconds", str(seconds)]
    _evals("evals.door_bench", [*words, *(["--json"] if as_json else [])])


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
    words += ["--collection", str(_folder("collection", collection))] if collection else []
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


@bench.command("rollback", epilog="Example: evercrew bench rollback --documents 3000")
def way_back(
    documents: Annotated[int, typer.Option(min=500, help="Documents of the corpus.")] = 3000,
    seed: Annotated[int, typer.Option(help="Seed of corpus and users.")] = 1,
    scenario: Annotated[str, typer.Option(help="breach, or kill switch (default: both).")] = "",
    as_json: AsJson = False,
) -> None:
    """Promote a model, then let it turn out worse, or throw the kill switch: how fast the old one is back.

    Ends with 1 when the platform does not end on the old model, verified live, within 5 seconds.
    """
    words = ["--documents", str(documents), "--seed", str(seed)]
    words += ["--scenario", scenario] if scenario else []
    _evals("evals.rollback", [*words, *(["--json"] if as_json else [])])


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


@bench.command(epilog="Example: evercrew bench scale --postgres postgresql://evercrew@db.example/postgres")
def scale(
    postgres: Annotated[
        str, typer.Option(help="A server to make databases on, and drop them (default: one of its own).")
    ] = "",
    cycles: Annotated[int, typer.Option(min=0, help="Cycles in flight; 0 leaves the fleet out.")] = 200,
    bodies: Annotated[int, typer.Option(min=0, help="Webhook bodies of the storm; 0 leaves it out.")] = 20_000,
    kill_every: Annotated[float, typer.Option(min=0, help="Seconds between kills of an executor; 0: none.")] = 8.0,
    patience: Annotated[float, typer.Option(min=1, help="Seconds after which an open cycle counts as lost.")] = 200.0,
    curve: Annotated[
        Path | None, typer.Option(help="Draw what a cycle costs at several sizes into this SVG instead.")
    ] = None,
    sizes: Annotated[str, typer.Option(help="Comma-separated sizes of the curve, in cycles.")] = "25,50,100,200",
    as_json: AsJson = False,
) -> None:
    """Send an alert storm through the inbox, and work cycles on three executors, one killed every few seconds.

    Ends with 1 when anything was lost or made twice.
    """
    words = ["--cycles", str(cycles), "--bodies", str(bodies)]
    words += ["--kill-every", str(kill_every), "--patience", str(patience)]
    words += ["--postgres", postgres] if postgres else []
    words += ["--curve", str(curve.resolve()), "--sizes", _numbers(sizes)] if curve else []
    _evals("evals.scale", [*words, *(["--json"] if as_json else [])])


@bench.command("serve", epilog="Example: evercrew bench serve --kill 5000")
def serving(
    seconds: Annotated[float, typer.Option(min=1, help="Seconds of each sustained run.")] = 8.0,
    connections: Annotated[int, typer.Option(min=1, max=500, help="Connections of the sender.")] = 32,
    kill: Annotated[
        int, typer.Option(min=0, help="Kill the service at random under so many webhooks, and count what is lost.")
    ] = 0,
    rate: Annotated[float, typer.Option(min=1, help="Webhooks a second of that stream.")] = 100.0,
    postgres: Annotated[str, typer.Option(help="With --kill: an empty PostgreSQL database (default: SQLite).")] = "",
    as_json: AsJson = False,
) -> None:
    """Measure webhooks durably accepted a second, pages and events, beside the bare framework and a bare flush.

    Ends with 1 when a webhook was lost.
    """
    if postgres and not kill:
        raise InvalidInput("postgres", "is for the run under kills", "Add --kill, or leave --postgres out")
    words = ["--seconds", str(seconds), "--connections", str(connections), "--kill", str(kill), "--rate", str(rate)]
    words += ["--postgres", postgres] if postgres else []
    _evals("evals.serve", [*words, *(["--json"] if as_json else [])])


@bench.command(epilog="Example: evercrew bench attack --data texts/ --sample 60")
def attack(
    data: Annotated[Path, typer.Option(help="A folder of JSON Lines with hostile and benign texts.")],
    sample: Annotated[int, typer.Option(min=0, help="Whole cycles to run with hijacked crews.")] = 60,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many texts of each sort (default: all).")] = None,
    as_json: AsJson = False,
) -> None:
    """Let a hijacked model attack by every channel a text can enter, and see that benign texts change nothing.

    Ends with 1 when there is an ungated effect, an unmarked text, or one benign refusal in a hundred.
    """
    words = ["--data", str(_folder("data", data)), "--sample", str(sample)]
    words += ["--limit", str(limit)] if limit is not None else []
    _evals("evals.attack", [*words, *(["--json"] if as_json else [])])


@bench.command(epilog="Example: evercrew bench backtest --cycles 1000 --state artifacts/demo/state")
def backtest(
    cycles: Annotated[int, typer.Option(min=1, help="Recorded cycles.")] = 1000,
    state: Annotated[Path | None, typer.Option(help="Take the newest cycle of this state folder.")] = None,
    gates: Annotated[bool, typer.Option("--gates", help="Replay each cycle under other gates, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask another policy set about many recorded cycles, beside the bare decisions; ends with 1 beyond a minute."""
    words = ["--cycles", str(cycles), *(["--state", str(_folder("state", state).resolve())] if state else [])]
    _evals("evals.backtest", [*words, *(["--gates"] if gates else []), *(["--json"] if as_json else [])])


@bench.command(epilog="Example: evercrew bench intents --json")
def intents(
    generated: Annotated[int, typer.Option(min=0, help="Sentences made of templates, slots and slips.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the generated ones.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Read operators' sentences with the playbook: tuned ones, paraphrases kept aside, and many generated ones.

    Ends with 1 when an order is read that nobody gave, or fewer than nine in ten are right.
    """
    words = ["--generated", str(generated), "--seed", str(seed)]
    _evals("evals.intents", [*words, *(["--json"] if as_json else [])])


def _folder(field: str, path: Path) -> Path:
    if not path.is_dir():
        raise InvalidInput(field, f"{path} is no folder", "Name one that is there")
    return path


def _numbers(sizes: str) -> str:
    if not all(size.strip().isdecimal() and int(size) for size in sizes.split(",")):
        raise InvalidInput("sizes", f"{sizes!r} are no numbers of cycles", "Write e.g. 25,50,100")
    return sizes


def _evals(module: str, words: list[str]) -> None:
    """Run an evaluation in a process of its own: evaluators are out of reach of what they judge."""
    if importlib.util.find_spec(module) is None:
        raise DependencyUnavailable("evals", f"{module} is not installed", "Install the whole distribution")
    raise typer.Exit(subprocess.run([sys.executable, "-m", module, *words], check=False).returncode)
