"""Entry points for worker processes in tests."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def add(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Add two numbers, and leave a trace of each run in a file whose path is handed over."""
    if "trace" in spec:
        with Path(spec["trace"]).open("a") as file:
            file.write("ran\n")
    (out / "sum.txt").write_text(str(spec["a"] + spec["b"]))
    return {"sum": spec["a"] + spec["b"]}


def fail(_spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Write something and die."""
    (out / "half.txt").write_text("half")
    raise RuntimeError("no such thing as secret-word")


def not_json(_spec: Mapping[str, Any], _out: Path) -> dict[str, Any]:
    """Return what has no JSON form."""
    return {"value": float("nan")}


def not_an_object(_spec: Mapping[str, Any], _out: Path) -> list[int]:
    """Return a list."""
    return [1]


def hang(spec: Mapping[str, Any], _out: Path) -> dict[str, Any]:
    """Sleep long, with a child in the same group and one that left it; their ids go to a file."""
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    children = [subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)]
    Path(spec["pids"]).write_text(json.dumps([os.getpid(), *(child.pid for child in children)]))
    time.sleep(600)
    return {}


def eat_memory(_spec: Mapping[str, Any], _out: Path) -> dict[str, Any]:
    """Ask for much more than is allowed."""
    block = bytearray(2 * 1024 * 1024 * 1024)
    return {"size": len(block)}


def look_around(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Say what the process can see and do."""
    names = sorted(os.listdir(spec["folder"])) if Path(spec["folder"]).is_dir() else []
    return {
        "environment": sorted(
            part.partition("=")[0] for part in Path("/proc/self/environ").read_text().split("\0") if part
        ),
        "folder": names,
        "network": _reaches(spec["port"]),
        "writes": _writes(Path(spec["elsewhere"]) / "mark"),
        "writes_out": _writes(out / "mark"),
    }


def _reaches(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def _writes(path: Path) -> bool:
    try:
        path.write_text("mark")
    except OSError:
        return False
    return True


def score(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """A scorer: a bundle is a folder with `order.json`, query -> document ids; other queries find nothing."""
    rows = [json.loads(line) for line in Path(spec["judgements"]).read_text().splitlines()]
    known = {json.loads(line)["id"] for line in Path(spec["documents"]).read_text().splitlines()}
    runs = {}
    for name, folder in spec["bundles"].items():
        order = json.loads((Path(folder) / "order.json").read_text())
        lines = []
        for number, row in enumerate(rows):
            found = [document for document in order.get(row["query"], []) if document in known]
            ranking = [[document, 1.0] for document in found[: spec["k"]]]
            lines.append(json.dumps({"query_index": number, "ranking": ranking, "latency_ms": 10.0 + number}))
        (out / f"run.{name}.jsonl").write_text("\n".join(lines) + "\n")
        runs[name] = f"run.{name}.jsonl"
    return {"runs": runs, "queries": len(rows)}


def half_a_score(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """A scorer that leaves out the last query."""
    answer = score(spec, out)
    for name in answer["runs"].values():
        path = out / name
        path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    return answer


def leaky_score(spec: Mapping[str, Any], _out: Path) -> dict[str, Any]:
    """A scorer that dies with the held-out queries on its lips."""
    raise LookupError(Path(spec["judgements"]).read_text())
