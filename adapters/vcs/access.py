"""Who the product is to a git server: credentials, trust and signature, handed to git through its environment.

Nothing of this is written into an address, an argument or the configuration of a repository: git reads
``GIT_CONFIG_KEY_n`` and ``GIT_CONFIG_VALUE_n``, and the token is answered by a credential helper that finds it in the
environment of the very process that asks.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from domain.errors import ConfigurationError

SECTION = "values"
_SCHEMES = frozenset({"http", "https", "ssh", "file"})
_KEY_ID = re.compile(r"^(?:0x)?[0-9A-Fa-f]{8,40}$|^[^/\s]+@[^/\s]+$")
_SHORT = re.compile(r"^(?:[\w.-]+@)?[\w.-]+:(?!//)\S+$")
_USER, _TOKEN = "EVERCREW_GIT_USERNAME", "EVERCREW_GIT_TOKEN"
_ANSWER = f'!f() {{ test "$1" = get && printf "username=%s\\npassword=%s\\n" "${_USER}" "${_TOKEN}"; }}; f'
_CONNECT_SECONDS = 10


class GitAccess(BaseModel):
    """Credentials of one remote.

    Args:
        username: sent with the token over HTTPS; forges that look at the token alone take any name.
        token: a password or access token for HTTPS.
        ca: PEM certificates git trusts instead of the system's.
        cert, key: the client's own certificate and its key, for mutual TLS.
        ssh_key: private key for SSH without a passphrase; None leaves the choice to the ssh agent.
        known_hosts: host keys to accept; None is the user's own file. An unknown host is refused in any case.
        credential_helper: a command in the form of git's ``credential.helper``, asked instead of `token`.
        signing_key: a private or public SSH key file, or the id (or mail address) of a GPG key; empty signs nothing.
        author: name and mail address of the commits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    username: str = ""
    token: SecretStr | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    credential_helper: str = ""
    signing_key: str = ""
    author: tuple[str, str] = ("Evercrew", "evercrew@localhost")

    @property
    def signs(self) -> Literal["", "ssh", "gpg"]:
        """How commits are signed."""
        if not self.signing_key:
            return ""
        return "gpg" if _KEY_ID.match(self.signing_key) else "ssh"

    def environment(self, remote: str) -> dict[str, str]:
        """Return what git is given in its environment to speak to `remote`.

        Raises:
            ConfigurationError: a file that is named cannot be read, or two fields contradict each other.
        """
        self._check_files()
        settings = [("gpg.format", "ssh" if self.signs == "ssh" else "openpgp")]
        if self.signs:
            settings.append(("user.signingKey", self.signing_key))
        settings += self._helpers(remote)
        files = {"GIT_SSL_CAINFO": self.ca, "GIT_SSL_CERT": self.cert, "GIT_SSL_KEY": self.key}
        return {
            **self._secrets(remote),
            **_as_environment(settings),
            **{name: str(path.absolute()) for name, path in files.items() if path is not None},
            "GIT_SSH_COMMAND": self._ssh(),
        }

    def _helpers(self, remote: str) -> list[tuple[str, str]]:
        """The token goes to the remote's own host only, and no helper of the machine is asked besides."""
        parts = urlsplit(remote)
        if parts.scheme not in ("http", "https") or not (self.token or self.credential_helper):
            return []
        place = f"credential.{parts.scheme}://{parts.netloc}"
        return [
            ("credential.helper", ""),
            (f"{place}.helper", self.credential_helper or _ANSWER),
            *([(f"{place}.username", self.username)] if self.username and self.credential_helper else []),
        ]

    def _secrets(self, remote: str) -> dict[str, str]:
        """A remote on this machine runs its hooks in our environment: it gets no token it does not need."""
        if self.token is None or urlsplit(remote).scheme not in ("http", "https"):
            return {}
        return {_USER: self.username or "evercrew", _TOKEN: self.token.get_secret_value()}

    def _ssh(self) -> str:
        """BatchMode never asks a terminal; with StrictHostKeyChecking an unknown host is an error, not a question."""
        options = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"ConnectTimeout={_CONNECT_SECONDS}"]
        if self.known_hosts is not None:
            options += [f"UserKnownHostsFile={_ssh_path(self.known_hosts)}", "GlobalKnownHostsFile=/dev/null"]
        if self.ssh_key is not None:
            options += [f"IdentityFile={_ssh_path(self.ssh_key)}", "IdentitiesOnly=yes", "IdentityAgent=none"]
        return shlex.join(["ssh", *(part for option in options for part in ("-o", option))])

    def _check_files(self) -> None:
        for field in ("ca", "cert", "key", "ssh_key", "known_hosts"):
            path: Path | None = getattr(self, field)
            if path is not None:
                _readable(field, path)
        if self.signs == "ssh":
            _readable("signing_key", Path(self.signing_key))
        if (self.cert is None) != (self.key is None):
            raise ConfigurationError(f"{SECTION}.cert", "and the key go together", "Name both files, or neither")
        if self.token is not None and self.credential_helper:
            raise ConfigurationError(
                f"{SECTION}.credential_helper", "and a token are both given", "Keep one of the two"
            )


