"""A cycle's training as a DVC pipeline that a person can run again: ``dvc pull && dvc repro --force``.

``dvc.yaml`` has the stages prepare, train and evaluate, ``params.yaml`` the plan, ``dvc.lock`` the hashes of what went
in and came out. The model is the one the cycle trained; nothing is trained a second time to write its hash down. The
evaluation is over queries of the training data and tells whether a rerun is the same, not how good the model is: that
is measured on held-out queries, whose place nobody may know.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import adapters
from adapters.datasets.base import Pipeline
from adapters.datasets.stage import EVALUATION, MODEL, QUERIES, TRAINED, WORK, write_json
from domain.canonical import json_ready
from domain.errors import DependencyTimeout, DependencyUnavailable, InvalidInput

NAME = "dvc"
_ROOT = Path(adapters.__file__).resolve().parents[1]
_COMMAND = "python -P -m adapters.datasets.stage"
_SECONDS = 300
_RESERVED = (WORK, "params", "dvc")


def write_stages(pipeline: Pipeline, folder: Path) -> None:
    """Write ``dvc.yaml`` and ``params.yaml``, and put the trained model in its place."""
    if pipeline.dataset.name in _RESERVED:
        raise InvalidInput("dataset", f"{pipeline.dataset.name} is taken by the pipeline", "Name it otherwise")
    _yaml(folder / "dvc.yaml", {"stages": _stages(pipeline)})
    params: dict[str, Any] = {
        "dataset": pipeline.dataset.name,
        "prepare": {"queries": pipeline.queries},
        "train": {"entry": pipeline.train, "spec": json_ready(pipeline.spec)},
    }
    if pipeline.score is not None:
        params["evaluate"] = {"entry": pipeline.score}
    _yaml(folder / "params.yaml", params)
    shutil.rmtree(folder / WORK, ignore_errors=True)
    shutil.copytree(pipeline.model, folder / MODEL)
    write_json(folder / TRAINED, pipeline.output)


def run_and_lock(pipeline: Pipeline, folder: Path, repo: Any) -> list[str]:
    """Run the stages beside the training, write ``dvc.lock``, push, and return what belongs into the commit."""
    dataset = folder / pipeline.dataset.name
    if not dataset.is_dir():
        repo.pull(targets=[f"{dataset}.dvc"])
    stages = list(_stages(pipeline))
    for stage in stages:
        if stage != "train":
            _run(stage, folder)
        _lock(repo, folder, stage)
    repo.push(targets=[f"{folder / 'dvc.yaml'}:{stage}" for stage in stages])
    files = ["dvc.yaml", "dvc.lock", "params.yaml", TRAINED, f"{WORK}/.gitignore"]
    return [*files, *([EVALUATION] if "evaluate" in stages else [])]


def _stages(pipeline: Pipeline) -> Mapping[str, Any]:
    data = "${dataset}"
    stages: dict[str, Any] = {
        "prepare": {
            "cmd": f"{_COMMAND} prepare",
            "deps": [data],
            "params": ["dataset", "prepare"],
            "outs": [QUERIES],
        },
        "train": {
            "cmd": f"{_COMMAND} train",
            "deps": [data],
            "params": ["dataset", "train"],
            "outs": [MODEL],
            "metrics": [{TRAINED: {"cache": False}}],
        },
    }
    if pipeline.score is not None:
        stages["evaluate"] = {
            "cmd": f"{_COMMAND} evaluate",
            "deps": [data, QUERIES, MODEL],
            "params": ["dataset", "evaluate"],
            "metrics": [{EVALUATION: {"cache": False}}],
        }
    return stages


def _run(stage: str, folder: Path) -> None:
    """Run a stage as its command would, with this interpreter and none of this process's environment."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "adapters.datasets.stage", stage]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DependencyTimeout(NAME, f"the stage {stage} took longer than {_SECONDS} s", "Look at its job") from error
    if done.returncode != 0:
        tail = " ".join(done.stderr.split())[-300:]
        raise DependencyUnavailable(NAME, f"the stage {stage} failed: {tail}", "Mend its job, or the dataset")


def _lock(repo: Any, folder: Path, name: str) -> None:
    """Write the hashes of a stage's files into ``dvc.lock`` and its outputs into the cache.

    As `Repo.commit` does, but for the cache of runs, which takes the process's current folder for the repository.
    """
    # By its full path: a bare name is looked up in the current folder too.
    (stage,) = repo.stage.collect(f"{folder / 'dvc.yaml'}:{name}")
    with repo.lock:
        stage.save(run_cache=False)
        stage.commit()
        stage.dump(update_pipeline=False)


def _yaml(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
