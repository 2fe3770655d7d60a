"""An export of the chain that a third party can verify with `verify_export` and a public key.

The first line is a signed header: what part of the chain follows, its first and last record, and the public keys. Each
other line is a record: its hash, and the very bytes the hash is of. A part of the chain is a run without gaps from a
cycle's first record to the first checkpoint that vouches for its last: what is in it cannot have been changed, removed
or reordered since that checkpoint; whether the cycle has records before the part, only the whole chain can show.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from adapters.audit import verify_export
from adapters.audit.base import EMPTY, Head, Link
from adapters.audit.signed import SignedAudit
from adapters.audit.signing import SigningKey
from domain.canonical import canonical_json
from domain.clock import Clock
from domain.errors import AuditUnavailable, ChainBroken, InvalidInput
from domain.receipt import RecordKind

FORMAT = "evercrew-audit-export-1"
WHOLE = "whole"
VERIFIER = Path(verify_export.__file__)


class Exported(BaseModel):
    """What was written: records `first` to `last`, whose hash is `hash`, signed by `key`."""

    model_config = ConfigDict(frozen=True)

    scope: str
    first: int
    last: int
    hash: str
    key: str


def export(audit: SignedAudit, clock: Clock, path: Path, cycle_id: str | None = None) -> Exported:
    """Write the chain, or the part with a cycle, to `path`.

    A checkpoint is written first, so that everything exported is vouched for.

    Raises:
        InvalidInput: the cycle has no record.
        ConfigurationError: the key is not at hand.
        AuditUnavailable: the chain cannot be read or written, or the file not written.
    """
    audit.checkpoint()
    key = audit.keys.current()
    before, end = _whole(audit) if cycle_id is None else _part(audit, cycle_id)
    header = {
        "format": FORMAT,
        "scope": cycle_id or WHOLE,
        "first": before.records + 1,
        "last": end.records,
        "previous": before.hash,
        "hash": end.hash,
        "at": clock.now().isoformat(),
        "keys": audit.keys.ring().public,
        "key": key.id,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, _signed(header, key), audit.links(before.records), end)
    except OSError as error:
        raise AuditUnavailable(f"the export cannot be written: {error}") from error
    return Exported(scope=cycle_id or WHOLE, first=before.records + 1, last=end.records, hash=end.hash, key=key.id)


def with_verifier(folder: Path) -> Path:
    """Put the stand-alone verifier into a folder and return its path."""
    return Path(shutil.copy(VERIFIER, folder / VERIFIER.name))


def _whole(audit: SignedAudit) -> tuple[Head, Head]:
    return EMPTY, audit.head()


def _part(audit: SignedAudit, cycle_id: str) -> tuple[Head, Head]:
    """Return the record before the cycle's first, and the checkpoint that vouches for its last."""
    mine = audit.records(cycle_id)
    if not mine:
        raise InvalidInput("cycle", f"{cycle_id} has no record in the chain", "See `evercrew cycles list`")
    first, last = mine[0], mine[-1]
    for link in audit.links(last.sequence):
        if link.kind == RecordKind.CHECKPOINT.value and _covers(link) >= last.sequence:
            return Head(first.sequence - 1, first.previous), Head(link.sequence, link.hash)
    raise ChainBroken(f"no checkpoint vouches for record {last.sequence}", record=last.sequence, why="truncated")


def _covers(link: Link) -> int:
    return int(json.loads(link.text)["entry"]["body"]["sequence"])


def _signed(header: dict[str, object], key: SigningKey) -> str:
    return canonical_json({**header, "signature": key.sign(canonical_json(header))})


def _write(path: Path, header: str, links: Iterator[Link], end: Head) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.write(header + "\n")
        for link in links:
            out.write(f'{{"hash":"{link.hash}","record":{link.text}}}\n')
            if link.sequence == end.records:
                return
