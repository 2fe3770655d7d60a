"""An OpenSSH server on loopback for git: keys of its own, and nothing but git behind them.

As root it needs the folder the program separates its privileges in, and makes it when it is missing.
"""

from __future__ import annotations

import os
import pwd
import shlex
import socket
from pathlib import Path
from typing import Self

from testbed.servers.base import Program, find, free_port

_PACKAGE = "openssh-server"
_SEPARATION = Path("/run/sshd")


class Sshd:
    """Serves every bare repository the present user can read while it is entered.

    `user_key` may read and write, `reader_key` may read; `known_hosts` names the server's key, and `other_hosts` a
    key that is not the server's.
    """

    def __init__(self, folder: Path) -> None:
        self._program = find("sshd", _PACKAGE)
        self._shell = find("git-shell", "git")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.absolute()
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.port = free_port()
        self.user_key, public = write_key(self._folder / "user")
        self.reader_key, reader = write_key(self._folder / "reader")
        self.stranger_key, _ = write_key(self._folder / "stranger")
        self._host_key, host = write_key(self._folder / "host")
        _, other = write_key(self._folder / "other")
        self.known_hosts = self._hosts("known_hosts", host)
        self.other_hosts = self._hosts("other_hosts", other)
        self._authorize(public, reader)
        self._running: Program | None = None

    def __enter__(self) -> Self:
        if os.getuid() == 0:
            _SEPARATION.mkdir(mode=0o755, exist_ok=True)
        command = [self._program, "-D", "-e", "-f", str(self._settings())]
        self._running = Program(command, self._folder / "sshd", self._answers, environment={"PATH": "/usr/bin:/bin"})
        return self

    def __exit__(self, *_: object) -> None:
        if self._running is not None:
            self._running.stop()

    def url(self, repository: Path) -> str:
        """The address of a repository on this machine."""
        return f"ssh://{self.user}@127.0.0.1:{self.port}{repository.absolute()}"

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.5) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _hosts(self, name: str, public: str) -> Path:
        file = self._folder / name
        file.write_text(f"[127.0.0.1]:{self.port} {public}\n")
        return file

    def _authorize(self, writer: str, reader: str) -> None:
        """A key that reads is held to the program that reads, whatever its client asks for."""
        shell = f'{shlex.quote(self._shell)} -c "$SSH_ORIGINAL_COMMAND"'
        reading = self._folder / "reading"
        reading.write_text(
            f'#!/bin/sh\ncase "$SSH_ORIGINAL_COMMAND" in\n  git-upload-pack*) exec {shell} ;;\nesac\n'
            'echo "ERROR: this key is read-only: not allowed to push" >&2\nexit 1\n'
        )
        reading.chmod(0o755)
        escaped = shell.replace('"', '\\"')
        (self._folder / "authorized").write_text(
            f'command="{escaped}",restrict {writer}\ncommand="{reading}",restrict {reader}\n'
        )

    def _settings(self) -> Path:
        lines = {
            "ListenAddress": f"127.0.0.1:{self.port}",
            "HostKey": self._host_key,
            "AuthorizedKeysFile": self._folder / "authorized",
            "PidFile": "none",
            "UsePAM": "no",
            "StrictModes": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            "LogLevel": "VERBOSE",
        }
        file = self._folder / "sshd_config"
        file.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
        return file


def write_key(file: Path) -> tuple[Path, str]:
    """Write an Ed25519 key pair (`file`, `file`.pub) in OpenSSH's form; return the private file and the public line."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    file.touch(mode=0o600)
    file.write_bytes(private)
    file.with_name(file.name + ".pub").write_text(f"{public}\n")
    return file, public
