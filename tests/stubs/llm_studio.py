"""A program that keeps the contract of H2O LLM Studio's command line: ``python llm_studio/train.py -Y cfg.yaml``.

It reads the configuration, refuses one that it cannot use, writes ``logs.log``, the charts (a SQLite table of pickles)
and a checkpoint into the output folder, and ``flags.json`` at its very end. How long it takes, and how it misbehaves,
is read from ``behaviour`` beside it. It learns nothing.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sqlite3
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SECTIONS = (
    "architecture",
    "augmentation",
    "dataset",
    "environment",
    "logging",
    "prediction",
    "tokenizer",
    "training",
)
TOP = ("experiment_name", "llm_backbone", "output_directory", "problem_type")


def install(folder: Path, **behaviour: object) -> Path:
    """Put the program into a folder as the real one stands in its clone; `behaviour` is read at each start."""
    (folder / "llm_studio").mkdir(parents=True, exist_ok=True)
    program = folder / "llm_studio" / "train.py"
    program.write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    behave(folder, **behaviour)
    return folder


def behave(folder: Path, **behaviour: object) -> None:
    """Set how it behaves from its next start on.

    `seconds` it takes, a file to wait for as its `gate`, and `how`: honest, crash, silent, liar, evil, half.
    """
    (folder / "llm_studio" / "behaviour").write_text(json.dumps(behaviour), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run one experiment."""
    behaviour = json.loads((Path(__file__).parent / "behaviour").read_text(encoding="utf-8"))
    if arguments[:1] != ["-Y"] or len(arguments) != 2:
        raise ValueError("Please, provide a configuration file")
    config = _read(Path(arguments[1]))
    output = Path(config["output_directory"])
    output.mkdir(parents=True, exist_ok=True)
    with (output.parent / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    _say(output, "INFO: Problem Type: " + config["problem_type"])
    if not Path(config["dataset"]["train_dataframe"]).is_file():
        _say(output, "ERROR: Exception occurred during the run: FileNotFoundError")
        os.kill(os.getpid(), signal.SIGKILL)
    while behaviour.get("gate") and not Path(behaviour["gate"]).exists():
        time.sleep(0.02)
    epochs = int(config["training"]["epochs"])
    metric = config["prediction"]["metric"]
    for epoch in range(1, epochs + 1):
        time.sleep(float(behaviour.get("seconds", 0)) / max(1, epochs))
        _say(output, f"INFO: Validation {metric}: {0.5 + 0.1 * epoch:.5f}")
        _charts(output, metric, epoch, epochs, evil=behaviour.get("how") == "evil")
    return _end(output, str(behaviour.get("how", "honest")))


def _end(output: Path, how: str) -> int:
    if how == "crash":
        _say(output, "ERROR: Exception occurred during the run: CUDA out of memory")
        os.kill(os.getpid(), signal.SIGKILL)  # as the real one ends itself and its children
    (output / "checkpoint.pth").write_bytes(b"weights")
    (output / "cfg.yaml").write_text("saved again\n")
    if how == "half":
        (output / "flags.json").write_text('{"status": "fin')
        return 0
    if how != "silent":
        (output / "flags.json").write_text(json.dumps({"status": "finished", "info": "Runtime: 00:00:01"}))
    return 1 if how == "liar" else 0


def _read(path: Path) -> Mapping[str, Any]:
    import yaml

    config: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    missing = [name for name in (*SECTIONS, *TOP) if name not in config]
    if missing:
        raise ValueError(f"configuration lacks {', '.join(missing)}")
    return config


def _say(output: Path, text: str) -> None:
    line = f"2026-01-01 00:00:00,000 - {text}\n"
    sys.stderr.write(line)
    sys.stderr.flush()
    with (output / "logs.log").open("a") as log:
        log.write(line)


def _charts(output: Path, metric: str, epoch: int, epochs: int, *, evil: bool) -> None:
    values = [0.5 + 0.1 * step for step in range(1, epoch + 1)]
    curves: dict[str, Any] = {
        "cfg": {"epochs": epochs},
        "train": {"loss": {"steps": list(range(epoch)), "values": [1.0 / step for step in range(1, epoch + 1)]}},
        "validation": {metric: {"steps": list(range(epoch)), "values": values}},
        "internal": {
            "total_training_steps": {"steps": [None], "values": [float(epochs)]},
            "current_step": {"steps": [None], "values": [float(epoch)]},
        },
    }
    if evil:
        curves["train"] = os.getcwd
    with sqlite3.connect(output / "charts.db") as charts:
        charts.execute("CREATE TABLE IF NOT EXISTS unnamed (key TEXT PRIMARY KEY, value BLOB)")
        for name, value in curves.items():
            charts.execute("REPLACE INTO unnamed (key, value) VALUES (?, ?)", (name, pickle.dumps(value)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
