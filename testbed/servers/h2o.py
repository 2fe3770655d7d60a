"""A real H2O-3 cluster of one node on loopback, from the program that H2O's Python client brings."""

from __future__ import annotations

import hashlib
import importlib.util
import urllib.error
import urllib.request
from pathlib import Path

from testbed.servers.base import Program, ServerError, find, free_port, listens

__all__ = ["H2OServer", "h2o_jar"]


def h2o_jar() -> Path:
    """The cluster's program.

    Raises:
        ServerError: the client is not installed.
    """
    found = importlib.util.find_spec("h2o")
    if found is None or found.origin is None:
        raise ServerError("h2o is not installed: pip install evercrew[h2o]")
    return Path(found.origin).parent / "backend" / "bin" / "h2o.jar"


class H2OServer(Program):
    """One node with `memory_mib` of heap; asks for `password` of the user ``evercrew`` when one is given."""

    def __init__(self, folder: Path, *, memory_mib: int = 512, password: str = "") -> None:
        java = find("java", "openjdk-17-jre-headless")
        port = free_port()
        while listens(port + 1):  # nodes talk to each other there
            port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        ice = folder / "ice"
        ice.mkdir(parents=True)
        login: list[str] = []
        if password:
            realm = folder / "realm.properties"
            realm.write_text(f"evercrew: MD5:{hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()}\n")
            login = ["-hash_login", "-login_conf", str(realm)]
        command = [
            *(java, f"-Xmx{memory_mib}m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"),
            *(f"-Djava.io.tmpdir={ice}", "-jar", str(h2o_jar())),
            *("-name", f"testbed-{port}", "-ip", "127.0.0.1", "-web_ip", "127.0.0.1", "-port", str(port)),
            *("-ice_root", str(ice), "-nthreads", "1", "-log_level", "WARN", *login),
        ]
        super().__init__(command, folder, self._ready, patience=120)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/3/Cloud", timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False