def check_remote(remote: str) -> str:
    """Return the address of a repository when it can be used as it is.

    Raises:
        ConfigurationError: it carries a credential, or is no path and no address git is allowed to open.
    """
    field = f"{SECTION}.remote"
    if not remote or remote.startswith("-"):
        raise ConfigurationError(field, f"{remote!r} is not an address", "Give a path, or an https or ssh address")
    parts = urlsplit(remote)
    if "://" in remote and parts.scheme not in _SCHEMES:
        raise ConfigurationError(field, f"the scheme {parts.scheme!r} is not used", "Give an https or ssh address")
    if "::" in remote.split("/")[0]:
        raise ConfigurationError(field, "names a helper program", "Give a path, or an https or ssh address")
    if parts.scheme in ("http", "https", "ssh") and parts.password is not None:
        raise ConfigurationError(
            field,
            f"the address of {parts.hostname} carries a password",
            "Write the address without it and set EVERCREW_VALUES_TOKEN",
        )
    if parts.scheme in ("http", "https") and parts.username is not None:
        raise ConfigurationError(
            field,
            f"the address of {parts.hostname} carries a name or token before the @",
            f"Write the address without it; the name goes into {SECTION}.username, a token into EVERCREW_VALUES_TOKEN",
        )
    return remote


def check_path(path: str) -> str:
    """Return the path of the values file when it stays inside the repository.

    Raises:
        ConfigurationError: it does not.
    """
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts:
        raise ConfigurationError(
            f"{SECTION}.path", f"{path!r} is not a path in the repository", "Give e.g. values.yaml"
        )
    return path


def check_branch(branch: str) -> str:
    """Return the branch when it is a name and nothing git would take for an option or a path elsewhere.

    Raises:
        ConfigurationError: it is not.
    """
    if not re.match(r"^[\w][\w./-]*$", branch) or ".." in branch:
        raise ConfigurationError(f"{SECTION}.branch", f"{branch!r} is not a branch name", "Give e.g. main")
    return branch


def host_of(remote: str) -> str:
    """Return where a remote is, without anything secret, for messages."""
    if "://" not in remote:
        return remote.split("@")[-1] if _SHORT.match(remote) else remote
    parts = urlsplit(remote)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{quote(parts.path)}"


def _ssh_path(path: Path) -> str:
    """A path as a value of ssh: it splits at spaces and replaces what follows a percent sign."""
    return '"' + str(path.absolute()).replace("%", "%%") + '"'


def _readable(field: str, path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ConfigurationError(
            f"{SECTION}.{field}", f"{path} cannot be read: {error.strerror}", "Name a readable file"
        ) from error


def _as_environment(settings: list[tuple[str, str]]) -> dict[str, str]:
    """Git's own way to be configured for one process (``git help config``, GIT_CONFIG_COUNT)."""
    pairs = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings):
        pairs[f"GIT_CONFIG_KEY_{number}"] = name
        pairs[f"GIT_CONFIG_VALUE_{number}"] = value
    return pairs
