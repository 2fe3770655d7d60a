"""H2O-3 in a worker process: a Java machine of its own on loopback, or a cluster that runs elsewhere.

The client library keeps one connection for the whole process: only worker processes, which do one job, import this.
Its errors are turned into ours here, each with what to do about it.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field

from domain.clock import Clock, SystemClock
from domain.errors import (
    ConfigurationError,
    DependencyError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
)

NAME = "h2o"
_START = timedelta(seconds=120)
_POLL = timedelta(milliseconds=50)
_TAIL = 600
# A heap that is nearly full ends the machine rather than keep it busy with collecting for minutes.
_FAIL_FAST = ("-XX:+UseParallelGC", "-XX:GCTimeLimit=60", "-XX:GCHeapFreeLimit=10", "-XX:+ExitOnOutOfMemoryError")
_DENIED = re.compile(r"\b40[13]\b|unauthorized", re.IGNORECASE)
_MEMORY = re.compile(r"OutOfMemory|out of memory|\bOOM\b|GC overhead", re.IGNORECASE)


class ClusterSpec(BaseModel):
    """Where H2O runs: at `url`, or, without one, in a Java machine of the job's own with `max_memory_mib` of heap."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = ""
    username: str = ""
    password: str = ""
    ca: str = ""
    verify: bool = True
    java: str = "java"
    max_memory_mib: int = Field(default=1024, ge=16)
    threads: int = Field(default=1, ge=1, le=256)


@contextmanager
def session(spec: ClusterSpec, scratch: Path, clock: Clock | None = None) -> Iterator[Any]:
    """Give the connected `h2o` module; a Java machine started for it ends with it.

    Raises:
        ConfigurationError: no client, no Java, another version, wrong address.
        DependencyUnavailable: refused, down, out of memory, or it ended while it was used.
        DependencyTimeout, DependencyLied: it did not answer in time, or not as agreed.
    """
    h2o = client()
    if spec.url:
        with translated(None):
            yield _connected(h2o, spec)
        return
    machine = JavaMachine(spec, scratch, clock or SystemClock())
    try:
        with translated(machine):
            machine.wait()
            yield _connected(h2o, spec.model_copy(update={"url": machine.url}))
    finally:
        machine.stop()


def client() -> Any:
    """Return the client library.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import h2o
    except ImportError as error:
        raise ConfigurationError("h2o", "the client is not installed", "Install evercrew[h2o]") from error
    return h2o


def jar() -> Path:
    """Return the program that the client library brings."""
    return Path(client().__file__).resolve().parent / "backend" / "bin" / "h2o.jar"


class JavaMachine:
    """One node on loopback that no other node can join; its words go to `scratch`."""

    def __init__(self, spec: ClusterSpec, scratch: Path, clock: Clock) -> None:
        java = shutil.which(spec.java)
        if java is None:
            raise ConfigurationError("h2o.java", f"{spec.java!r} is not installed", "Install Java 17, or name h2o.url")
        port = _two_ports()
        scratch.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{port}"
        self._log, self._clock, self._heap = scratch / "java.log", clock, spec.max_memory_mib
        command = [
            *(java, f"-Xmx{spec.max_memory_mib}m", *_FAIL_FAST, f"-XX:ParallelGCThreads={spec.threads}"),
            *(f"-Djava.io.tmpdir={scratch}", f"-XX:ErrorFile={scratch}/crash.log", "-jar", str(jar())),
            *("-name", f"evercrew-{port}", "-ip", "127.0.0.1", "-web_ip", "127.0.0.1", "-port", str(port)),
            *("-ice_root", str(scratch), "-nthreads", str(spec.threads), "-log_level", "WARN"),
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=scratch)

    def wait(self) -> None:
        """Return when it answers.

        Raises:
            DependencyUnavailable: it ended. DependencyTimeout: it does not answer.
        """
        until = self._clock.monotonic() + _START.total_seconds()
        while not self._answers():
            if self.ended() is not None:
                raise self.death()
            if self._clock.monotonic() > until:
                raise DependencyTimeout(NAME, f"Java did not start in {_START.total_seconds():g} s: {self.tail()}")
            self._clock.sleep(_POLL)

    def ended(self) -> int | None:
        """Return its exit status, None while it runs."""
        return self._process.poll()

    def tail(self) -> str:
        """Return the end of what it wrote."""
        text = self._log.read_bytes()[-_TAIL:].decode("utf-8", "replace")
        return " ".join(text.split()) or "it said nothing"

    def death(self) -> DependencyError:
        """Return why it ended."""
        if _MEMORY.search(self.tail()):
            return out_of_memory(f"{self._heap} MiB of heap are not enough")
        problem = f"Java ended with status {self._process.returncode}: {self.tail()}"
        return DependencyUnavailable(NAME, problem, "Check h2o.java (Java 17) and h2o.max_memory_mib")

    def stop(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/3/Cloud", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


def out_of_memory(detail: str) -> DependencyUnavailable:
    """Return the error of a cluster whose memory is not enough."""
    return DependencyUnavailable(
        NAME,
        f"it ran out of memory: {detail}",
        "Raise h2o.max_memory_mib (or the cluster's -Xmx), or train on fewer rows",
    )


@contextmanager
def translated(machine: JavaMachine | None) -> Iterator[None]:
    """Turn the client's errors into ours."""
    from h2o.exceptions import H2OConnectionError, H2OError, H2OJobCancelled, H2OResponseError, H2OServerError

    try:
        yield
    except H2OConnectionError as error:
        if machine is not None and machine.ended() is not None:
            raise machine.death() from error
        raise _unreachable(str(error)) from error
    except H2OJobCancelled as error:
        raise DependencyUnavailable(NAME, "somebody cancelled the job on the cluster", "Train again") from error
    except H2OResponseError as error:
        raise _answered(str(error)) from error
    except H2OServerError as error:
        raise _answered(str(error)) from error
    except H2OError as error:
        raise DependencyLied(NAME, f"the client refused an answer: {_short(str(error))}") from error
    except OSError as error:  # what the client raises for a job that failed
        raise _answered(str(error)) from error


