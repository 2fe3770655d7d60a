"""A real OpenID provider on loopback (npm oidc-provider), with four people, two clients and a machine.

The package is installed by npm into a folder of its own; where there is no npm, no node or no network, that is said.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError

from testbed.servers.base import Program, ServerError, free_port

PACKAGE = "oidc-provider@9"
SECRET = "a secret of the tests that is long enough"
CONFIDENTIAL, PUBLIC, MACHINE = "evercrew", "evercrew-public", "robot"
_SCRIPT = Path(__file__).with_name("oidc_provider.mjs")
_INSTALLING = 120.0
_TIMEOUT = 5.0


def installed(folder: Path) -> Path:
    """Install the package into a folder, unless it is there, and return the folder.

    Raises:
        ServerError: npm is not there, or cannot have the package.
    """
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise ServerError("npm or node is not installed: apt-get install nodejs npm")
    if (folder / "node_modules" / "oidc-provider" / "package.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALLING, cwd=folder, check=False)
    except subprocess.TimeoutExpired as problem:
        raise ServerError(f"npm could not install {PACKAGE} within {_INSTALLING:g} s") from problem
    if done.returncode != 0:
        raise ServerError(f"npm could not install {PACKAGE}: {done.stderr.strip()[-300:]}")
    return folder


class OidcServer:
    """A running provider; use it as a context manager.

    Args:
        package: a folder `installed` returned. redirect: where its clients send people back to. method: how the
            confidential client shows its secret. robot_groups: the groups of the machine.

    Raises:
        ServerError: it does not get ready.
    """

    def __init__(
        self,
        package: Path,
        folder: Path,
        *,
        redirect: str,
        method: str = "client_secret_post",
        robot_groups: Sequence[str] = ("ml-robots",),
    ) -> None:
        port = free_port()
        self.issuer = f"http://127.0.0.1:{port}"
        script = package / _SCRIPT.name
        shutil.copyfile(_SCRIPT, script)
        options = {
            "issuer": self.issuer,
            "port": port,
            "redirect": redirect,
            "secret": SECRET,
            "method": method,
            "robotGroups": list(robot_groups),
        }
        node = shutil.which("node") or "node"
        environment = {"PATH": "/usr/bin:/bin", "NODE_ENV": "production"}
        self._program = Program(
            [node, str(script), json.dumps(options)], folder, self._answers, environment=environment
        )

    def __enter__(self) -> OidcServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it."""
        self._program.stop()

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.issuer}/.well-known/openid-configuration", timeout=_TIMEOUT).close()
        except (URLError, OSError):
            return False
        return True
