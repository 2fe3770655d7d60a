"""Where a rollback by hand leads to, and the rehearsal of it: nothing here changes anything."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from adapters.datasets.base import DatasetsPort
from adapters.store.base import StorePort
from adapters.tracking.base import TrackingPort
from adapters.vcs.base import Commit, VcsPort
from domain.errors import ConflictError, EvercrewError, InvalidInput
from domain.gold import GOLD, GOLD_NAME, GoldBaseline
from tools.deliver.gold import baselines, restorable
from tools.deliver.values import DEFAULT_LAYOUT, ValuesLayout, parse_values

MOST_COMMITS = 5000
_REVISION = re.compile(r"^[0-9a-f]{7,40}$")
# A version of the model as the registry counts it; `v2.0` is what others write for the second.
_VERSION = re.compile(r"^v?(?P<number>[0-9]{1,6})(?:\.0)*$")
_SAY = (
    "Give gold, a name like gold/2026-01-31-1, a version of the model like v2, a revision, or a date like 2026-01-31 "
    "or 2026-01-31T14:30"
)


class Destination(BaseModel):
    """A revision of the values to go back to; `asked` is how it was named, `baseline` what is known of it as gold."""

    model_config = ConfigDict(frozen=True)

    asked: str
    revision: str
    at: datetime
    digest: str
    baseline: GoldBaseline | None = None


class Step(BaseModel):
    """One step of a rehearsal, and how it went."""

    model_config = ConfigDict(frozen=True)

    name: str
    ok: bool
    detail: str


class Restorer:
    """Finds destinations of one target, and rehearses going there."""

    def __init__(
        self,
        vcs: VcsPort,
        tracking: TrackingPort,
        datasets: DatasetsPort,
        store: StorePort,
        *,
        model: str,
        target: str,
        environment: str,
        layout: ValuesLayout = DEFAULT_LAYOUT,
    ) -> None:
        self._vcs = vcs
        self._tracking = tracking
        self._datasets = datasets
        self._store = store
        self._model = model
        self._target = target
        self._environment = environment
        self._layout = layout

    def resolve(self, asked: str) -> Destination:
        """Return where `gold`, a baseline's name, a version of the model, a revision (7 to 40 digits) or a date leads.

        A date without a time stands for its end, in UTC: the values as that day left them. A version stands for the
        last values that named it.

        Raises:
            InvalidInput: it leads nowhere, to several places, or to values that cannot be read.
        """
        if asked == GOLD or GOLD_NAME.match(asked):
            return self._of_baseline(asked)
        commits = list(self._vcs.history(MOST_COMMITS))
        commit = self._commit(asked, commits)
        digest = parse_values(self._vcs.read(commit.revision), self._layout).model.digest
        known = [b for b in self.baselines() if b.values_revision == commit.revision]
        return Destination(
            asked=asked, revision=commit.revision, at=commit.at, digest=digest, baseline=known[-1] if known else None
        )

    def baselines(self) -> list[GoldBaseline]:
        """Return the gold baselines of the target, oldest first."""
        return list(baselines(self._store, self._target, self._environment))

    def diff(self, destination: Destination) -> str:
        """Return what going there would change in the values, as a unified diff; empty when it is there already."""
        head = self._vcs.head()
        if self._vcs.read(head) == self._vcs.read(destination.revision):
            return ""
        return self._vcs.diff(head, destination.revision)

    def rehearse(self, destination: Destination) -> list[Step]:
        """Go there in a scratch copy: the values apply, the model comes with its digest, the dataset verifies."""
        baseline = destination.baseline
        steps = [
            _tried("values", lambda: self._values(destination)),
            _tried("model", lambda: self._download(destination)),
        ]
        if baseline is not None and baseline.dataset is not None:
            steps.append(_tried("dataset", lambda: self._dataset(baseline)))
        if baseline is not None:
            steps.append(_tried("tags", lambda: self._tags(baseline)))
        return steps

    def _of_baseline(self, asked: str) -> Destination:
        known = self.baselines()
        named = [b for b in known if asked in (GOLD, b.name)]
        if not named:
            there = ", ".join(b.name for b in known) or "none yet: one is kept when a promotion ended well"
            raise InvalidInput("to", f"there is no baseline {asked}; there are: {there}", _SAY)
        found = named[-1]
        return Destination(
            asked=asked, revision=found.values_revision, at=found.at, digest=found.digest, baseline=found
        )

    def _commit(self, asked: str, commits: list[Commit]) -> Commit:
        if _REVISION.match(asked):
            return _by_revision(asked, commits)
        version = _VERSION.match(asked)
        return _by_time(asked, commits) if version is None else self._by_version(asked, version["number"], commits)

    def _by_version(self, asked: str, number: str, commits: list[Commit]) -> Commit:
        """The last commit whose values name the version; values that cannot be read name none."""
        for commit in commits:
            try:
                named = parse_values(self._vcs.read(commit.revision), self._layout).model.version
            except InvalidInput:
                continue
            if named == number:
                return commit
        raise InvalidInput("to", f"no values that are known have named version {asked} of {self._model}", _SAY)

    def _values(self, destination: Destination) -> str:
        text = self._vcs.read(destination.revision)
        named = parse_values(text, self._layout).model.digest
        if named != destination.digest:
            raise ConflictError(f"the values of {destination.revision[:12]} name {named}, not {destination.digest}")
        present = self._vcs.read(self._vcs.head())
        if text == present:
            return "the present values are these already"
        if self._vcs.rehearse_change(text) != present:
            raise ConflictError("restoring and reverting would not give back the present values")
        return f"the values of {destination.revision[:12]} apply to the present ones, and can be taken back"

    def _download(self, destination: Destination) -> str:
        ref = restorable(self._tracking, self._store, self._model, destination.digest)
        with tempfile.TemporaryDirectory(prefix="evercrew-rehearsal-") as scratch:
            folder = self._tracking.download(ref, Path(scratch))
            files = sum(path.is_file() for path in folder.rglob("*"))
        return f"version {ref.version} of {ref.name} came with {files} files and its digest {ref.digest[:19]}"

    def _dataset(self, baseline: GoldBaseline) -> str:
        ref = baseline.dataset
        if ref is None:
            return "none"
        self._datasets.verify(ref)
        with tempfile.TemporaryDirectory(prefix="evercrew-rehearsal-") as scratch:
            folder = self._datasets.materialise(ref, Path(scratch))
            files = sum(path.is_file() for path in folder.rglob("*"))
        return f"{ref.name} at {ref.revision[:12]} came with {files} files and verifies"

    def _tags(self, baseline: GoldBaseline) -> str:
        ref = self._tracking.by_digest(baseline.model, baseline.digest)
        if ref is None or baseline.name not in ref.tags:
            raise ConflictError(f"the model version does not carry the tag {baseline.name} any more")
        if baseline.dataset is not None and self._datasets.tagged(baseline.name) != baseline.dataset:
            raise ConflictError(f"the dataset version does not carry the tag {baseline.name} any more")
        return f"model and dataset carry {baseline.name}" if baseline.dataset else f"the model carries {baseline.name}"


def _tried(name: str, step: Callable[[], str]) -> Step:
    try:
        return Step(name=name, ok=True, detail=step())
    except EvercrewError as problem:
        return Step(name=name, ok=False, detail=str(problem))


def _by_revision(asked: str, commits: list[Commit]) -> Commit:
    found = [commit for commit in commits if commit.revision.startswith(asked)]
    if len(found) != 1:
        problem = f"{len(found)} of the last {len(commits)} commits to the values file begin with {asked}"
        raise InvalidInput("to", problem, "Take a revision from `git log` of the values file")
    return found[0]


def _by_time(asked: str, commits: list[Commit]) -> Commit:
    """The commit whose values stood at that time."""
    moment = _moment(asked)
    found = next((commit for commit in commits if commit.at <= moment), None)
    if found is None:
        since = (
            f"the values file is known since {commits[-1].at:%Y-%m-%d %H:%M} UTC" if commits else "it has no history"
        )
        raise InvalidInput("to", f"nothing stood at {asked}: {since}", _SAY)
    return found


def _moment(asked: str) -> datetime:
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", asked):
            return datetime.combine(date.fromisoformat(asked), time.max, UTC)
        moment = datetime.fromisoformat(asked)
    except ValueError:
        raise InvalidInput("to", f"{asked!r} is neither gold, a revision nor a date", _SAY) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
