"""The files a cycle leaves behind: checked against their JSON Schemas first, then written whole or not at all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from domain.canonical import json_ready
from domain.errors import IntegrityError

SCHEMAS: Mapping[str, str] = {
    "diagnostic_report.json": "diagnostic_report.schema.json",
    "dataset_manifest.yaml": "dataset_manifest.schema.json",
    "evaluation.json": "evaluation.schema.json",
    "ab_test_results.json": "ab_test_results.schema.json",
    "helm_values_patch.yaml": "helm_values_patch.schema.json",
    "watch.json": "watch.schema.json",
    "undo.json": "undo.schema.json",
    "outcome.json": "outcome.schema.json",
}
# Fields that artifacts of earlier releases lack: they stay readable, and every new one has them.
SINCE = {"outcome.json": ("reaction",)}


class Artifacts:
    """Writes and reads the artifacts of cycles below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, cycle_id: str) -> Path:
        """Return the folder of a cycle, made when it is not there."""
        folder = self.root / cycle_id
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def write(self, cycle_id: str, name: str, content: Mapping[str, Any]) -> Path:
        """Write an artifact in the format of its name.

        Raises:
            IntegrityError: the content does not fit the schema; names the field.
            KeyError: there is no artifact of this name.
        """
        plain = json_ready(content)
        self.check(name, plain)
        for field in SINCE.get(name, ()):
            if field not in plain:
                raise IntegrityError(f"{name}: $: {field!r} is a required property")
        text = json.dumps(plain, indent=2, ensure_ascii=False) if name.endswith(".json") else _yaml(plain)
        return self.write_text(cycle_id, name, text + "\n")

    def check(self, name: str, content: Mapping[str, Any]) -> None:
        """Return when the content fits the schema of its name.

        Raises:
            IntegrityError: it does not; names the field.
        """
        problem = next(iter(_validator(SCHEMAS[name]).iter_errors(content)), None)
        if problem is not None:
            raise IntegrityError(f"{name}: {problem.json_path}: {problem.message}")

    def write_text(self, cycle_id: str, name: str, text: str) -> Path:
        """Write a file whole: into a temporary file beside it, then in its place."""
        path = self.folder(cycle_id) / name
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False, encoding="utf-8") as scratch:
            scratch.write(text)
        Path(scratch.name).replace(path)
        return path

    def read(self, cycle_id: str, name: str) -> dict[str, Any] | None:
        """Return an artifact, or None when the cycle has none of this name."""
        path = self.root / cycle_id / name
        if not path.exists():
            return None
        text = path.read_text(encoding="utf-8")
        try:
            return dict(json.loads(text) if name.endswith(".json") else yaml.safe_load(text))
        except (TypeError, ValueError, yaml.YAMLError) as problem:
            raise IntegrityError(f"{path.name} of {cycle_id} cannot be read any more: {problem}") from problem


def _yaml(content: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=120).rstrip()


@cache
def _validator(name: str) -> Draft202012Validator:
    text = resources.files("cycles").joinpath("schemas", name).read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))
