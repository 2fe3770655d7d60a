"""The git repository of pointers, and the remote behind it, as `DvcDatasets` works on them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from git import Repo as GitRepo
from git.exc import GitCommandError, GitError

from adapters.datasets.dvc_content import check_files, listing, object_path
from adapters.locks import exclusive
from adapters.meter import metered
from adapters.s3 import S3Location, explained, fields_of, probe
from adapters.vcs.base import AUDIT_TRAILER
from domain.clock import Clock
from domain.dataset import DatasetRef
from domain.errors import DependencyUnavailable, DigestMismatch, InvalidInput

if TYPE_CHECKING:
    from dvc.repo import Repo as DvcRepo

NAME = "dvc"
FIELDS = fields_of("datasets.remote", "datasets.s3")
STORE = "store"
POINTER = "Evercrew-Pointer"
DATASET_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")
KEY = re.compile(r"^[\w.:/@+-]{1,200}$")
_CONFIG = """\
[core]
    remote = store
    analytics = false
    check_update = false
    autostage = true
['remote "store"']
    verify = true
"""


class DvcRepository:
    """The repository in `folder` (made when absent) and its remote: a folder or address DVC knows, or `location`."""

    def __init__(
        self,
        *,
        folder: Path,
        remote: str,
        location: S3Location | None,
        clock: Clock,
        author: tuple[str, str],
        timeout: timedelta,
        anchor: Callable[[], str] = str,
    ) -> None:
        self.folder = folder
        self._anchor = anchor
        self.remote = remote
        self.location = location
        self._clock = clock
        self._author = author
        self._timeout = timeout

    @contextmanager
    def opened(self) -> Iterator[GitRepo]:
        """The repository, made when absent, with other threads and processes kept out."""
        lock = self.folder.with_name(self.folder.name + ".lock")
        with metered(NAME), exclusive(lock, holder=NAME, clock=self._clock, timeout=self._timeout):
            try:
                with self._initialised() as git:
                    yield git
            except (GitError, OSError) as error:
                raise DependencyUnavailable(NAME, " ".join(str(error).split())[:400]) from error

    @contextmanager
    def _initialised(self) -> Iterator[GitRepo]:
        self.folder.mkdir(parents=True, exist_ok=True)
        git = GitRepo.init(self.folder, initial_branch="main")
        try:
            git.git.update_environment(GIT_TERMINAL_PROMPT="0", **self._identity())
            if not git.head.is_valid():
                self._first_commit(git)
            yield git
        finally:
            git.close()

    def _first_commit(self, git: GitRepo) -> None:
        settings = self.folder / ".dvc"
        settings.mkdir(exist_ok=True)
        (settings / "config").write_text(self._shared_config(), encoding="utf-8")
        if self.location is None:
            local = f"['remote \"{STORE}\"']\n    url = {self.remote}\n"
            (settings / "config.local").write_text(local, encoding="utf-8")
        (settings / ".gitignore").write_text("/config.local\n/tmp\n/cache\n", encoding="utf-8")
        (self.folder / ".dvcignore").write_text("", encoding="utf-8")
        (self.folder / ".gitignore").touch()
        git.git.execute(["git", "add", "--", ".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore"])
        self.commit(git, "start the dataset repository", {})

    def _shared_config(self) -> str:
        """What a clone needs to find the remote; a folder is of this machine only, and credentials of nobody's."""
        options = self._remote_options()
        shared = {name: options[name] for name in ("url", "endpointurl", "region") if self.location and name in options}
        return _CONFIG + "".join(f"    {name} = {value}\n" for name, value in shared.items())

    def _remote_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"url": self.remote, "verify": True}
        if self.location is None:
            return options
        seconds = max(1, int(self.location.timeout.total_seconds()))
        given = {
            "endpointurl": self.location.endpoint_url,
            "region": self.location.region,
            "profile": self.location.profile,
            "connect_timeout": min(seconds, 5),
            "read_timeout": seconds,
        }
        return options | {name: value for name, value in given.items() if value is not None}

    def _identity(self) -> dict[str, str]:
        name, mail = self._author
        roles = ("AUTHOR", "COMMITTER")
        return {f"GIT_{r}_NAME": name for r in roles} | {f"GIT_{r}_EMAIL": mail for r in roles}

    def commit(self, git: GitRepo, message: str, trailers: Mapping[str, str]) -> str:
        """Commit what is staged (or nothing) with trailers, and return the revision.

        With the trailers goes what the audit chain looks like now, as in a commit of the values.
        """
        date = f"{int(self._clock.now().timestamp())} +0000"
        said = self._anchor() if trailers else ""
        marks = {**trailers, AUDIT_TRAILER: said} if said else trailers
        body = "\n".join([message.strip(), "", *(f"{name}: {value}" for name, value in marks.items())])
        git.git.execute(
            ["git", "commit", "--quiet", "--no-verify", "--allow-empty", "--no-gpg-sign", "-m", body],
            env={"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
        )
        return str(git.git.rev_parse("HEAD"))

    def marked(self, git: GitRepo, trailer: str, value: str) -> Iterator[tuple[str, DatasetRef | None]]:
        """Commits that carry the trailer, newest first: revision, and the dataset version they are about."""
        if not KEY.match(value):
            return
        wanted = ["--fixed-strings", f"--grep={trailer}: {value}"]
        for revision, ref, trailers in self._log(git, wanted):
            if trailers.get(trailer) == value:
                yield revision, ref

    def by_trailer(self, git: GitRepo, trailer: str, value: str, name: str | None = None) -> DatasetRef | None:
        """The newest dataset with a commit that carries the trailer (and is called `name`)."""
        found = (ref for _, ref in self.marked(git, trailer, value) if ref is not None and name in (None, ref.name))
        return next(found, None)

    def history(self, git: GitRepo) -> Iterator[tuple[str, DatasetRef]]:
        """Every commit about a dataset, newest first: its revision and the dataset version."""
        return ((revision, ref) for revision, ref, _ in self._log(git, []) if ref is not None)

    def pointers(self, git: GitRepo) -> set[str]:
        """The names of all pointers there ever were."""
        wanted = ["--fixed-strings", f"--grep={POINTER}: "]
        return {trailers[POINTER] for _, _, trailers in self._log(git, wanted) if trailers[POINTER]}

    def _log(self, git: GitRepo, wanted: list[str]) -> Iterator[tuple[str, DatasetRef | None, Mapping[str, str]]]:
        names = ("Evercrew-Dataset", "Evercrew-Md5", "Evercrew-Key", POINTER, "Evercrew-Same-As")
        fields = [f"%(trailers:key={field},valueonly,separator=%x2C)" for field in names]
        layout = "%x1f".join(["%H", *fields])
        for line in str(git.git.execute(["git", "log", f"--format={layout}", *wanted, "HEAD"])).splitlines():
            revision, *values = line.split("\x1f")
            trailers = dict(zip(names, values, strict=True))
            dataset, md5, *_, same = values
            ref = DatasetRef(name=dataset, path=dataset, md5=md5, revision=same or revision) if dataset else None
            yield revision, ref, trailers

    @contextmanager
    def dvc(self) -> Iterator[DvcRepo]:
        """DVC on the repository; what goes wrong with an S3 remote is told in an operator's terms."""
        from dvc.exceptions import DvcException
        from dvc.repo import Repo as DvcRepo

        # Importing DVC has its logger print every step to the terminal, which is not DVC's here.
        logging.getLogger("dvc").setLevel(logging.WARNING)
        config: dict[str, Any] = {
            "core": {
                "remote": STORE,
                "site_cache_dir": str(self.folder / ".dvc" / "tmp" / "site"),
                "autostage": True,
            },
            "remote": {STORE: self._remote_options()},
        }
        with self._reachable():
            try:
                with DvcRepo(str(self.folder), config=config) as repo:
                    yield repo
            except DvcException as error:
                if self.location is not None:
                    probe(self.location, name=NAME, fields=FIELDS)
                raise DependencyUnavailable(NAME, " ".join(str(error).split())[:400]) from error

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        if self.location is None:
            yield
            return
        from botocore.exceptions import BotoCoreError, ClientError

        # Asked first, for DVC's own client tries again and again before it says that nobody answers.
        probe(self.location, name=NAME, fields=FIELDS)
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise explained(error, self.location, name=NAME, fields=FIELDS) from error
        except OSError as error:
            if isinstance(error.__cause__, BotoCoreError | ClientError):
                raise explained(error, self.location, name=NAME, fields=FIELDS) from error
            raise

    def fetch(self, git: GitRepo, ref: DatasetRef, store: Path) -> dict[str, str]:
        """Bring the objects from the remote into an empty store, check every byte, and return path -> address.

        Object by object and not through the cache: what the cache still holds would hide what the remote has lost.
        """
        self.check_pointer(git, ref)
        with self.dvc() as repo:
            remote = repo.cloud.get_remote_odb(STORE)
            self.bring(remote, store, ref.md5, "the file list")
            entries = listing(store, ref.md5)
            for relative, address in entries.items():
                self.bring(remote, store, address, relative)
        check_files(store, entries)
        return entries

    def bring(self, remote: Any, store: Path, address: str, what: str) -> None:
        """Copy one object of the remote into the store; it is not checked yet."""
        if not remote.exists(address):
            raise DependencyUnavailable(NAME, f"the remote lacks {what} ({address})", "Restore the remote from a copy")
        place = object_path(store, address)
        place.parent.mkdir(parents=True, exist_ok=True)
        remote.fs.get_file(remote.oid_to_path(address), str(place))

    def check_pointer(self, git: GitRepo, ref: DatasetRef) -> None:
        """Return when the pointer at the version's revision names its hash; `DigestMismatch` otherwise."""
        if not DATASET_NAME.match(ref.path) or not re.match(r"^[0-9a-f]{7,40}$", ref.revision):
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

    def check(self) -> str:
        """Return one line, or raise what is wrong with the remote."""
        with self.opened() as git, self.dvc() as repo:
            count = int(git.git.rev_list("--count", "HEAD"))
            if self.location is None and not repo.cloud.get_remote_odb(STORE).fs.exists(self.remote):
                remedy = f"Make the folder {self.remote}, or mend datasets.remote"
                raise DependencyUnavailable(NAME, "the remote is not there", remedy)
        return f"{NAME}: repository with {count} commits, remote answers"
