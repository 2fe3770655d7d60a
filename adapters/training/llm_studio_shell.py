"""H2O LLM Studio on a machine with a shell: this one, or another over SSH. Both run the same scripts.

An experiment has the folder ``root``/<key>: ``cfg.yaml``, ``data/``, ``output/`` (the program's own), ``train.log``,
``pid`` (of its shepherd), ``child`` (its own) and, once the program has ended, ``exit``. Making the folder is what
decides who starts it; it runs on when the machine that asked for it dies, and ends at its time without it.
"""

from __future__ import annotations

import base64
import io
import re
import shlex
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from adapters.training.llm_studio_charts import NAME
from domain.errors import (
    ConfigurationError,
    DependencyError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
)

_TAIL = 4000
_SECONDS = timedelta(seconds=60)


@dataclass(frozen=True)
class Place:
    """Where an experiment's data set and output are, as the machine that trains sees them."""

    dataset: str
    output: str


@dataclass(frozen=True)
class Look:
    """An experiment as its machine sees it; `exit_code` is None while the program has not ended."""

    running: bool
    exit_code: int | None = None
    flags: str = ""
    charts: bytes = b""
    log: str = ""
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


class StudioHost(Protocol):
    """Where experiments run."""

    def place(self, key: str, dataset: str) -> Place:
        """Return where a data set of this file name and the output will be."""
        ...

    def submit(self, key: str, config: str, dataset: Path, timeout: timedelta) -> None:
        """Start the experiment, or join the one that runs or has finished under the key; a failed one starts anew."""
        ...

    def look(self, key: str) -> Look | None:
        """Return how it stands, None when there is none."""
        ...

    def fetch(self, key: str, into: Path) -> None:
        """Copy the output into an existing folder."""
        ...

    def stop(self, key: str) -> None:
        """End it, and all it started."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise."""
        ...


class Shell(Protocol):
    """Runs scripts of a POSIX shell somewhere."""

    name: str

    def run(self, script: str, given: bytes = b"", timeout: timedelta = _SECONDS) -> bytes:
        """Return what the script wrote; raises a DependencyError when it cannot run or ends with another status."""
        ...


class LocalShell:
    """This machine."""

    name = "this machine"

    def run(self, script: str, given: bytes = b"", timeout: timedelta = _SECONDS) -> bytes:
        """See `Shell.run`."""
        done = _ran(["sh", "-c", script], given, timeout)
        if done.returncode != 0:
            raise _failed(done, self.name)
        return done.stdout


class SshShell:
    """Another machine: `host` is ``user@name``; the server's key is in `known_hosts` and nowhere else."""

    def __init__(self, *, host: str, port: int = 22, key: Path, known_hosts: Path, connect: int = 10) -> None:
        if not re.fullmatch(r"[\w.-]+@[\w.:-]+", host):
            raise ConfigurationError("llm_studio.host", f"{host!r} is not user@host", "Name both")
        for name, path in (("ssh_key", key), ("known_hosts", known_hosts)):
            if not path.is_file():
                raise ConfigurationError(f"llm_studio.{name}", f"{path} is no file", "Name a readable file")
        self.name = host
        self._command = [
            *("ssh", "-F", "none", "-T", "-p", str(port), "-i", str(key), "-o", "IdentitiesOnly=yes"),
            *("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={known_hosts}"),
            *("-o", "GlobalKnownHostsFile=none", "-o", f"ConnectTimeout={connect}", "-o", "LogLevel=ERROR", host, "--"),
        ]

    def run(self, script: str, given: bytes = b"", timeout: timedelta = _SECONDS) -> bytes:
        """See `Shell.run`."""
        done = _ran([*self._command, f"sh -c {shlex.quote(script)}"], given, timeout)
        if done.returncode == 255:
            raise _ssh_error(self.name, done.stderr.decode("utf-8", "replace"))
        if done.returncode != 0:
            raise _failed(done, self.name)
        return done.stdout


