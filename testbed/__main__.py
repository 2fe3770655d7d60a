"""`python -m testbed`: make a world, bring it to life, send users, let something happen, measure the truth."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from testbed.errors import TestbedError

_EXAMPLE = """example:
  python -m testbed bootstrap world --documents 3000 --cache .cache
  python -m testbed serve world --rate 30
  python -m testbed fault world corpus_shift
  python -m testbed truth world -n 500
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: 0 done, 2 misuse, 3 something the command depends on failed."""
    given = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = given.run
    try:
        command(given)
    except FileExistsError as error:
        return _complain(2, error)
    except (TestbedError, OSError) as error:
        return _complain(3, error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m testbed",
        description="A small real search platform.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, help_text: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help_text, description=help_text)
        command.add_argument("world", type=Path, help="the world's directory")
        command.set_defaults(run=run)
        return command

    make = add("bootstrap", "Make a world in a new directory.", _bootstrap)
    make.add_argument("--seed", type=int, default=1)
    make.add_argument("--documents", type=int, help="how many doc strings (default: about 12,000)")
    make.add_argument("--collection", type=Path, help="folder with docs.jsonl[.gz], queries.jsonl, qrels.tsv")
    make.add_argument("--history", type=int, help="sessions of the month before (default: by the corpus' size)")
    make.add_argument("--cache", type=Path, help="folder that keeps made worlds for the next time")
    serve = add("serve", "Serve a world, with users, until interrupted.", _serve)
    serve.add_argument("--port", type=int, help="default: a free one")
    serve.add_argument("--rate", type=float, help="sessions per second (default: as the world says)")
    serve.add_argument("--no-traffic", action="store_true", help="serve without users")
    users = add("traffic", "Send users to a served world.", _traffic)
    users.add_argument("--max-seconds", type=float, default=3600.0)
    hurt = add("fault", "Let something happen to a world.", _fault)
    hurt.add_argument("name", help="one of: see python -m testbed.faults --help")
    hurt.add_argument("--seed", type=int, default=0)
    ask = add("truth", "Measure how good the live search really is.", _truth)
    ask.add_argument("-n", type=int, default=500, help="fresh intents to ask (default %(default)s)")
    ask.add_argument("--seed", type=int, default=0)
    return parser


def _bootstrap(given: argparse.Namespace) -> None:
    from testbed.world import bootstrap

    with tempfile.TemporaryDirectory() as scratch:
        cache = given.cache or Path(scratch)
        world = bootstrap(given.world, given.seed, given.documents, given.collection, cache, history=given.history)
    _say({"world": str(world.root)})


def _serve(given: argparse.Namespace) -> None:
    from testbed.world import World

    world = World(given.world)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    url = world.start(rate=given.rate, traffic=not given.no_traffic, port=given.port)
    try:
        _say({"url": url, "world": str(world.root)})
        stopped.wait()
    finally:
        world.stop()


def _traffic(given: argparse.Namespace) -> None:
    from testbed import traffic

    traffic.main([str(given.world), "--url", _url(given.world), "--max-seconds", str(given.max_seconds)])


def _fault(given: argparse.Namespace) -> None:
    from testbed.faults import inject

    _say(inject(given.world, given.name, given.seed))


def _truth(given: argparse.Namespace) -> None:
    from testbed.layout import Layout
    from testbed.probe import measure_live

    _say(measure_live(Layout(given.world.resolve()), _url(given.world), given.n, given.seed))


def _url(world: Path) -> str:
    from testbed.layout import Layout

    endpoint = Layout(world.resolve()).endpoint
    if not endpoint.exists():
        raise TestbedError(f"{world} is not served: run python -m testbed serve {world}")
    return str(json.loads(endpoint.read_text(encoding="utf-8"))["url"])


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _complain(code: int, error: Exception) -> int:
    sys.stderr.write(f"python -m testbed: {error}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
