"""Verification: does the record of a cycle still prove what it claims?

The chain is whole and signed, and: live digest = git values = registered model = evaluated artifact = trained on that
DVC revision = caused by that alert. A success has the watch and the effect that it rests on. Each link is compared by
content; what differs is named with both sides. A cycle may be weeks old: later ones and retention are told from damage
by what the chain says of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cycles.proof import Check, Evidence, guarded
from cycles.tape_check import check_tape
from cycles.verify_chain import ChainChecks
from cycles.verify_links import LinkChecks, named_champion
from cycles.verify_outcome import check_outcome
from domain.cycle import Cycle
from domain.errors import InvalidInput

__all__ = ["Check", "Evidence", "verify"]


def verify(cycle_id: str, evidence: Evidence) -> list[Check]:
    """Return every check that applies to the cycle; a check that cannot be made is not ok.

    Raises:
        InvalidInput: there is no such cycle.
    """
    cycle = evidence.store.cycle(cycle_id)
    if cycle is None:
        raise InvalidInput("cycle_id", f"{cycle_id} is not a cycle", "See `evercrew cycles list`")
    return [guarded(name, test) for name, test in _checks(cycle, evidence)]


def _checks(cycle: Cycle, evidence: Evidence) -> Iterator[tuple[str, Callable[[], str]]]:
    facts, chain, links = cycle.facts, ChainChecks(cycle, evidence), LinkChecks(cycle, evidence)
    yield "audit chain", chain.chain
    if evidence.signed is not None:
        yield "checkpoint", chain.checkpoint
    yield "effects", chain.effects
    yield "approvals", chain.approvals
    yield "policies", chain.policies
    yield "facts", chain.facts
    yield "recordings", chain.recordings
    yield "tape", lambda: check_tape(cycle, evidence.store, evidence.audit)
    yield "artifacts", links.artifacts
    yield "alert", links.alert
    if cycle.stage.terminal:
        yield "outcome", lambda: check_outcome(cycle, evidence)
    if "dataset" in facts:
        yield "dataset", links.dataset
    if "candidate" in facts:
        yield "registered model", links.registered
        yield "dataset of the model", links.trained_on
        yield "alert of the model", links.caused_by
    if "verdict_evaluate" in facts:
        yield "evaluated model", links.evaluated
    if "release" in facts or "reverted" in facts:
        yield "values in git", links.values
        yield "live", links.live
    if named_champion(evidence.audit, cycle.id) is not None:
        yield "alias", links.alias
    if links.gold:
        yield "gold", links.baselines
