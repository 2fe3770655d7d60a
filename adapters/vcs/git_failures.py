"""What git's last words mean, and what the operator can do about it.

Git answers every failure with a sentence of its own, of curl's, of ssh's or of the server's; programs run under
LC_ALL=C, so the sentences are stable. The first row of the table that matches decides; rows about a cause (a host key)
stand before rows about its consequence ("could not read from remote repository").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapters.vcs.access import SECTION
from domain.errors import DependencyError, DependencyLied, DependencyTimeout, DependencyUnavailable

NAME = "git"
TIMED_OUT = "Timeout:"
SHOWN = 400
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_NOISE = re.compile(
    r"fatal: Could not read from remote repository\."
    r"|Please make sure you have the correct access rights|and the repository exists\.?",
)


class AccessRefused(DependencyUnavailable):
    """The remote answered and does not let us in, or not do this; asking again changes nothing."""


class ProtectedBranch(AccessRefused):
    """The remote takes nothing on this branch from us directly."""


@dataclass(frozen=True)
class _Row:
    words: str
    kind: type[DependencyError]
    problem: str
    remedy: str

    def matches(self, text: str) -> bool:
        return re.search(self.words, text, flags=re.IGNORECASE) is not None


_TABLE = (
    _Row(
        r"certificate problem|certificate verif\w+ failed|SSL_ERROR_SYSCALL|server certificate",
        AccessRefused,
        "the certificate of the server is not trusted",
        f"Name the certificate authority in {SECTION}.ca, and use the name the certificate is for",
    ),
    _Row(
        r"could not load client cert|unable to set private key file|alert (?:bad certificate|certificate required)"
        r"|alert number 116|TLS fatal alert|No required SSL certificate",
        AccessRefused,
        "the server wants a certificate of the client and did not take ours",
        f"Check {SECTION}.cert and {SECTION}.key",
    ),
    _Row(
        r"error adding trust anchors|error setting certificate (?:verify locations|file)",
        AccessRefused,
        "the certificates to trust cannot be loaded",
        f"{SECTION}.ca must be a readable PEM file",
    ),
    _Row(
        r"UNPROTECTED PRIVATE KEY|bad permissions",
        AccessRefused,
        "ssh does not use a private key that others can read",
        f"Give the file of {SECTION}.ssh_key mode 0600",
    ),
    _Row(
        r"host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|no \S+ host key is known",
        AccessRefused,
        "the host key of the server is not the one we know",
        f"Compare its fingerprint with what its operator publishes, then put the key into {SECTION}.known_hosts",
    ),
    _Row(
        r"Load key .*(?:invalid format|error in libcrypto|incorrect passphrase)",
        AccessRefused,
        "the private key cannot be used",
        f"{SECTION}.ssh_key must be an OpenSSH private key without a passphrase",
    ),
    _Row(
        r"Permission denied \([a-z,\-]*(?:publickey|password)|too many authentication failures",
        AccessRefused,
        "the server does not know our key",
        f"Register the public half of {SECTION}.ssh_key at the server, and check the user in {SECTION}.remote",
    ),
    _Row(
        r"GH006|GH013|protected branch|branch is protected|push code to protected",
        ProtectedBranch,
        "the branch is protected and the push was refused",
        f"Set {SECTION}.mode to pull_request, or grant this identity the right to push to the branch",
    ),
    _Row(
        r"hook declined",
        ProtectedBranch,
        "a rule of the server refused the push (the branch is protected, or a hook checks what is pushed)",
        f"Set {SECTION}.mode to pull_request, or grant this identity the right to push to the branch",
    ),
    _Row(
        r"error: 403|write access to repository not granted|permission to \S+ denied|not allowed to push|read.only"
        r"|deploy key .*(?:write|push)|service not enabled",
        AccessRefused,
        "the credentials are known and do not give the right that is needed",
        "Grant this identity the right to read and write the repository",
    ),
    _Row(
        r"error: 401|authentication failed|invalid username|could not read (?:username|password)"
        r"|HTTP Basic: Access denied",
        AccessRefused,
        "the credentials were refused, or none were given",
        f"Set EVERCREW_VALUES_TOKEN to a valid token, and {SECTION}.username where the server looks at it",
    ),
    _Row(
        r"repository '.*' not found|repository not found|error: 404|does not appear to be a git repository"
        r"|project you were looking for could not be found",
        AccessRefused,
        "there is no such repository, or these credentials may not know of it",
        f"Check the path in {SECTION}.remote, and that this identity may read it",
    ),
    _Row(
        r"not valid: is this a git repository|bad line length|protocol error|unexpected flush|expected flush"
        r"|bad pack header|not a valid pack|unexpected response|invalid server response|remote did not send",
        DependencyLied,
        "what answers does not speak git",
        f"Check {SECTION}.remote: it must be the address to clone from, not a page about it",
    ),
    _Row(
        r"could not resolve host(?:name)?|name or service not known|temporary failure in name resolution",
        DependencyUnavailable,
        "the name of the server cannot be resolved",
        f"Check the host in {SECTION}.remote and the name service",
    ),
    _Row(
        r"connection refused|failed to connect|couldn't connect|no route to host|network is unreachable",
        DependencyUnavailable,
        "nothing accepts a connection at the address",
        f"Check that the server runs, and host and port in {SECTION}.remote",
    ),
    _Row(
        r"timed out|operation too slow",
        DependencyTimeout,
        "the server did not answer in time",
        "Check the network between here and the server",
    ),
    _Row(
        r"error: 5\d\d|RPC failed|hung up unexpectedly|connection reset|early EOF|empty reply|connection closed"
        r"|endpoint is not connected",
        DependencyUnavailable,
        "the server broke off",
        f"Look at its log; where it asks for a client's certificate, name {SECTION}.cert and {SECTION}.key",
    ),
    _Row(
        r"failed to sign|gpg failed|no secret key|Couldn't load public key|signing failed",
        AccessRefused,
        "the commit cannot be signed",
        f"Check {SECTION}.signing_key: a key file without a passphrase, or the id of a secret GPG key",
    ),
)


def explained(command: str, message: str, *, place: str, seconds: float) -> DependencyError:
    """Return the error for a failed git command: what it means, its own words, and the remedy.

    Args:
        command: git's subcommand.
        message: what it wrote; it is shortened and freed of what stands before an @ in an address.
        place: the remote as it may be shown.
        seconds: the limit after which a command is killed.
    """
    if message.startswith(TIMED_OUT):
        return DependencyTimeout(
            NAME,
            f"`git {command}` took longer than {seconds:g} s and was stopped ({place})",
            "Check the network between here and the server",
        )
    words = safe(message)
    for row in _TABLE:
        if row.matches(message):
            return row.kind(NAME, f"{row.problem} ({place}; `git {command}`: {words})", row.remedy)
    return DependencyUnavailable(NAME, f"`git {command}` failed ({place}): {words}")


def safe(message: str) -> str:
    """Return the message in one line, without what stands before an @ in an address and without stock phrases."""
    line = " ".join(_NOISE.sub(" ", _CREDENTIALS.sub("", message)).split())
    return line[:SHOWN]
