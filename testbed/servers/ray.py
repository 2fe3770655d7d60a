"""A Ray cluster on loopback: a head and further nodes, each with little memory, and no dashboard."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import psutil

from testbed.servers.base import Program, ServerError, free_port, listens

__all__ = ["RayCluster"]

OBJECT_STORE_BYTES = 80 * 1024 * 1024
"""Of each node; Ray wants at least 75 MiB."""


class RayCluster:
    """`workers` nodes besides a head that takes no work; runs while it is entered.

    Sockets have short paths, so the session's files stand in a temporary folder of their own.
    """

    def __init__(self, folder: Path, *, workers: int = 2, memory_mib: int = 1024, cpus: int = 1) -> None:
        program = Path(sys.executable).parent / "ray"
        if not program.exists():
            raise ServerError("ray is not installed: pip install evercrew[ray]")
        self._program = str(program)
        self._folder = folder
        self._workers = workers
        self._memory = memory_mib * 1024 * 1024
        self._cpus = cpus
        self._scratch = Path(tempfile.mkdtemp(prefix="ray-"))
        self._nodes: list[Program] = []
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self) -> RayCluster:
        head = ["--head", f"--port={self.port}", "--num-cpus=0", "--include-dashboard=false", "--disable-usage-stats"]
        try:
            self._start("head", [*head, f"--temp-dir={self._scratch}", f"--memory={self._memory // 4}"])
            for number in range(self._workers):
                self.add(f"worker-{number}")
        except ServerError:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def add(self, name: str) -> Program:
        """Start another node and return its program."""
        return self._start(name, [f"--address={self.address}", f"--num-cpus={self._cpus}", f"--memory={self._memory}"])

    def lose(self, number: int) -> None:
        """Let a node die at once, as a machine without power does; 0 is the head."""
        _killed(self._nodes[number])

    def processes(self) -> list[psutil.Process]:
        """Everything the nodes have started."""
        return [process for node in self._nodes for process in _started(node)]

    def stop(self) -> None:
        """End all nodes, the head last, and delete their files."""
        for node in reversed(self._nodes):
            _killed(node)
        self._nodes.clear()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _start(self, name: str, words: list[str]) -> Program:
        folder = self._folder / name
        command = [
            *(self._program, "start", "--block", "--node-ip-address=127.0.0.1", "--log-style=record"),
            *(f"--object-store-memory={OBJECT_STORE_BYTES}", *words),
        ]
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(self._folder),
            "LANG": "C.UTF-8",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_DISABLE_IMPORT_WARNING": "1",
            "OMP_NUM_THREADS": "1",
        }

        def ready() -> bool:
            log = folder / "log"
            return listens(self.port) and log.exists() and "Ray runtime started" in log.read_text(errors="replace")

        node = Program(command, folder, ready, environment=environment, patience=120)
        self._nodes.append(node)
        return node


def _killed(node: Program) -> None:
    """End a node with all its processes: some leave its process group."""
    started = _started(node)
    node.kill()
    for process in started:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def _started(node: Program) -> list[psutil.Process]:
    try:
        return psutil.Process(node.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
