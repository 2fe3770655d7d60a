"""Datasets in DVC: a git repository of pointers, a local cache, and a remote that is not believed unchecked.

The content is pushed before its pointer is committed, and the commit carries the key: killed in between, nothing was
versioned and doing it again costs nothing.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from git import Repo as GitRepo
from git.exc import GitCommandError, GitError

from adapters.datasets.base import EFFECT_VERSION
from adapters.datasets.dvc_content import check_files, listing, object_path
from adapters.locks import exclusive
from domain.clock import Clock
from domain.dataset import DatasetRef
from domain.errors import DependencyLied, DependencyUnavailable, DigestMismatch, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

if TYPE_CHECKING:
    from dvc.repo import Repo as DvcRepo

NAME = "dvc"
_STORE = "store"
_DATASET_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")
_KEY = re.compile(r"^[\w.:/@+-]{1,200}$")
_CONFIG = """\
[core]
    remote = store
    analytics = false
    check_update = false
    autostage = true
['remote "store"']
    verify = true
"""


class DvcDatasets:
    """`DatasetsPort` over the repository in `folder` (made when absent) and `remote`, a folder or address DVC knows."""

    def __init__(
        self,
        *,
        folder: Path,
        remote: str,
        permits: PermitVerifier,
        clock: Clock,
        author: tuple[str, str] = ("Evercrew", "evercrew@localhost"),
        timeout: timedelta = timedelta(seconds=60),
    ) -> None:
        self._folder = folder
        self._remote = remote
        self._permits = permits
        self._clock = clock
        self._author = author
        self._timeout = timeout

    def version(self, *, source: Path, name: str, message: str, key: str, permit: Permit | None) -> DatasetRef:
        """See `DatasetsPort.version`."""
        self._permits.spend(permit, effect=EFFECT_VERSION, key=key)
        _check_arguments(source, name, message, key)
        with self._opened() as git:
            done = self._by_trailer(git, "Evercrew-Key", key)
            if done is not None:
                return done
            md5 = self._store(source, name)
            known = self._by_trailer(git, "Evercrew-Md5", md5, name)
            trailers = {"Evercrew-Dataset": name, "Evercrew-Md5": md5, "Evercrew-Key": key}
            if known is not None:
                self._commit(git, message, {**trailers, "Evercrew-Same-As": known.revision})
                return known
            git.git.execute(["git", "add", "--", f"{name}.dvc", ".gitignore"])
            self._commit(git, message, trailers)
            return DatasetRef(name=name, path=name, md5=md5, revision=git.git.rev_parse("HEAD"))

    def materialise(self, ref: DatasetRef, into: Path) -> Path:
        """See `DatasetsPort.materialise`."""
        target = into / ref.name
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix=".dataset-") as scratch, self._opened() as git:
            store = Path(scratch) / "cache"
            entries = self._fetch(git, ref, store)
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
        with self._opened() as git:
            return self._by_trailer(git, "Evercrew-Md5", md5)

    def verify(self, ref: DatasetRef) -> None:
        """See `DatasetsPort.verify`."""
        with tempfile.TemporaryDirectory(prefix="evercrew-dvc-") as scratch, self._opened() as git:
            self._fetch(git, ref, Path(scratch))

    def observe(self, key: str) -> Observation:
        """See `DatasetsPort.observe`."""
        with self._opened() as git:
            found = self._by_trailer(git, "Evercrew-Key", key)
        return Observation.done(found.model_dump()) if found else Observation.absent("no commit carries the key")

    def check(self) -> str:
        """See `DatasetsPort.check`."""
        with self._opened() as git, self._dvc() as repo:
            count = int(git.git.rev_list("--count", "HEAD"))
            if not repo.cloud.get_remote_odb(_STORE).fs.exists(self._remote):
                raise DependencyUnavailable(NAME, "the remote is not there", "Make its folder or mend the address")
        return f"{NAME}: repository with {count} commits, remote answers"

    @contextmanager
    def _opened(self) -> Iterator[GitRepo]:
        """The repository, made when absent, with other threads and processes kept out."""
        lock = self._folder.with_name(self._folder.name + ".lock")
        with exclusive(lock, holder=NAME, clock=self._clock, timeout=self._timeout):
            try:
                with self._initialised() as git:
                    yield git
            except (GitError, OSError) as error:
                raise DependencyUnavailable(NAME, " ".join(str(error).split())[:400]) from error

    @contextmanager
    def _initialised(self) -> Iterator[GitRepo]:
        self._folder.mkdir(parents=True, exist_ok=True)
        git = GitRepo.init(self._folder, initial_branch="main")
        try:
            git.git.update_environment(GIT_TERMINAL_PROMPT="0", **self._identity())
            if not git.head.is_valid():
                self._first_commit(git)
            yield git
        finally:
            git.close()

    def _first_commit(self, git: GitRepo) -> None:
        settings = self._folder / ".dvc"
        settings.mkdir(exist_ok=True)
        (settings / "config").write_text(_CONFIG, encoding="utf-8")
        (settings / "config.local").write_text(f"['remote \"{_STORE}\"']\n    url = {self._remote}\n", encoding="utf-8")
        (settings / ".gitignore").write_text("/config.local\n/tmp\n/cache\n", encoding="utf-8")
        (self._folder / ".dvcignore").write_text("", encoding="utf-8")
        (self._folder / ".gitignore").touch()
        git.git.execute(["git", "add", "--", ".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore"])
        self._commit(git, "start the dataset repository", {})

    def _identity(self) -> dict[str, str]:
        name, mail = self._author
        roles = ("AUTHOR", "COMMITTER")
        return {f"GIT_{r}_NAME": name for r in roles} | {f"GIT_{r}_EMAIL": mail for r in roles}

    def _commit(self, git: GitRepo, message: str, trailers: Mapping[str, str]) -> None:
        date = f"{int(self._clock.now().timestamp())} +0000"
        body = "\n".join([message.strip(), "", *(f"{name}: {value}" for name, value in trailers.items())])
        git.git.execute(
            ["git", "commit", "--quiet", "--no-verify", "--allow-empty", "--no-gpg-sign", "-m", body],
            env={"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
        )

    def _by_trailer(self, git: GitRepo, trailer: str, value: str, name: str | None = None) -> DatasetRef | None:
        """The newest dataset with a commit that carries the trailer (and is called `name`)."""
        if not _KEY.match(value):
            return None
        names = ("Evercrew-Dataset", "Evercrew-Md5", "Evercrew-Key", "Evercrew-Same-As")
        fields = [f"%(trailers:key={field},valueonly,separator=%x2C)" for field in names]
        layout = "%x1f".join(["%H", *fields])
        log = git.git.execute(
            ["git", "log", f"--format={layout}", "--fixed-strings", f"--grep={trailer}: {value}", "HEAD"]
        )
        for line in str(log).splitlines():
            revision, dataset, md5, key, same = line.split("\x1f")
            if value == {"Evercrew-Md5": md5, "Evercrew-Key": key}[trailer] and name in (None, dataset):
                return DatasetRef(name=dataset, path=dataset, md5=md5, revision=same or revision)
        return None

    @contextmanager
    def _dvc(self) -> Iterator[DvcRepo]:
        from dvc.exceptions import DvcException
        from dvc.repo import Repo as DvcRepo

        config: dict[str, Any] = {
            "core": {
                "remote": _STORE,
                "site_cache_dir": str(self._folder / ".dvc" / "tmp" / "site"),
                "autostage": True,
            },
            "remote": {_STORE: {"url": self._remote, "verify": True}},
        }
        try:
            with DvcRepo(str(self._folder), config=config) as repo:
                yield repo
        except DvcException as error:
            raise DependencyUnavailable(NAME, " ".join(str(error).split())[:400]) from error

    def _store(self, source: Path, name: str) -> str:
        """Put the content into the cache and the remote, and return its address."""
        place = self._folder / name
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(source, place)
        with self._dvc() as repo:
            (stage,) = repo.add(str(place))
            md5 = str(stage.outs[0].hash_info.value)
            repo.push(targets=[str(place)])
        if not _KEY.match(md5):
            raise DependencyLied(NAME, f"the hash of {name} is {md5!r}")
        return md5

    def _fetch(self, git: GitRepo, ref: DatasetRef, store: Path) -> dict[str, str]:
        """Bring the objects from the remote into an empty store, check every byte, and return path -> address.

        Object by object and not through the cache: what the cache still holds would hide what the remote has lost.
        """
        self._check_pointer(git, ref)
        with self._dvc() as repo:
            remote = repo.cloud.get_remote_odb(_STORE)
            self._bring(remote, store, ref.md5, "the file list")
            entries = listing(store, ref.md5)
            for relative, address in entries.items():
                self._bring(remote, store, address, relative)
        check_files(store, entries)
        return entries

    def _bring(self, remote: Any, store: Path, address: str, what: str) -> None:
        if not remote.exists(address):
            raise DependencyUnavailable(NAME, f"the remote lacks {what} ({address})", "Restore the remote from a copy")
        place = object_path(store, address)
        place.parent.mkdir(parents=True, exist_ok=True)
        remote.fs.get_file(remote.oid_to_path(address), str(place))

    def _check_pointer(self, git: GitRepo, ref: DatasetRef) -> None:
        if not _DATASET_NAME.match(ref.path) or not re.match(r"^[0-9a-f]{7,40}$", ref.revision):
            raise InvalidInput("ref", f"{ref.path!r} at {ref.revision!r} is not a dataset", "Take it from a manifest")
        try:
            text = str(git.git.execute(["git", "cat-file", "blob", f"{ref.revision}:{ref.path}.dvc"]))
            named = yaml.safe_load(text)["outs"][0]["md5"]
        except GitCommandError as error:
            raise DigestMismatch(f"there is no pointer {ref.path}.dvc at revision {ref.revision[:12]}") from error
        except (yaml.YAMLError, LookupError, TypeError) as error:
            raise DigestMismatch(f"{ref.path}.dvc at revision {ref.revision[:12]} is not a pointer") from error
        if named != ref.md5:
            raise DigestMismatch(f"{ref.path}.dvc at revision {ref.revision[:12]} names {named} instead of {ref.md5}")


def _check_arguments(source: Path, name: str, message: str, key: str) -> None:
    if not _DATASET_NAME.match(name):
        raise InvalidInput("name", f"{name!r} is not a dataset name", "Use letters, digits, _ and - (at most 100)")
    if not _KEY.match(key):
        raise InvalidInput("key", f"{key!r} cannot stand in a trailer", "Use letters, digits and ._:/@+- only")
    if not message.strip():
        raise InvalidInput("message", "is empty", "Say what the dataset is for")
    if not source.is_dir() or not any(path.is_file() for path in source.rglob("*")):
        raise InvalidInput("source", f"{source.name} is not a folder with files", "Write the dataset first")
    if any(path.is_symlink() for path in source.rglob("*")):
        raise InvalidInput("source", f"{source.name} holds symbolic links", "Copy the files into it")
