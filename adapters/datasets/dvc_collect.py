"""Which objects of the remote nothing needs any more.

Only objects that this repository's own history names can go: what others keep in the same remote is never touched.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from git import Repo as GitRepo
from git.exc import GitCommandError

from adapters.datasets.base import Collectable
from adapters.datasets.dvc_content import listing, object_path
from adapters.datasets.dvc_repository import NAME, STORE, DvcRepository
from domain.dataset import DatasetRef
from domain.errors import DependencyLied, DependencyUnavailable, DigestMismatch


@dataclass(frozen=True)
class Marked:
    """What may go: addresses in the remote, and what is told of them."""

    addresses: tuple[str, ...]
    told: Collectable


def mark(here: DvcRepository, git: GitRepo, keep: Collection[str]) -> Marked:
    """Find what nothing needs; the newest dataset is kept whatever `keep` says.

    Raises:
        DependencyUnavailable: the file list of something kept is missing, so that nobody can say what it needs.
    """
    history = list(here.history(git))
    kept = {*keep, *(ref.md5 for _, ref in history[:1])}
    versions: dict[str, DatasetRef] = {ref.md5: ref for _, ref in history}
    roots: dict[str, set[str]] = {md5: {md5} for md5 in versions}
    for revision, ref in history:
        roots[ref.md5] |= _outputs(git, revision)
    gone = [ref for md5, ref in versions.items() if md5 not in kept]
    if not gone:
        return Marked((), Collectable(kept=len(versions)))
    with tempfile.TemporaryDirectory(prefix="evercrew-collect-") as name, here.dvc() as repo:
        remote = repo.cloud.get_remote_odb(STORE)
        reader = _Reader(here, remote, Path(name))
        needed = {a for md5 in versions if md5 in kept for root in roots[md5] for a in reader.reach(root, must=True)}
        old = {a for ref in gone for root in roots[ref.md5] for a in reader.reach(root, must=False)}
        sizes = {address: reader.size(address) for address in sorted(old - needed)}
    there = {address: size for address, size in sizes.items() if size is not None}
    told = Collectable(
        datasets=tuple(gone) if there else (),
        kept=len(kept & set(versions)),
        objects=len(there),
        size=sum(there.values()),
    )
    return Marked(tuple(there), told)


def sweep(here: DvcRepository, marked: Marked) -> None:
    """Delete the marked objects from the remote and the cache, and the work copies of their datasets."""
    if not marked.addresses:
        return
    with here.dvc() as repo:
        remote = repo.cloud.get_remote_odb(STORE)
        # File lists go last: broken off in between, the next round still finds what they name.
        for address in sorted(marked.addresses, key=lambda a: a.endswith(".dir")):
            remote.fs.remove(remote.oid_to_path(address))
            object_path(here.folder / ".dvc" / "cache", address).unlink(missing_ok=True)


class _Reader:
    """Reads file lists of the remote."""

    def __init__(self, here: DvcRepository, remote: Any, store: Path) -> None:
        self._here = here
        self._remote = remote
        self._store = store

    def reach(self, address: str, *, must: bool) -> set[str]:
        """Return the address and, for a folder, those of its files; without `must`, as far as they are there."""
        if not address.endswith(".dir"):
            return {address}
        try:
            if not object_path(self._store, address).exists():
                self._here.bring(self._remote, self._store, address, "the file list")
            return {address, *listing(self._store, address).values()}
        except (DependencyUnavailable, DigestMismatch):
            if must:
                raise
            return {address}

    def size(self, address: str) -> int | None:
        """Return the bytes of an object, None when it is not there."""
        if not self._remote.exists(address):
            return None
        return int(self._remote.fs.size(self._remote.oid_to_path(address)) or 0)


def _outputs(git: GitRepo, revision: str) -> set[str]:
    """The addresses a pipeline's lock at this commit made, the dataset aside."""
    try:
        changed = str(git.git.execute(["git", "show", "--name-only", "--format=", revision])).split()
        if "dvc.lock" not in changed:
            return set()
        lock = yaml.safe_load(str(git.git.execute(["git", "cat-file", "blob", f"{revision}:dvc.lock"])))
        outs = [out for stage in lock["stages"].values() for out in stage.get("outs", [])]
        return {str(out["md5"]) for out in outs}
    except GitCommandError:
        return set()
    except (yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        raise DependencyLied(NAME, f"dvc.lock at {revision[:12]} cannot be read", "Mend the repository") from error
