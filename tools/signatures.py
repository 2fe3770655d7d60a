"""Ed25519 signatures of votes, by the keys people have already: OpenSSH's, or PEM.

Bernstein, Duif, Lange, Schwabe and Yang, "High-speed high-security signatures", 2012; RFC 8032.
"""

from __future__ import annotations

import base64

from domain.errors import InvalidInput

_KEYS = "Give an Ed25519 key, as `ssh-keygen -t ed25519` makes it"


def signed(private_key: bytes, statement: bytes) -> str:
    """Return the signature of a statement, in base64.

    Raises:
        InvalidInput: the key is none, is of another kind, or is encrypted.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    openssh = b"OPENSSH PRIVATE KEY" in private_key
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    try:
        key = load(private_key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise InvalidInput("key", f"cannot be used: {problem}", _KEYS) from problem
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput("key", "is of another kind", _KEYS)
    return base64.b64encode(key.sign(statement)).decode()


def verified(public_key: str, statement: bytes, signature: str) -> bool:
    """Return whether the signature of a statement is of the private half of this key; what cannot be read is not."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    text = public_key.strip().encode()
    load = serialization.load_ssh_public_key if text.startswith(b"ssh-") else serialization.load_pem_public_key
    try:
        key = load(text)
        if not isinstance(key, Ed25519PublicKey):
            return False
        key.verify(base64.b64decode(signature, validate=True), statement)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        return False
    return True
