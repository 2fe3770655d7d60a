"""A chain with signed checkpoints: records that say, with an Ed25519 signature, how the chain stood.

A checkpoint is written after so many records, after so long, at the end of a cycle, and when the chain is closed. It is
no condition of an effect: each record is chained by its hash and flushed before the effect as ever, and the next
checkpoint vouches for everything before it. So a checkpoint that cannot be made is told loudly (`tell`, and a metric),
and tried again, and the effect goes on; what is lost meanwhile is only the time within which a tail that was cut off,
by somebody who can write the database, would be noticed.

Each checkpoint is kept outside of the chain's database too: `audit.head`, a small file beside the artifacts.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from prometheus_client import Counter
from pydantic import ValidationError

from adapters.audit.base import Anchor, ChainPort, Head, Link
from adapters.audit.keys import Keys
from adapters.audit.signing import Checkpoint, SigningKey, key_id
from adapters.audit.succession import Succession
from adapters.meter import REGISTRY
from domain.clock import Clock
from domain.errors import ChainBroken, ConfigurationError, EvercrewError
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from domain.stage import Stage

HEAD = "audit.head"
SCOPE = "audit"
"""What stands in place of a cycle in records about the chain itself."""
# The key of a checkpoint's record says what it is, so that those that change the signer are found without a search.
PLAIN, ROOT, ROTATION = "checkpoint", "checkpoint/root", "checkpoint/rotation"
EVERY, WITHIN = 256, timedelta(minutes=1)
_ENDS = frozenset(stage.value for stage in Stage if stage.terminal)
_MISSED = Counter("evercrew_audit_checkpoints_missed", "Signed checkpoints that could not be made.", registry=REGISTRY)


class SignedAudit:
    """A `SignedPort` over a chain. Safe for threads.

    Args:
        keys: where the private key and the keyring are.
        anchor: the file outside of the chain that keeps the newest checkpoint.
        every: so many records after a checkpoint comes the next.
        within: so long after a checkpoint, at the next record, comes the next.
        tell: is told of a checkpoint that could not be made.
    """

    def __init__(
        self,
        chain: ChainPort,
        keys: Keys,
        clock: Clock,
        *,
        anchor: Path,
        every: int = EVERY,
        within: timedelta = WITHIN,
        tell: Callable[[str], None] = lambda told: None,
    ) -> None:
        self.chain = chain
        self.keys = keys
        self._clock = clock
        self._anchor = anchor
        self._every = every
        self._within = within
        self._tell = tell
        self._making = threading.Lock()
        self._last = chain.head().records
        self._since = clock.now()
        self._newest = 0

    def append(self, entry: AuditEntry) -> AuditRecord:
        """See `AuditPort.append`. A checkpoint that is due follows the record, once it is on disk."""
        record = self.chain.append(entry)
        self._newest = max(self._newest, record.sequence)
        ends = entry.kind is RecordKind.TRANSITION and entry.status in _ENDS
        if ends or record.sequence - self._last >= self._every or record.at - self._since >= self._within:
            self._due(wait=ends)
        return record

    def records(self, cycle_id: str | None = None) -> Sequence[AuditRecord]:
        """See `AuditPort.records`."""
        return self.chain.records(cycle_id)

    def of_key(self, key: str) -> Sequence[AuditRecord]:
        """See `AuditPort.of_key`."""
        return self.chain.of_key(key)

    def open_intents(self, cycle_id: str | None = None) -> Sequence[AuditRecord]:
        """See `AuditPort.open_intents`."""
        return self.chain.open_intents(cycle_id)

    def head(self) -> Head:
        """See `ChainPort.head`."""
        return self.chain.head()

    def after(self, sequence: int, *, cycle_id: str | None = None, limit: int = 500) -> Sequence[AuditRecord]:
        """See `FollowedPort.after`."""
        return self.chain.after(sequence, cycle_id=cycle_id, limit=limit)

    def links(self, after: int = 0) -> Iterator[Link]:
        """See `ChainPort.links`."""
        return self.chain.links(after)

    def verify(
        self, watch: Callable[[Any, int, Mapping[str, Any]], None] | None = None, anchors: Sequence[Anchor] = ()
    ) -> int:
        """See `ChainPort.verify`; signatures and the anchor are checked as well, `watch` is told before."""
        return self.proven(anchors, watch)[0]

    def vouched(self) -> tuple[int, int]:
        """See `SignedPort.vouched`."""
        count, found = self.proven()
        return count, found.covered

    def covered(self) -> int:
        """Return the last record that a signed checkpoint vouches for."""
        return self.vouched()[1]

    def proven(
        self,
        anchors: Sequence[Anchor] = (),
        watch: Callable[[Any, int, Mapping[str, Any]], None] | None = None,
        trusted: Mapping[str, str] | None = None,
    ) -> tuple[int, Succession]:
        """Return the number of records and what the checkpoints say, when all of it holds.

        `trusted` are public keys by name, in place of the keyring's roots.

        Raises:
            ChainBroken: see `AuditPort.verify`.
        """
        following = Succession(self.keys.ring().trusted if trusted is None else trusted)

        def told(walk: Any, place: int, body: Mapping[str, Any]) -> None:
            if watch is not None:
                watch(walk, place, body)
            following(walk, place, body)

        count = self.chain.verify(told, [*anchors, *(self.anchors() or ())])
        following.ended()
        return count, following

    def anchors(self) -> list[Anchor] | None:
        """Return what the file outside of the chain has seen of it; None where there is no such file.

        Raises:
            ChainBroken: the file is no anchor, or not signed by a key that is known.
        """
        if not self._anchor.exists():
            return None
        try:
            kept = json.loads(self._anchor.read_text(encoding="utf-8"))
            made = Checkpoint.model_validate(kept["checkpoint"])
            seen = [Anchor(HEAD, made.sequence, made.hash), Anchor(HEAD, int(kept["record"]), str(kept["hash"]))]
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
            raise ChainBroken(f"{HEAD} is no anchor any more: somebody changed it", why="changed") from error
        public = self.keys.ring().public.get(made.key)
        if public is not None and not made.signed_by(public):
            raise ChainBroken(f"{HEAD} does not carry the signature of key {made.key}", why="bad signature")
        return seen

    def checkpoint(self) -> AuditRecord:
        """Write a signed checkpoint over the chain as it stands.

        Raises:
            EvercrewError: it cannot be made; names what is wrong.
        """
        with self._making:
            head = self.chain.head()
            key, place = self._signer()
            return self._written(Checkpoint.signed(key, head, self._clock.now()), place)

    def rotate(self, following: str) -> AuditRecord:
        """Hand over to another key, by its public bytes in hexadecimal digits.

        Raises:
            ConfigurationError: it is the present key, or the present one is not at hand.
            AuditUnavailable: it could not be written; the present key stays.
        """
        with self._making:
            head = self.chain.head()
            key, place = self._signer()
            if key_id(following) == key.id:
                raise ConfigurationError("to", f"{key.id} is the key that signs already", "Name another key")
            if place == ROOT:
                self._written(Checkpoint.signed(key, head, self._clock.now()), ROOT)
                head = self.chain.head()
            self.keys.keep(self.keys.ring().knowing(following))
            record = self._written(Checkpoint.signed(key, head, self._clock.now(), following), ROTATION)
            self.keys.promote(key_id(following))
            return record

    def signer(self) -> str:
        """Return one line about the key that signs.

        Raises:
            ConfigurationError: it is not the key the chain goes on with.
        """
        key, _ = self._signer()
        return f"signed by key {key.id}, {self.keys.source}"

    def close(self) -> None:
        """Vouch for what this process wrote last."""
        if self._newest > self._last:
            self._due(wait=True)

    def _due(self, *, wait: bool) -> None:
        """Make a checkpoint; unless it has to cover what was written last, another thread that is at it will do."""
        if self._making.locked() and not wait:
            return
        try:
            self.checkpoint()
        except (EvercrewError, OSError) as problem:
            self._last, self._since = self._newest, self._clock.now()
            _MISSED.inc()
            self._tell(f"no signed checkpoint could be made after record {self._newest}: {problem}")

    def _signer(self) -> tuple[SigningKey, str]:
        """Return the key that may sign after the last change of keys, and what its record is known by.

        Called after the head was read: a change of keys after that cannot touch what is signed.
        """
        key = self.keys.current()
        active = self._active()
        if key.id == active:
            return key, PLAIN
        promoted = self.keys.promote(active) if active else None
        if promoted is not None:
            return promoted, PLAIN
        ring = self.keys.ring()
        known = not active or active in ring.public
        if known and key.public in ring.roots and key.id not in self._retired():
            return key, ROOT
        raise ConfigurationError(
            "EVERCREW_AUDIT_KEY",
            f"the chain is signed by key {active}, and the key at hand is {key.id} ({self.keys.source})",
            f"Give the key {active}; if it is lost, let `evercrew audit keys --trust` begin anew with this one",
        )

    def _changes(self) -> list[Mapping[str, Any]]:
        """Return the checkpoints that made another key the one that signs."""
        found = (*self.of_key(ROOT), *self.of_key(ROTATION))
        return [record.entry.body for record in sorted(found, key=lambda record: record.sequence)]

    def _active(self) -> str:
        changes = self._changes()
        if not changes:
            return ""
        return key_id(str(changes[-1]["next"])) if changes[-1].get("next") else str(changes[-1]["key"])

    def _retired(self) -> set[str]:
        return {str(body["key"]) for body in self._changes()}

    def _written(self, made: Checkpoint, place: str) -> AuditRecord:
        entry = AuditEntry(
            kind=RecordKind.CHECKPOINT, cycle_id=SCOPE, actor=SCOPE, key=place, status="signed", body=made.model_dump()
        )
        record = self.chain.append(entry)
        self._last, self._since = made.sequence, record.at
        kept = {"checkpoint": made.model_dump(), "record": record.sequence, "hash": record.hash}
        self._anchor.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._anchor.with_name(f".{self._anchor.name}.{threading.get_ident()}.part")
        scratch.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        scratch.replace(self._anchor)
        return record
