"""What a browser carries for us while its person is at the OpenID provider: sealed, and for ten minutes.

Nothing is kept here meanwhile, so that whoever asks to sign in a million times fills nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import ValidationError

from adapters.accounts.oidc import Errand
from domain.access import Unauthenticated
from domain.clock import Clock

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

LASTS = timedelta(minutes=10)
_PURPOSE = b"evercrew errand to the openid provider"


class Errands:
    """Seals errands under a key that is derived from the one that signs tokens; opens those of the one before, too."""

    def __init__(self, secrets: Sequence[bytes], clock: Clock) -> None:
        self._secrets = secrets
        self._clock = clock

    def sealed(self, errand: Errand) -> str:
        """Return an errand as nobody else can read or make it."""
        now = int(self._clock.now().timestamp())
        return self._fernet().encrypt_at_time(errand.model_dump_json().encode(), now).decode()

    def opened(self, text: str) -> Errand:
        """Return the errand.

        Raises:
            Unauthenticated: it is none of ours, or older than ten minutes.
        """
        from cryptography.fernet import InvalidToken

        now, lasts = int(self._clock.now().timestamp()), int(LASTS.total_seconds())
        try:
            return Errand.model_validate_json(self._fernet().decrypt_at_time(text.encode(), lasts, now))
        except (InvalidToken, ValidationError, ValueError) as problem:
            raise Unauthenticated("this browser was not sent to the provider, or too long ago") from problem

    def _fernet(self) -> MultiFernet:
        from cryptography.fernet import Fernet, MultiFernet
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        def derived(secret: bytes) -> Fernet:
            key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret)
            return Fernet(base64.urlsafe_b64encode(key))

        return MultiFernet([derived(secret) for secret in self._secrets])


def same_origin_path(wanted: str) -> str:
    """Return where to go after signing in: a path of this origin, `/` for everything else.

    Browsers take `//host`, `/\\host` and either with a tab or a newline in between for another origin.
    """
    plain = wanted.isprintable() and " " not in wanted and "\\" not in wanted
    inside = wanted.startswith("/") and not wanted.startswith("//")
    away = wanted.partition("?")[0].rstrip("/") in ("/login", "/logout") or wanted.startswith("/login/")
    return wanted if plain and inside and not away and len(wanted) <= 2000 else "/"
