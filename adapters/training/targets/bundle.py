"""The bundle a target leaves behind: a folder of files and ``manifest.json``, known by the digest of its content.

The manifest says which target and engine made it, with which options, and the digest: ``sha256:`` over the relative
path and the SHA-256 of every other file, in the order of the paths. Nothing in a bundle is code: weights are
safetensors or npz without pickles, the rest is JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from domain.errors import DependencyLied, DigestMismatch

MANIFEST = "manifest.json"
BUNDLE = "bundle"
NAME = "training"


class Manifest(BaseModel):
    """What a bundle is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    engine: str
    options: Mapping[str, Any]
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


def bundle_digest(folder: Path) -> str:
    """Return the digest of a bundle folder.

    Raises:
        ValueError: it is not one.
    """
    if not (folder / MANIFEST).is_file():
        raise ValueError(f"{folder.name} has no {MANIFEST}")
    return _digest(folder)


def digest_by(own: Callable[[Path], str]) -> Callable[[Path], str]:
    """Return what gives the digest of any bundle: a target's by its content, any other folder's by `own`."""
    return lambda folder: bundle_digest(folder) if (folder / MANIFEST).is_file() else own(folder)


def seal(folder: Path, *, target: str, engine: str, options: Mapping[str, Any]) -> str:
    """Write the manifest of a folder whose files are all there, and return the digest."""
    manifest = Manifest(target=target, engine=engine, options=dict(options), digest=_digest(folder))
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return manifest.digest


def opened(folder: Path, target: str) -> Manifest:
    """Return the manifest of a bundle, once its content was compared with the digest.

    Raises:
        DependencyLied: it is no bundle, or one of another target.
        DigestMismatch: a file was changed, added or lost.
    """
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise DependencyLied(NAME, f"{folder.name} is not a bundle: {_line(error)}", "Name a trained bundle") from error
    if manifest.target != target:
        raise DependencyLied(NAME, f"{folder.name} is a bundle of {manifest.target}, not {target}", "Name another")
    found = _digest(folder)
    if found != manifest.digest:
        raise DigestMismatch(f"the bundle {folder.name} has the digest {found} instead of {manifest.digest}")
    return manifest


def _digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    whole = hashlib.sha256()
    for path in files:
        whole.update(path.relative_to(folder).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return f"sha256:{whole.hexdigest()}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
