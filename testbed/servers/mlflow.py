"""An MLflow server on loopback: its database in a folder, its artifacts there or in an S3 store.

It takes half a minute to start and 400 MiB: one for many tests.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from testbed.servers.base import Program, free_port

_PATIENCE = 150.0


class MlflowServer:
    """A running server; use it as a context manager.

    `artifacts` is where it tells clients to put files (``s3://bucket/prefix`` or a folder); `proxied` makes them go
    through the server instead, which then needs the store's `environment`.

    Raises:
        ServerError: it does not get ready.
    """

    def __init__(
        self, folder: Path, *, artifacts: str | None = None, proxied: bool = False, environment: Mapping[str, str] = {}
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        root = artifacts or (folder / "artifacts").resolve().as_uri()
        where = (
            ["--artifacts-destination", root, "--serve-artifacts"]
            if proxied
            else ["--default-artifact-root", root, "--no-serve-artifacts"]
        )
        self._program = Program(
            [
                *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port)),
                *("--backend-store-uri", f"sqlite:///{(folder / 'mlflow.db').resolve()}", "--workers", "1", *where),
            ],
            folder,
            self._answers,
            environment={
                "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                "HOME": str(folder.resolve()),
                "LANG": "C.UTF-8",
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "OMP_NUM_THREADS": "1",
                **environment,
            },
            patience=_PATIENCE,
        )

    def __enter__(self) -> MlflowServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it answers: the tracking and registry URI of its clients."""
        return f"http://127.0.0.1:{self._port}"

    def stop(self) -> None:
        """End it; its database stays in the folder."""
        self._program.stop()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:
                return bool(answer.read().strip() == b"OK")
        except (urllib.error.URLError, OSError):
            return False
