"""What a walk of the whole audit chain has proved; at a terminal and over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from domain.errors import ChainBroken

if TYPE_CHECKING:
    from adapters.audit.base import Anchor
    from adapters.audit.signed import SignedAudit


class ChainProof(BaseModel):
    """Whether the chain holds. Of one that does not: the first `record` that does not fit where it is one, and `why`.

    Of one that does: how many records there are, how many of them signed checkpoints cover, and who signs.
    """

    model_config = ConfigDict(frozen=True)

    verified: bool
    records: int | None = None
    head: str | None = None
    checkpoints: int | None = None
    covered: int | None = None
    not_covered: int | None = None
    key: str | None = None
    retired: dict[str, int] | None = None
    anchor: str | None = None
    record: int | None = None
    why: str | None = None
    problem: str | None = None


def proved(chain: SignedAudit, seen: Sequence[Anchor] = (), *, trusted: Mapping[str, str] | None = None) -> ChainProof:
    """Walk the whole chain: hashes, order, signatures, and what others have seen of it.

    An anchor that is gone, although there are checkpoints, takes the proof away.

    Raises:
        AuditUnavailable: the chain cannot be read.
    """
    try:
        count, found = chain.proven(seen, trusted=trusted)
    except ChainBroken as problem:
        return ChainProof(verified=False, record=problem.record, why=problem.why, problem=str(problem))
    here = chain.anchors()
    proof = ChainProof(
        verified=True,
        records=count,
        head=chain.head().hash,
        checkpoints=found.checkpoints,
        covered=found.covered,
        not_covered=count - found.covered - int(found.newest == found.covered + 1),
        key=found.active,
        retired=found.retired,
        anchor=f"audit.head has seen record {here[-1].record}" if here else "there is no audit.head",
    )
    if not found.checkpoints or here:
        return proof
    remedy = "compare the head with a commit or a backup, then make it anew with `evercrew audit checkpoint`"
    lost = {"verified": False, "why": "anchor missing", "problem": f"audit.head is missing: {remedy}"}
    return proof.model_copy(update=lost)
