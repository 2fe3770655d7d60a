"""Datasets in DVC: a git repository of pointers, a local cache, and a remote that is not believed unchecked.

The content is pushed before its pointer is committed, and the commit carries the key: killed in between, nothing was
versioned and doing it again costs nothing.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path

from git import Repo as GitRepo

from adapters.datasets.base import (
    EFFECT_COLLECT,
    EFFECT_PIPELINE,
    EFFECT_POINT,
    EFFECT_TAG,
    EFFECT_VERSION,
    Collectable,
    Pipeline,
)
from adapters.datasets.dvc_collect import Marked, mark, sweep
from adapters.datasets.dvc_content import object_path
from adapters.datasets.dvc_pipeline import run_and_lock, write_stages
from adapters.datasets.dvc_repository import DATASET_NAME, KEY, NAME, POINTER, DvcRepository
from adapters.s3 import S3Location
from domain.clock import Clock
from domain.dataset import DatasetRef
from domain.errors import ConfigurationError, ConflictError, DependencyLied, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

_COLLECTED = "Evercrew-Collected"
_TAG = re.compile(r"^[A-Za-z0-9][\w-]*(?:[./][\w-]+)*$")


class DvcDatasets:
    """`DatasetsPort` over the repository in `folder` (made when absent) and `remote`.

    `remote` is a folder, or ``s3://bucket/prefix``; `s3` then says where that bucket is (None: Amazon's own). `anchor`
    says what the audit chain looks like now; every commit carries it.

    Raises:
        ConfigurationError: `s3` is of another address than `remote`.
    """

    def __init__(
        self,
        *,
        folder: Path,
        remote: str,
        permits: PermitVerifier,
        clock: Clock,
        author: tuple[str, str] = ("Evercrew", "evercrew@localhost"),
        timeout: timedelta = timedelta(seconds=60),
        s3: S3Location | None = None,
        anchor: Callable[[], str] = str,
    ) -> None:
        if remote.startswith("s3://") and s3 is None:
            s3 = S3Location(url=remote)
        if s3 is not None and s3.url != remote:
            raise ConfigurationError(
                "datasets.s3", f"{s3.url} is not the remote {remote}", "Name the bucket in datasets.remote"
            )
        self._permits = permits
        self._repository = DvcRepository(
            folder=folder, remote=remote, location=s3, clock=clock, author=author, timeout=timeout, anchor=anchor
        )

    def version(self, *, source: Path, name: str, message: str, key: str, permit: Permit | None) -> DatasetRef:
        """See `DatasetsPort.version`."""
        self._permits.spend(permit, effect=EFFECT_VERSION, key=key)
        _check_arguments(source, name, message, key)
        here = self._repository
        with here.opened() as git:
            done = here.by_trailer(git, "Evercrew-Key", key)
            if done is not None:
                return done
            git.git.execute(["git", "reset", "--quiet"])  # what a killed process had staged
            md5 = self._store(source, name)
            known = here.by_trailer(git, "Evercrew-Md5", md5, name)
            trailers = {"Evercrew-Dataset": name, "Evercrew-Md5": md5, "Evercrew-Key": key}
            if known is not None:
                here.commit(git, message, {**trailers, "Evercrew-Same-As": known.revision})
                return known
            git.git.execute(["git", "add", "--", f"{name}.dvc", ".gitignore"])
            return DatasetRef(name=name, path=name, md5=md5, revision=here.commit(git, message, trailers))

    def materialise(self, ref: DatasetRef, into: Path) -> Path:
        """See `DatasetsPort.materialise`."""
        target = into / ref.name
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix=".dataset-") as scratch, self._repository.opened() as git:
            store = Path(scratch) / "cache"
            entries = self._repository.fetch(git, ref, store)
            fresh = Path(scratch) / "content"
            fresh.mkdir()
            for relative, address in entries.items():
                place = fresh / relative
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(object_path(store, address), place)
            shutil.rmtree(target, ignore_errors=True)
            fresh.rename(target)
        return target

    def find(self, md5: str) -> DatasetRef | None:
        """See `DatasetsPort.find`."""
        with self._repository.opened() as git:
            return self._repository.by_trailer(git, "Evercrew-Md5", md5)

    def verify(self, ref: DatasetRef) -> None:
        """See `DatasetsPort.verify`."""
        with tempfile.TemporaryDirectory(prefix="evercrew-dvc-") as scratch, self._repository.opened() as git:
            self._repository.fetch(git, ref, Path(scratch))

    def tag(self, *, ref: DatasetRef, tag: str, key: str, permit: Permit | None) -> None:
        """See `DatasetsPort.tag`: an annotated git tag on the commit of the pointer."""
        self._permits.spend(permit, effect=EFFECT_TAG, key=key)
        if not _TAG.match(tag) or not KEY.match(key):
            raise InvalidInput("tag", f"{tag!r} is not a tag", "Use letters, digits and ./_- only")
        body = f"Evercrew-Dataset: {ref.name}\nEvercrew-Md5: {ref.md5}\nEvercrew-Key: {key}"
        with self._repository.opened() as git:
            self._repository.check_pointer(git, ref)
            known = self._tagged(git, tag)
            if known is None:
                git.git.execute(["git", "tag", "--annotate", "--no-sign", "-m", body, tag, ref.revision])
            elif known != ref:
                raise ConflictError(f"the tag {tag} names another dataset version; tags are never moved")

    def tagged(self, tag: str) -> DatasetRef | None:
        """See `DatasetsPort.tagged`."""
        with self._repository.opened() as git:
            return self._tagged(git, tag) if _TAG.match(tag) else None

    def point(self, *, pointer: str, ref: DatasetRef | None, key: str, permit: Permit | None) -> None:
        """See `DatasetsPort.point`: a commit that changes no file and says it in a trailer."""
        self._permits.spend(permit, effect=EFFECT_POINT, key=key)
        if not DATASET_NAME.match(pointer) or not KEY.match(key):
            raise InvalidInput("pointer", f"{pointer!r} is not a pointer", "Use letters, digits, _ and - only")
        here = self._repository
        with here.opened() as git:
            if next(here.marked(git, "Evercrew-Key", key), None) is not None:
                return
            trailers = {POINTER: pointer, "Evercrew-Key": key}
            if ref is not None:
                here.check_pointer(git, ref)
                about = {"Evercrew-Dataset": ref.name, "Evercrew-Md5": ref.md5, "Evercrew-Same-As": ref.revision}
                trailers = about | trailers
            git.git.execute(["git", "reset", "--quiet"])
            here.commit(git, f"{pointer} is {ref.name if ref is not None else 'nothing'}", trailers)

    def pointed(self, pointer: str) -> DatasetRef | None:
        """See `DatasetsPort.pointed`."""
        with self._repository.opened() as git:
            return self._pointed(git, pointer)

    def _pointed(self, git: GitRepo, pointer: str) -> DatasetRef | None:
        return next((ref for _, ref in self._repository.marked(git, POINTER, pointer)), None)

    def _tagged(self, git: GitRepo, tag: str) -> DatasetRef | None:
        layout = "%(*objectname)%1f%(contents)"
        revision, _, body = str(
            git.git.execute(["git", "for-each-ref", f"--format={layout}", f"refs/tags/{tag}"])
        ).partition("\x1f")
        said = dict(line.split(": ", 1) for line in body.splitlines() if ": " in line)
        name, md5 = said.get("Evercrew-Dataset", ""), said.get("Evercrew-Md5", "")
        return DatasetRef(name=name, path=name, md5=md5, revision=revision) if revision and name else None

    def record(self, pipeline: Pipeline, *, message: str, key: str, permit: Permit | None) -> str:
        """See `DatasetsPort.record`: ``dvc.yaml``, ``params.yaml`` and ``dvc.lock`` in one commit."""
        self._permits.spend(permit, effect=EFFECT_PIPELINE, key=key)
        if not KEY.match(key) or not message.strip():
            raise InvalidInput("key", f"{key!r} cannot stand in a trailer", "Use letters, digits and ._:/@+- only")
        here, ref = self._repository, pipeline.dataset
        with here.opened() as git:
            done = next(here.marked(git, "Evercrew-Key", key), None)
            if done is not None:
                return done[0]
            here.check_pointer(git, ref)
            git.git.execute(["git", "reset", "--quiet"])
            write_stages(pipeline, here.folder)
            with here.dvc() as repo:
                written = run_and_lock(pipeline, here.folder, repo)
            git.git.execute(["git", "add", "--force", "--", *written])
            trailers = {"Evercrew-Dataset": ref.name, "Evercrew-Md5": ref.md5, "Evercrew-Key": key}
            return here.commit(git, message, {**trailers, "Evercrew-Same-As": ref.revision})

    def collectable(self, keep: Collection[str]) -> Collectable:
        """See `DatasetsPort.collectable`."""
        with self._repository.opened() as git:
            return self._marked(git, keep).told

    def collect(self, *, keep: Collection[str], key: str, permit: Permit | None) -> Collectable:
        """See `DatasetsPort.collect`."""
        self._permits.spend(permit, effect=EFFECT_COLLECT, key=key)
        if not KEY.match(key):
            raise InvalidInput("key", f"{key!r} cannot stand in a trailer", "Use letters, digits and ._:/@+- only")
        here = self._repository
        with here.opened() as git:
            done = next(here.marked(git, "Evercrew-Key", key), None)
            if done is not None:
                return Collectable.model_validate_json(_collected(git, done[0]))
            marked = self._marked(git, keep)
            sweep(here, marked)
            git.git.execute(["git", "reset", "--quiet"])
            trailers = {_COLLECTED: marked.told.model_dump_json(), "Evercrew-Key": key}
            here.commit(git, f"collect {len(marked.told.datasets)} datasets", trailers)
        return marked.told

    def observe(self, key: str) -> Observation:
        """See `DatasetsPort.observe`."""
        with self._repository.opened() as git:
            found = next(self._repository.marked(git, "Evercrew-Key", key), None)
            if found is None:
                return Observation.absent("no commit carries the key")
            revision, ref = found
            if ref is not None:
                return Observation.done(ref.model_dump())
            return Observation.done({"revision": revision, "collected": _collected(git, revision)})

    def check(self) -> str:
        """See `DatasetsPort.check`."""
        return self._repository.check()

    def _marked(self, git: GitRepo, keep: Collection[str]) -> Marked:
        tags = str(git.git.execute(["git", "tag", "--list"])).split()
        promised = {ref.md5 for tag in tags if (ref := self._tagged(git, tag)) is not None}
        pointed = {ref.md5 for name in self._repository.pointers(git) if (ref := self._pointed(git, name)) is not None}
        return mark(self._repository, git, {*keep, *promised, *pointed})

    def _store(self, source: Path, name: str) -> str:
        """Put the content into the cache and the remote, and return its address."""
        place = self._repository.folder / name
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(source, place)
        with self._repository.dvc() as repo:
            (stage,) = repo.add(str(place))
            md5 = str(stage.outs[0].hash_info.value)
            repo.push(targets=[str(place)])
        if not KEY.match(md5):
            raise DependencyLied(NAME, f"the hash of {name} is {md5!r}")
        return md5


def _collected(git: GitRepo, revision: str) -> str:
    """What the commit says was collected: a `Collectable` as JSON."""
    layout = f"--format=%(trailers:key={_COLLECTED},valueonly,unfold)"
    return str(git.git.execute(["git", "log", "-1", layout, revision]))


def _check_arguments(source: Path, name: str, message: str, key: str) -> None:
    if not DATASET_NAME.match(name):
        raise InvalidInput("name", f"{name!r} is not a dataset name", "Use letters, digits, _ and - (at most 100)")
    if not KEY.match(key):
        raise InvalidInput("key", f"{key!r} cannot stand in a trailer", "Use letters, digits and ._:/@+- only")
    if not message.strip():
        raise InvalidInput("message", "is empty", "Say what the dataset is for")
    if not source.is_dir() or not any(path.is_file() for path in source.rglob("*")):
        raise InvalidInput("source", f"{source.name} is not a folder with files", "Write the dataset first")
    if any(path.is_symlink() for path in source.rglob("*")):
        raise InvalidInput("source", f"{source.name} holds symbolic links", "Copy the files into it")
