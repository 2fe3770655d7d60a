"""`python -m testbed.argocd`: the stand-in for Argo CD in a terminal, until interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from testbed.argocd.accounts import Account
from testbed.argocd.server import ADMIN_TOKEN, ArgoCd
from testbed.errors import TestbedError

_EXAMPLE = """example:
  python -m testbed.argocd --folder argocd --remote https://git.example/values.git \\
    --cluster world/gitops.git --platform http://127.0.0.1:8000 --git-env GIT_SSL_CAINFO=ca.pem
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted: 0 stopped, 2 misuse, 3 something it depends on failed."""
    given = _parser().parse_args(arguments)
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    try:
        with _server(given) as argo:
            sys.stdout.write(f"{argo.url}\n")
            sys.stdout.flush()
            stop.wait()
    except (TestbedError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 3
    return 0


def _server(given: argparse.Namespace) -> ArgoCd:
    return ArgoCd(
        folder=given.folder,
        remote=given.remote,
        branch=given.branch,
        path=given.path,
        cluster=given.cluster,
        platform=given.platform,
        application=given.application,
        project=given.project,
        accounts=[Account("admin", given.token, given.password)],
        automated=not given.manual,
        poll_seconds=given.poll,
        git_environment=dict(given.git_env),
        certificate=(given.cert, given.key) if given.cert and given.key else None,
        port=given.port,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m testbed.argocd",
        description="A stand-in for Argo CD that follows a git remote and applies it to a bare repository.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, required=True, help="for its own files")
    parser.add_argument("--remote", required=True, help="the git remote to follow: path, https or ssh")
    parser.add_argument("--cluster", type=Path, required=True, help="the bare repository it applies to")
    parser.add_argument("--platform", required=True, help="URL of the platform that follows the cluster's repository")
    parser.add_argument("--branch", default="main")
    parser.add_argument("--path", default=".")
    parser.add_argument("--application", default="search-production")
    parser.add_argument("--project", default="default")
    parser.add_argument("--token", default=ADMIN_TOKEN, help="the administrator's token")
    parser.add_argument("--password", default="", help="the administrator's password, to open sessions with")
    parser.add_argument("--manual", action="store_true", help="automated sync is off")
    parser.add_argument("--poll", type=float, default=1.0, help="seconds between looks at the remote")
    parser.add_argument("--git-env", type=_pair, action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--cert", type=Path, help="certificate, to answer over https")
    parser.add_argument("--key", type=Path, help="its key")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    return parser


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
