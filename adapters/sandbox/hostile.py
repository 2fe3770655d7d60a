"""Jobs that try what a job must not be able to do. Each is harmless where it succeeds, and says so."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
_MIB = 1024 * 1024


def look(spec: Mapping[str, Any], out: Path) -> dict[str, str]:
    """Try everything that kills nobody.

    spec: ``{"port", "allowed": [environment], "mark": name in the shared /tmp, "hidden": [parts of a folder]}``.

    Returns:
        What got through, by check; the empty string is nothing.
    """
    return {
        "network": _network(int(spec["port"])),
        "names": _names(),
        "files": _files(),
        "environment": ", ".join(sorted(_variables() - set(spec["allowed"]))),
        "processes": _processes(),
        "capabilities": _capabilities(),
        "tmp": _tmp(str(spec["mark"])),
        "hidden": _hidden(Path(*spec["hidden"])),
    }


def eat_memory(spec: Mapping[str, Any], out: Path) -> dict[str, str]:
    """Ask for twice the memory there is."""
    block = bytearray(2 * int(spec["memory_mib"]) * _MIB)
    return {"through": f"{len(block)} bytes"}


def share_memory(spec: Mapping[str, Any], out: Path) -> dict[str, str]:
    """Let several processes use three quarters of the memory each."""
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            block = bytearray(os.urandom(_MIB)) * (int(spec["memory_mib"]) * 3 // 4)
            time.sleep(20)
            os._exit(len(block) % 2)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return {"through": "three processes"}


def fork(spec: Mapping[str, Any], out: Path) -> dict[str, str]:
    """Start twice as many processes as there may be; all are ended again."""
    children: list[int] = []
    try:
        for _ in range(2 * int(spec["processes"])):
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return {"through": f"{len(children)} processes"}


def spin(spec: Mapping[str, Any], out: Path) -> dict[str, str]:
    """Compute for as long as it is let, at most some seconds of CPU."""
    while time.process_time() < float(spec["most_s"]):
        sum(range(1000))
    return {"through": f"{time.process_time():.1f} s"}


def fill(spec: Mapping[str, Any], out: Path) -> dict[str, str]:
    """Write a file twice as large as one may be."""
    path = Path(out) / "large"
    try:
        with path.open("wb") as file:
            for _ in range(2 * int(spec["file_mib"])):
                file.write(bytes(_MIB))
    finally:
        path.unlink()
    return {"through": "the whole file"}


def leave_link(spec: Mapping[str, Any], out: Path) -> dict[str, str]:
    """Leave a link to a file of the machine for whoever reads what came out."""
    (Path(out) / "bundle").symlink_to("/etc/hostname")
    return {"through": "a link"}


def _variables() -> set[str]:
    entries = Path("/proc/self/environ").read_text(encoding="utf-8", errors="replace").split("\0")
    return {entry.partition("=")[0] for entry in entries if entry}


def _network(port: int) -> str:
    reached = []
    for address in (("127.0.0.1", port), ("192.0.2.1", 80)):
        try:
            socket.create_connection(address, timeout=1).close()
            reached.append(address[0])
        except OSError:
            continue
    names = [name for _, name in socket.if_nameindex() if name != "lo"]
    return ", ".join([*reached, *names])


def _names() -> str:
    try:
        found = socket.getaddrinfo("example.org", 80)
    except OSError:
        return ""
    return str(found[0][4][0])


def _files() -> str:
    code = Path(__file__).resolve().parent
    places = [Path(os.sep), Path("/etc"), Path("/usr"), Path("/var"), Path("/run"), code, Path(pwd.getpwuid(0).pw_dir)]
    written = []
    for place in places:
        mark = place / f".evercrew-mark-{os.getpid()}"
        try:
            mark.write_text("mark", encoding="utf-8")
        except OSError:
            continue
        mark.unlink()
        written.append(place)
    own = tempfile.gettempdir()
    return ", ".join(str(place) for place in written if not own.startswith(str(place)))


def _processes() -> str:
    ours = ("adapters.worker_job", "bwrap", "setpriv")
    seen = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").replace("\0", " ")
            except OSError:
                continue
            seen += [] if any(name in words for name in ours) else [entry.name]
    return ", ".join(seen[:5])


def _capabilities() -> str:
    status = dict(line.split(":\t", 1) for line in _STATUS.read_text(encoding="utf-8").splitlines() if ":\t" in line)
    held = [name for name in ("CapEff", "CapPrm", "CapInh", "CapAmb") if int(status[name], 16)]
    held += ["no_new_privs is off"] if status["NoNewPrivs"].strip() != "1" else []
    return ", ".join([*held, *(["root"] if os.getuid() == 0 else [])])


def _tmp(mark: str) -> str:
    return next((str(path) for path in (Path("/tmp") / mark, Path("/var/tmp") / mark) if path.exists()), "")


def _hidden(folder: Path) -> str:
    try:
        return ", ".join(sorted(path.name for path in folder.iterdir())[:3])
    except OSError:
        return ""
