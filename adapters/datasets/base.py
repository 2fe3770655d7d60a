"""The dataset port.

Contract: a version is content-addressed; the same folder content under the same name is the same version, made once.
What is pulled is verified against its hash, so a damaged object in the remote is an error, never data.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from domain.dataset import DatasetRef
from domain.observation import Observation
from domain.permit import Permit

EFFECT_VERSION = "datasets.version"
EFFECT_TAG = "datasets.tag"
EFFECT_POINT = "datasets.point"
EFFECT_PIPELINE = "datasets.pipeline"
EFFECT_COLLECT = "datasets.collect"


class Pipeline(BaseModel):
    """How a model was made from a dataset version, so that a person can make it again.

    `train` and `score` are jobs, ``module:function``; `spec` is what the training was called with but for the
    ``dataset`` folder (seed, params ...), `model` the folder the training wrote, `output` what it
    returned; `score` None leaves the evaluation out, and `queries` is how many of the data it asks.
    """

    model_config = ConfigDict(frozen=True)

    dataset: DatasetRef
    train: str = Field(pattern=r"^[\w.]+:\w+$")
    spec: Mapping[str, Any]
    model: Path
    output: Mapping[str, Any]
    score: str | None = Field(default=None, pattern=r"^[\w.]+:\w+$")
    queries: int = Field(default=100, ge=1)


class Collectable(BaseModel):
    """Datasets nothing needs any more; how many are kept, and the objects and bytes that go."""

    model_config = ConfigDict(frozen=True)

    datasets: tuple[DatasetRef, ...] = ()
    kept: int = 0
    objects: int = 0
    size: int = 0


class DatasetsPort(Protocol):
    """Versioned folders of data."""

    def version(self, *, source: Path, name: str, message: str, key: str, permit: Permit | None) -> DatasetRef:
        """Store the folder `source` as dataset `name` (letters, digits, ``_-``).

        It is pushed to the remote, and its pointer committed with trailer ``Evercrew-Key``.
        """
        ...

    def materialise(self, ref: DatasetRef, into: Path) -> Path:
        """Copy the dataset from the remote below `into` and return its folder.

        Raises:
            DigestMismatch: the remote's content is not what the pointer says.
            DependencyUnavailable: the remote cannot be reached or lacks it.
        """
        ...

    def find(self, md5: str) -> DatasetRef | None:
        """Return the newest dataset with this DVC hash, or None."""
        ...

    def verify(self, ref: DatasetRef) -> None:
        """Return when the pointer of `ref.revision` names `ref.md5` and the remote's content matches it.

        Raises:
            DigestMismatch: it does not; the message names what differs.
        """
        ...

    def tag(self, *, ref: DatasetRef, tag: str, key: str, permit: Permit | None) -> None:
        """Put a tag (letters, digits and ``./_-``) on a version, for ever; the same again changes nothing.

        Raises:
            ConflictError: the tag names another version.
        """
        ...

    def tagged(self, tag: str) -> DatasetRef | None:
        """Return the version a tag names, or None."""
        ...

    def point(self, *, pointer: str, ref: DatasetRef | None, key: str, permit: Permit | None) -> None:
        """Let a pointer (letters, digits and ``_-``) name a version, or none; unlike a tag it moves.

        Raises:
            DigestMismatch: the dataset is no version of this store.
        """
        ...

    def pointed(self, pointer: str) -> DatasetRef | None:
        """Return the version a pointer names now, or None."""
        ...

    def record(self, pipeline: Pipeline, *, message: str, key: str, permit: Permit | None) -> str:
        """Commit how the model was made, with the hashes of what went in and came out, and return the revision.

        Raises:
            DigestMismatch: the dataset is no version of this store.
        """
        ...

    def collectable(self, keep: Collection[str]) -> Collectable:
        """Return what `collect` would delete: a dry run.

        `keep` are the hashes of datasets that are needed (those of cycles that are kept or still open). Kept besides:
        every dataset with a tag, so every gold baseline, every one a pointer names, and the newest.
        """
        ...

    def collect(self, *, keep: Collection[str], key: str, permit: Permit | None) -> Collectable:
        """Delete the content of what is `collectable`, models of their pipelines included; the history stays.

        Raises:
            DependencyUnavailable: what is kept cannot be read, so what it needs is not known; nothing is deleted.
        """
        ...

    def observe(self, key: str) -> Observation:
        """Return what became of the effect with this key.

        The outcome is the DatasetRef's fields, where it is about one; ``collected`` is a `Collectable` as JSON.
        """
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
