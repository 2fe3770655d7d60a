"""Commits to the GitOps repository, as the platform's own people and bots make them."""

from __future__ import annotations

import io
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from testbed.reconciler import GitError
from testbed.values import FILE_NAME

_TIMEOUT = 60.0
_README = """# Desired state of the search platform

The platform applies every commit on `main`. A revision that does not validate is refused: the one before it
stays live.
"""
_VALUES = """\
# Desired state of the search platform.

# The released re-ranker: its name and version in the model registry, and the digest of its content.
model:
  name: {name}
  version: "{version}"
  digest: {digest}

# Who is served by which model, in percent of the users; a user always meets the same variant.
# The champion serves the released model.
variants:
  - name: champion
    digest: {digest}
    weight: 100

search:
  mode: balanced  # fast | balanced | exhaustive
  tier: standard  # standard | premium
  title_chars: 200  # how much of a title a result shows

feedback:
  window: 400  # judged sessions behind the rolling figures

# A higher generation rebuilds the index files.
index:
  generation: 1

# Intake of new documents.
etl:
  workers: 4
  batch: 250  # documents a worker takes at each turn

# What searches may cost.
budget:
  usd: 0.35
  period_s: 5
"""


def create_repository(repository: Path, name: str, version: str, digest: str) -> None:
    """Create the bare repository with its first commits; raises `GitError`."""
    _git(["init", "--bare", "--quiet", "--initial-branch=main", str(repository)])
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        _git(["clone", "--quiet", str(repository), str(tree)])
        _git(["checkout", "--quiet", "-B", "main"], tree)
        (tree / "README.md").write_text(_README, encoding="utf-8")
        _commit(tree, "Describe the repository", "platform-team")
        values = _VALUES.format(name=name, version=version, digest=digest)
        (tree / FILE_NAME).write_text(values, encoding="utf-8")
        _commit(tree, f"Release {name} version {version}", "release-bot")
        _git(["push", "--quiet", "origin", "main"], tree)


def change_values(repository: Path, edit: Callable[[Any], None], message: str, author: str = "release-bot") -> str:
    """Edit `values.yaml` (comments stay), commit and push; returns the commit. Raises `GitError`."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        _git(["clone", "--quiet", "--branch", "main", str(repository), str(tree)])
        path = tree / FILE_NAME
        values = yaml.load(path.read_text(encoding="utf-8"))
        edit(values)
        out = io.StringIO()
        yaml.dump(values, out)
        path.write_text(out.getvalue(), encoding="utf-8")
        _commit(tree, message, author)
        _git(["push", "--quiet", "origin", "main"], tree)
        return _git(["rev-parse", "HEAD"], tree).strip()


def _commit(tree: Path, message: str, author: str) -> None:
    who = ["-c", f"user.name={author}", "-c", f"user.email={author}@search.example"]
    _git(["add", "--all"], tree)
    _git([*who, "-c", "commit.gpgsign=false", "commit", "--quiet", "--message", message], tree)


def _git(arguments: Sequence[str], tree: Path | None = None) -> str:
    command = ["git", *(["-C", str(tree)] if tree else []), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {arguments[0]} took more than {_TIMEOUT:.0f} s") from error
    if done.returncode != 0:
        raise GitError(f"git {' '.join(arguments[:2])}: {done.stderr.strip()}")
    return done.stdout