def _unreachable(text: str) -> DependencyError:
    if _DENIED.search(text):
        return _answered(text)
    if "timed out" in text.lower():
        return DependencyTimeout(NAME, f"it did not answer in time: {_short(text)}", "Check the cluster and h2o.url")
    if "certificate" in text.lower():
        problem = f"its certificate is not trusted: {_short(text)}"
        return DependencyUnavailable(NAME, problem, "Name the certificate authority in h2o.ca")
    return DependencyUnavailable(NAME, f"it cannot be reached: {_short(text)}", "Check that it runs, and h2o.url")


def _answered(text: str) -> DependencyError:
    if _MEMORY.search(text):
        return out_of_memory(_short(text))
    if _DENIED.search(text):
        problem = f"it refused the credentials: {_short(text)}"
        return DependencyUnavailable(NAME, problem, "Check h2o.username and EVERCREW_H2O_PASSWORD")
    if "locked" in text.lower():
        problem = f"the cloud is locked: {_short(text)}"
        return DependencyUnavailable(NAME, problem, "Restart all its nodes together: none can join once work has begun")
    return DependencyUnavailable(NAME, f"the job failed: {_short(text)}", "Look at the cluster's own log")


def _connected(h2o: Any, spec: ClusterSpec) -> Any:
    auth = (spec.username, spec.password) if spec.username else None
    connection = h2o.connect(
        url=spec.url,
        auth=auth,
        cacert=spec.ca or None,
        verify_ssl_certificates=spec.verify,
        verbose=False,
        strict_version_check=False,
    )
    check_cloud(h2o.__version__, {"version": connection.cluster.version, "healthy": connection.cluster.cloud_healthy})
    h2o.no_progress()
    return h2o


def check_cloud(ours: str, cloud: dict[str, Any]) -> None:
    """Check what a cluster says of itself.

    Raises:
        ConfigurationError: it is of another version than the client. DependencyUnavailable: a node is sick.
    """
    if cloud["version"] != ours:
        raise ConfigurationError(
            "h2o.url", f"the cluster is H2O {cloud['version']}, the client {ours}", "Run the same version on both sides"
        )
    if not cloud["healthy"]:
        raise DependencyUnavailable(NAME, "a node of the cluster is not healthy", "Restart all its nodes together")


def _two_ports() -> int:
    """A free port whose successor is free, too: nodes talk to each other on that one."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise DependencyUnavailable(NAME, "there are no two free ports in a row on loopback")


def _short(text: str) -> str:
    return " ".join(text.split())[:_TAIL]
