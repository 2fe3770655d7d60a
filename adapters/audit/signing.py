"""Ed25519 keys (RFC 8032), and what a checkpoint is: a signature over the head of the chain.

A key is known by the first 16 hexadecimal digits of the SHA-256 of its 32 public bytes.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict

from adapters.audit.base import Head
from domain.canonical import canonical_json
from domain.errors import ConfigurationError

FORMAT: Literal["evercrew-audit-checkpoint-1"] = "evercrew-audit-checkpoint-1"
_RAW = serialization.Encoding.Raw, serialization.PublicFormat.Raw
_REMEDY = "Make one with: openssl genpkey -algorithm ed25519 -out audit.pem"


class SigningKey:
    """A private key; only its public half is ever shown."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes(*_RAW).hex()
        self.id = key_id(self.public)

    @staticmethod
    def made() -> SigningKey:
        """Return a new key."""
        return SigningKey(Ed25519PrivateKey.generate())

    @staticmethod
    def read(pem: str, *, field: str) -> SigningKey:
        """Return the key of a PEM (PKCS #8, without a password).

        Raises:
            ConfigurationError: it is none.
        """
        try:
            private = serialization.load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigurationError(field, "it is no private key in PEM without a password", _REMEDY) from error
        if not isinstance(private, Ed25519PrivateKey):
            raise ConfigurationError(field, "it is a key of another kind than Ed25519", _REMEDY)
        return SigningKey(private)

    def pem(self) -> str:
        """Return the private key, to be kept."""
        form = serialization.PrivateFormat.PKCS8
        return self._private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()

    def sign(self, message: str) -> str:
        """Return the signature in hexadecimal digits."""
        return self._private.sign(message.encode()).hex()

    def __repr__(self) -> str:
        return f"SigningKey({self.id})"


class Checkpoint(BaseModel):
    """What is signed: that the chain has `count` records, and the record `sequence`, its last, has the hash `hash`.

    `next` hands the chain over to another key: its public bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = FORMAT
    sequence: int
    count: int
    hash: str
    at: str
    key: str
    next: str = ""
    signature: str = ""

    @staticmethod
    def signed(key: SigningKey, head: Head, at: datetime, following: str = "") -> Checkpoint:
        """Return a checkpoint over the head, signed."""
        made = Checkpoint(
            sequence=head.records,
            count=head.records,
            hash=head.hash,
            at=at.isoformat(),
            key=key.id,
            next=following,
        )
        return made.model_copy(update={"signature": key.sign(made.message())})

    def message(self) -> str:
        """Return what the signature is over: the canonical JSON of everything else."""
        return canonical_json(self.model_dump(exclude={"signature"}))

    def signed_by(self, public: str) -> bool:
        """Whether the signature is that of this public key."""
        return self.format == FORMAT and holds(public, self.signature, self.message())


def key_id(public: str) -> str:
    """Return the name of a public key."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16]


def holds(public: str, signature: str, message: str) -> bool:
    """Whether `signature` is the key's over `message`."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), message.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def public_pem(public: str) -> str:
    """Return a public key as PEM, the form other tools take."""
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def public_of(text: str, *, field: str) -> str:
    """Return the public bytes of a key given as 64 hexadecimal digits or as PEM, public or private.

    Raises:
        ConfigurationError: it is none of these.
    """
    given = text.strip()
    if "PRIVATE KEY" in given:
        return SigningKey.read(given, field=field).public
    try:
        if not given.startswith("-----BEGIN"):
            return Ed25519PublicKey.from_public_bytes(bytes.fromhex(given)).public_bytes(*_RAW).hex()
        public = serialization.load_pem_public_key(given.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        told = "it is no public key: neither 64 hexadecimal digits nor PEM"
        raise ConfigurationError(field, told, "Give what `evercrew audit keys` prints") from error
    if not isinstance(public, Ed25519PublicKey):
        raise ConfigurationError(field, "it is a key of another kind than Ed25519", _REMEDY)
    return public.public_bytes(*_RAW).hex()
