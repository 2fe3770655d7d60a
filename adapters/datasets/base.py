"""The dataset port.

Contract: a version is content-addressed; the same folder content under the same name is the same version, made once.
What is pulled is verified against its hash, so a damaged object in the remote is an error, never data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from domain.dataset import DatasetRef
from domain.observation import Observation
from domain.permit import Permit

EFFECT_VERSION = "datasets.version"


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

    def observe(self, key: str) -> Observation:
        """Return what became of the effect with this key; outcome is the DatasetRef's fields."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
