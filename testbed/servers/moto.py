"""An S3 store on loopback (moto): its objects live and die with the process."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path

from testbed.servers.base import Program, ServerError, free_port, listens

REGION = "us-east-1"
_TEST_KEY = "testing"
_TIMEOUT = 10.0
# Looks like a signature; nobody checks it unless the store asks who it is.
_SIGNED = {"Authorization": f"AWS4-HMAC-SHA256 Credential={_TEST_KEY}/20260101/{REGION}/s3/aws4_request"}


class Moto:
    """A running S3 store; use it as a context manager.

    It accepts any credentials, unless `asks_who` is set: then keys and permissions are checked as the real one does.

    Raises:
        ServerError: moto is not installed, or does not get ready.
    """

    def __init__(self, folder: Path, *, asks_who: bool = False) -> None:
        if find_spec("moto") is None or find_spec("flask") is None:
            raise ServerError("moto is not installed: pip install 'moto[server]'")
        self._port = free_port()
        # Through this interpreter: a script of the same name may belong to another environment.
        start = "import sys; from moto.server import main; sys.exit(main(sys.argv[1:]))"
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        if asks_who:
            environment["INITIAL_NO_AUTH_ACTION_COUNT"] = "0"
        self._program = Program(
            [sys.executable, "-c", start, "-H", "127.0.0.1", "-p", str(self._port)],
            folder,
            lambda: listens(self._port),
            environment=environment,
        )

    def __enter__(self) -> Moto:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it answers: the ``endpoint_url`` of its clients."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What clients need in their environment: test credentials, and MLflow's address of the store."""
        return {
            "AWS_ACCESS_KEY_ID": _TEST_KEY,
            "AWS_SECRET_ACCESS_KEY": _TEST_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "MLFLOW_S3_ENDPOINT_URL": self.url,
        }

    def bucket(self, name: str) -> str:
        """Make a bucket, where there is none, and return its ``s3://`` address."""
        self._put(f"/{name}", b"")
        return f"s3://{name}"

    def read(self, bucket: str, key: str) -> bytes:
        """Return an object as it is stored."""
        request = urllib.request.Request(f"{self.url}/{bucket}/{key}", headers=_SIGNED)
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            return bytes(answer.read())

    def write(self, bucket: str, key: str, data: bytes) -> None:
        """Put an object, or another in its place: what damage in a store looks like."""
        self._put(f"/{bucket}/{key}", data)

    def remove(self, bucket: str, key: str) -> None:
        """Delete an object."""
        request = urllib.request.Request(f"{self.url}/{bucket}/{key}", method="DELETE", headers=_SIGNED)
        urllib.request.urlopen(request, timeout=_TIMEOUT).close()

    def stop(self) -> None:
        """End it; what it held is gone."""
        self._program.stop()

    def _put(self, path: str, data: bytes) -> None:
        request = urllib.request.Request(f"{self.url}{path}", data=data, method="PUT", headers=_SIGNED)
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            if answer.status != HTTPStatus.OK:
                raise ServerError(f"PUT {path} was answered with {answer.status}")
