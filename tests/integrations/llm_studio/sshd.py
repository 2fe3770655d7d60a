"""An OpenSSH server on loopback whose one account may run commands."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path

from testbed.servers.base import Program, find, free_port
from testbed.servers.ssh import write_key


class CommandSshd:
    """Runs while it is entered; `key` may log in as `host`, `stranger` may not."""

    def __init__(self, folder: Path) -> None:
        self._program = find("sshd", "openssh-server")
        self._folder = folder
        folder.mkdir(parents=True)
        self.port = free_port()
        self.host = f"{pwd.getpwuid(os.getuid()).pw_name}@127.0.0.1"
        self.key, public = write_key(folder / "user")
        self.stranger, _ = write_key(folder / "stranger")
        server, host = write_key(folder / "server")
        _, other = write_key(folder / "other")
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {host}\n")
        self.other_hosts = folder / "other_hosts"
        self.other_hosts.write_text(f"[127.0.0.1]:{self.port} {other}\n")
        (folder / "authorized").write_text(f"restrict {public}\n")
        settings = {
            "ListenAddress": f"127.0.0.1:{self.port}",
            "HostKey": server,
            "AuthorizedKeysFile": folder / "authorized",
            "PidFile": "none",
            "UsePAM": "no",
            "StrictModes": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
        }
        (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        self._running: Program | None = None

    def __enter__(self) -> CommandSshd:
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        command = [self._program, "-D", "-e", "-f", str(self._folder / "sshd_config")]
        self._running = Program(command, self._folder / "running", self._answers, environment={"PATH": "/usr/bin:/bin"})
        return self

    def __exit__(self, *_: object) -> None:
        if self._running is not None:
            self._running.stop()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.5) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False
