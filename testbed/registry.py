"""The model registry of the platform (MLflow on SQLite): released bundles by content digest.

MLflow takes seconds to import, so it runs in a process of its own: `register` and `fetch` start `python -m
testbed.registry` and wait for its answer. A serving process is never held up by it.

    RegistryError   a model cannot be registered, found or read
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError

MODEL_NAME = "reranker"
ARTIFACT = "bundle"
_MARKER = "config.json"
_TIMEOUT = 180.0
_CHILD = ("env", "MLFLOW_DISABLE_TELEMETRY=true", "GIT_PYTHON_REFRESH=quiet", sys.executable, "-m", "testbed.registry")


class RegistryError(TestbedError):
    """A model cannot be registered, found or read."""


@dataclass(frozen=True)
class Release:
    """A bundle to register: its folder, digest, the aliases it takes and what is recorded beside it."""

    bundle: str
    digest: str
    dataset_rev: str
    trained_at: str
    aliases: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def tracking_uri(world: Path) -> str:
    """The MLflow tracking and registry URI of a world."""
    return f"sqlite:///{(world / 'mlflow.db').resolve()}"


def register(world: Path, release: Release) -> str:
    """Register a bundle and return its version; raises `RegistryError`."""
    answer = _child(["register", str(world), json.dumps(asdict(release))])
    return str(answer["version"])


def fetch(world: Path, digest: str, into: Path) -> Path:
    """Put the bundle with this digest into the folder `into` (absent before) and return it; raises `RegistryError`.

    The content is not verified here: whoever loads the bundle compares its digest.
    """
    _child(["fetch", str(world), digest, str(into)])
    return into


def relocate(world: Path, old: str, new: str) -> None:
    """Rewrite artifact locations after a world's folder was copied from `old` to `new`."""
    import sqlite3

    columns = {
        "experiments": "artifact_location",
        "runs": "artifact_uri",
        "model_versions": "source",
        "logged_models": "artifact_location",
    }
    database = sqlite3.connect(world / "mlflow.db")
    try:
        with database:
            for table, column in columns.items():
                database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (old, new))
            database.execute("UPDATE model_versions SET storage_location = replace(storage_location, ?, ?)", (old, new))
    finally:
        database.close()


def _child(arguments: Sequence[str]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [*_CHILD, *arguments], capture_output=True, text=True, timeout=_TIMEOUT, check=False, cwd=_root()
        )
    except subprocess.TimeoutExpired as error:
        raise RegistryError(f"the model registry did not answer within {_TIMEOUT:.0f} s") from error
    if done.returncode != 0:
        tail = (done.stderr.strip() or "no message").splitlines()[-1]
        raise RegistryError(f"the model registry refused '{arguments[0]}': {tail}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _root() -> Path:
    return Path(__file__).resolve().parents[1]


def _register(world: Path, release: dict[str, Any]) -> dict[str, Any]:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=tracking_uri(world), registry_uri=tracking_uri(world))
    experiment = client.get_experiment_by_name(MODEL_NAME)
    if experiment is None:
        home = client.create_experiment(MODEL_NAME, artifact_location=(world / "mlruns").resolve().as_uri())
    else:
        home = experiment.experiment_id
    tags = {key: release[key] for key in ("digest", "dataset_rev", "trained_at")}
    run = client.create_run(home, tags=tags)
    for key, value in release["params"].items():
        client.log_param(run.info.run_id, key, value)
    for key, value in release["metrics"].items():
        client.log_metric(run.info.run_id, key, value)
    client.log_artifacts(run.info.run_id, release["bundle"], ARTIFACT)
    client.set_terminated(run.info.run_id)
    try:
        client.get_registered_model(MODEL_NAME)
    except MlflowException:
        client.create_registered_model(MODEL_NAME)
    source = f"{run.info.artifact_uri}/{ARTIFACT}"
    version = client.create_model_version(MODEL_NAME, source, run_id=run.info.run_id, tags=tags)
    for alias in release["aliases"]:
        client.set_registered_model_alias(MODEL_NAME, alias, version.version)
    return {"version": str(version.version)}


def _fetch(world: Path, digest: str, into: Path) -> dict[str, Any]:
    import mlflow
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri(world), registry_uri=tracking_uri(world))
    found = [
        version
        for version in client.search_model_versions(f"name = '{MODEL_NAME}'")
        if version.tags.get("digest") == digest
    ]
    if not found:
        raise RegistryError(f"no version of '{MODEL_NAME}' carries the tag digest={digest}; register it first")
    source = client.get_model_version_download_uri(MODEL_NAME, found[0].version)
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
        local = Path(mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=scratch))
        marked = sorted((path.parent for path in local.rglob(_MARKER)), key=lambda path: len(path.parts))
        if not marked:
            raise RegistryError(f"version {found[0].version} of '{MODEL_NAME}' holds no {_MARKER}: not a bundle")
        marked[0].rename(into)
    return {"version": str(found[0].version)}


def main(arguments: Sequence[str] | None = None) -> int:
    """The process that speaks to MLflow: prints one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m testbed.registry", description="Register or fetch a bundle.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("register")
    one.add_argument("world", type=Path)
    one.add_argument("release", type=json.loads)
    two = commands.add_parser("fetch")
    two.add_argument("world", type=Path)
    two.add_argument("digest")
    two.add_argument("into", type=Path)
    given = parser.parse_args(arguments)
    if given.command == "register":
        answer = _register(given.world, given.release)
    else:
        answer = _fetch(given.world, given.digest, given.into)
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
