"""Which key may sign which checkpoint of a chain.

A chain begins with a key of the keyring's roots. A checkpoint with `next` hands over to another key; after it the old
one signs nothing but what was there before. A root that takes over without that is one an operator chose to trust,
because the key before it was lost. Checkpoints before the first trusted key are vouched for by those after it: a
signature over the head covers every record before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from adapters.audit.signing import Checkpoint, key_id
from adapters.audit.walk import Walk
from domain.errors import ChainBroken

BAD, UNKNOWN = "bad signature", "unknown key"


class Succession:
    """Follows the checkpoints of a chain as it is walked; call it for each.

    `covered` is the last record vouched for, `newest` the place of the newest checkpoint, `active` the key that signs
    now, `retired` the place where each earlier key handed over.
    """

    def __init__(self, trusted: Mapping[str, str]) -> None:
        self._trusted = trusted
        self._public = dict(trusted)
        self._unvouched: tuple[int, str] | None = None
        self.checkpoints = 0
        self.covered = 0
        self.newest = 0
        self.active = ""
        self.retired: dict[str, int] = {}

    def __call__(self, walk: Walk, place: int, body: Mapping[str, Any]) -> None:
        """Take the checkpoint at `place`.

        Raises:
            ChainBroken: it does not hold.
        """
        try:
            made = Checkpoint.model_validate(body)
        except ValidationError as error:
            raise ChainBroken(f"record {place}: it is no checkpoint", record=place, why=BAD) from error
        if not self.active and made.key not in self._trusted:
            self._unvouched = self._unvouched or (place, made.key)
            return
        self._check_key(made, place)
        _check_signature(made, self._public[made.key], place)
        _check_head(made, walk, place)
        self.checkpoints += 1
        self.covered, self.newest = max(self.covered, made.sequence), place
        if made.next:
            self.retired[made.key] = place
            self.active = key_id(made.next)
            self._public[self.active] = made.next

    def ended(self) -> None:
        """Say so when nobody who is trusted ever signed.

        Raises:
            ChainBroken: there are checkpoints, and all are by unknown keys.
        """
        if not self.active and self._unvouched is not None:
            place, key = self._unvouched
            told = f"record {place}: it is signed by key {key}, which is in no keyring here"
            raise ChainBroken(told, record=place, why=UNKNOWN)

    def _check_key(self, made: Checkpoint, place: int) -> None:
        if made.key == self.active:
            return
        handed = self.retired.get(made.key)
        if handed is not None:
            # A writer that read the head before the hand-over may come after it.
            if made.sequence < handed and not made.next:
                return
            told = f"record {place}: it is signed by key {made.key}, which handed over at record {handed}"
            raise ChainBroken(told, record=place, why=BAD)
        if made.key not in self._trusted:
            told = f"record {place}: it is signed by key {made.key}, which nobody handed over to"
            raise ChainBroken(told, record=place, why=UNKNOWN)
        if self.active:
            self.retired[self.active] = place
        self.active = made.key


def _check_signature(made: Checkpoint, public: str, place: int) -> None:
    if not made.signed_by(public):
        told = f"record {place}: its signature is not that of key {made.key}"
        raise ChainBroken(told, record=place, why=BAD)


def _check_head(made: Checkpoint, walk: Walk, place: int) -> None:
    if made.count != made.sequence or not made.sequence < place:
        raise ChainBroken(f"record {place}: it vouches for what is not before it", record=place, why=BAD)
    found = walk.hash_at(made.sequence)
    if found != made.hash:
        told = f"record {place}: it vouches for another record {made.sequence} than the chain has"
        raise ChainBroken(told, record=made.sequence)