class ShellHost:
    """`StudioHost` by a shell. `studio` is the program's folder there, `python` its interpreter, `root` the folder of
    experiments (``evercrew`` in the program's, where it is not given).
    """

    def __init__(self, shell: Shell, *, studio: str, python: str = "python", root: str = "") -> None:
        root = root or f"{studio}/evercrew"
        for name, value in (("folder", studio), ("root", root)):
            if not value.startswith("/"):
                raise ConfigurationError(f"llm_studio.{name}", f"{value!r} is not absolute", "Write the whole path")
        self._shell = shell
        self._root = root.rstrip("/")
        self._studio = studio
        self._python = python

    def place(self, key: str, dataset: str) -> Place:
        """See `StudioHost.place`."""
        return Place(f"{self._root}/{key}/data/{dataset}", f"{self._root}/{key}/output")

    def submit(self, key: str, config: str, dataset: Path, timeout: timedelta) -> None:
        """See `StudioHost.submit`."""
        here = shlex.quote(f"{self._root}/{key}")
        command = f"timeout -k 10 {int(timeout.total_seconds())} {shlex.quote(self._python)} llm_studio/train.py"
        run = (
            f"cd {shlex.quote(self._studio)} || exit 3\n{command} -Y {here}/cfg.yaml > {here}/train.log 2>&1 &\n"
            f"echo $! > {here}/child\necho $$ > {here}/pid\nwait $!\n"
            f"echo $? > {here}/exit.part\nmv {here}/exit.part {here}/exit\n"
        )
        packed = _packed({"cfg.yaml": config.encode(), "run.sh": run.encode()}, dataset)
        script = (
            f"umask 077\nmkdir -p {shlex.quote(self._root)} || exit 1\nd={here}\n{_ALIVE}"
            'if [ -d "$d" ] && ! alive && ! grep -qs \'"finished"\' "$d/output/flags.json"; then rm -rf "$d"; fi\n'
            'mkdir "$d" 2>/dev/null || { [ -d "$d" ] && cat > /dev/null && exit 0; exit 1; }\n'
            'tar -xf - -C "$d" || exit 1\n'
            'setsid sh "$d/run.sh" > /dev/null 2> "$d/train.log" < /dev/null &\n'
            'n=0; while [ ! -s "$d/pid" ] && [ ! -s "$d/exit" ] && [ $n -lt 100 ]; do sleep 0.05; n=$((n+1)); done\n'
        )
        self._shell.run(script, packed)

    def look(self, key: str) -> Look | None:
        """See `StudioHost.look`."""
        script = (
            f"d={shlex.quote(f'{self._root}/{key}')}\n{_ALIVE}"
            '[ -d "$d" ] || { echo absent; exit 0; }\n'
            "alive && echo alive 1 || echo alive 0\n"
            'for f in exit output/flags.json output/charts.db; do [ -f "$d/$f" ] && '
            'printf "%s " "$f" && base64 < "$d/$f" | tr -d "\\n" && echo; done\n'
            f'[ -f "$d/train.log" ] && printf "log " && tail -c {_TAIL} "$d/train.log" | base64 | tr -d "\\n"\necho\n'
        )
        lines = self._shell.run(script).decode("ascii", "replace").splitlines()
        if lines[:1] == ["absent"]:
            return None
        found = dict(line.split(" ", 1) for line in lines if " " in line)
        code = _text(found.get("exit", "")).strip()
        return Look(
            running=found.get("alive") == "1",
            exit_code=int(code) if re.fullmatch(r"\d+", code) else None,
            flags=_text(found.get("output/flags.json", "")),
            charts=_bytes(found.get("output/charts.db", "")),
            log=_text(found.get("log", "")),
        )

    def fetch(self, key: str, into: Path) -> None:
        """See `StudioHost.fetch`."""
        packed = self._shell.run(
            f"tar -cf - -C {shlex.quote(f'{self._root}/{key}/output')} .", timeout=timedelta(minutes=30)
        )
        try:
            with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
                archive.extractall(into, filter="data")
        except (tarfile.TarError, OSError) as error:
            raise DependencyLied(NAME, f"the output of {key} cannot be unpacked: {error}") from error

    def stop(self, key: str) -> None:
        """See `StudioHost.stop`."""
        script = (
            f"d={shlex.quote(f'{self._root}/{key}')}\n{_ALIVE}"
            'alive || exit 0\nc=$(cat "$d/child")\nkill -s TERM -- "-$c"; n=0\n'
            'while alive && [ $n -lt 40 ]; do sleep 0.05; n=$((n+1)); done\nkill -s KILL -- "-$c" 2>/dev/null\nexit 0\n'
        )
        self._shell.run(script)

    def check(self) -> str:
        """See `StudioHost.check`."""
        program = shlex.quote(f"{self._studio}/llm_studio/train.py")
        python = shlex.quote(self._python)
        script = (
            f"[ -f {program} ] || {{ echo program; exit 0; }}\n{python} -c 'pass' || {{ echo python; exit 0; }}\n"
            f"mkdir -p {shlex.quote(self._root)} && [ -w {shlex.quote(self._root)} ] || {{ echo root; exit 0; }}\n"
            "command -v setsid timeout base64 tar > /dev/null || { echo tools; exit 0; }\necho fine\n"
        )
        said = self._shell.run(script).decode("utf-8", "replace").split()
        problems = {
            "program": ("folder", f"{self._studio} on {self._shell.name} has no llm_studio/train.py", "Name its clone"),
            "python": (
                "python",
                f"{self._python} does not start on {self._shell.name}",
                "Name its environment's python",
            ),
            "root": ("root", f"{self._root} on {self._shell.name} cannot be written to", "Give the account the right"),
            "tools": ("host", f"{self._shell.name} lacks setsid, timeout, base64 or tar", "Install coreutils and tar"),
        }
        if said[-1:] != ["fine"]:
            where, problem, remedy = problems.get(" ".join(said[-1:]), ("host", "it said nothing", "Check the account"))
            raise ConfigurationError(f"llm_studio.{where}", problem, remedy)
        return f"{NAME}: {self._studio} on {self._shell.name}"


