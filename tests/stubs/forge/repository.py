"""Merging for real, in a bare repository on disk, the three ways forges do it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

Style = Literal["squash", "merge", "rebase"]
IDENTITY = ("-c", "user.name=Forge", "-c", "user.email=forge@localhost")


class Bare:
    """Runs git in the repository behind a forge."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *IDENTITY, *arguments], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def tip(self, branch: str) -> str:
        """The branch's revision, empty when it is not there."""
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()

    def has(self, ancestor: str, revision: str) -> bool:
        command = ["git", "merge-base", "--is-ancestor", ancestor, revision]
        return subprocess.run(command, cwd=self.folder, check=False).returncode == 0

    def merged_tree(self, base: str, head: str) -> str:
        """The tree of a merge, empty when it conflicts."""
        done = subprocess.run(
            ["git", "merge-tree", "--write-tree", base, head],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.split()[0] if done.returncode == 0 else ""

    def merge(self, branch: str, base: str, style: Style, message: str, *, forward: bool = False) -> str:
        """Merge and return what the base is at. `forward`: a rebase that can be a fast-forward is one."""
        onto, head = self.tip(base), self.tip(branch)
        if style == "rebase" and forward and self.has(onto, head):
            made = head
        else:
            tree = self.merged_tree(onto, head)
            if not tree:
                raise ValueError(f"{branch} conflicts with {base}")
            said = self.git("log", "-1", "--format=%B", head) if style == "rebase" else message
            parents = ["-p", onto, *(["-p", head] if style == "merge" else [])]
            made = self.git("commit-tree", tree, *parents, "-m", said)
        self.git("update-ref", f"refs/heads/{base}", made, onto)
        return made

    def edit(self, branch: str, path: str, text: str, message: str) -> str:
        """Put a commit of a reviewer on a branch."""
        head = self.tip(branch)
        done = subprocess.run(
            ["git", "hash-object", "-w", "--stdin"],
            cwd=self.folder,
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        tree = self.git("ls-tree", head)
        lines = [line for line in tree.splitlines() if not line.endswith(f"\t{path}")]
        lines.append(f"100644 blob {done.stdout.strip()}\t{path}")
        made = subprocess.run(
            ["git", "mktree"], cwd=self.folder, input="\n".join(lines), capture_output=True, text=True, check=True
        )
        commit = self.git("commit-tree", made.stdout.strip(), "-p", head, "-m", message)
        self.git("update-ref", f"refs/heads/{branch}", commit)
        return commit