# A number can be taken by another program later: the ones meant were started with files of this folder. `timeout` has
# a process group of its own, so the training has to be asked for by that one.
_ALIVE = (
    'is() { p=$(cat "$d/$1" 2>/dev/null) && kill -0 "$p" 2>/dev/null && '
    'tr "\\0" " " < "/proc/$p/cmdline" 2>/dev/null | grep -qF "$d/$2"; }\n'
    'alive() { [ ! -f "$d/exit" ] && { is pid run.sh || is child cfg.yaml; }; }\n'
)


def _ran(command: list[str], given: bytes, timeout: timedelta) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which(command[0])
    if program is None:
        raise ConfigurationError("llm_studio.kind", f"{command[0]} is not installed", "Install openssh-client")
    try:
        return subprocess.run(
            [program, *command[1:]], input=given, capture_output=True, timeout=timeout.total_seconds(), check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DependencyTimeout(NAME, f"a command took longer than {timeout.total_seconds():g} s") from error
    except OSError as error:
        raise DependencyUnavailable(NAME, f"{command[0]} cannot be started: {error.strerror}") from error


def _failed(done: subprocess.CompletedProcess[bytes], name: str) -> DependencyError:
    said = " ".join(done.stderr.decode("utf-8", "replace").split())[-300:] or "it said nothing"
    return DependencyUnavailable(NAME, f"a command on {name} ended with {done.returncode}: {said}")


def _ssh_error(host: str, text: str) -> DependencyError | ConfigurationError:
    said = " ".join(text.split())[-300:]
    if "Permission denied" in text:
        return DependencyUnavailable(NAME, f"{host} refused the key: {said}", "Check llm_studio.ssh_key")
    if "Host key verification failed" in text or "host key" in text.lower():
        problem = f"the key of {host} is not the one that is known: {said}"
        return ConfigurationError(
            "llm_studio.known_hosts", problem, "Put the server's key there, if it is the right one"
        )
    if "timed out" in text:
        return DependencyTimeout(NAME, f"{host} did not answer in time: {said}", "Check llm_studio.host")
    return DependencyUnavailable(NAME, f"{host} cannot be reached: {said}", "Check llm_studio.host")


def _packed(files: dict[str, bytes], dataset: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            archive.addfile(entry, io.BytesIO(content))
        archive.add(dataset, arcname=f"data/{dataset.name}")
    return packed.getvalue()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise DependencyLied(NAME, "the machine's answer is garbled", "Keep its login shell silent") from error


def _text(text: str) -> str:
    return _bytes(text).decode("utf-8", "replace")
