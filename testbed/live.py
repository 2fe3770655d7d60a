"""What serves now, as one immutable value.

NotReadyError   the service has no live model yet
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testbed.errors import TestbedError
from testbed.reconciler import Applied
from testbed.search import LexicalIndex, Searcher
from testbed.shards import ShardStore
from testbed.values import Mode, RuntimeOverrides, Tier, Values, Variant, assign_variant


class NotReadyError(TestbedError):
    """The service has no live model yet."""


@dataclass(frozen=True, slots=True)
class Live:
    """Values, overrides, index, stored fields and one searcher for every digest the values name.

    `missing` is how many documents the stored index leaves out.
    """

    applied: Applied
    values: Values
    overrides: RuntimeOverrides
    index: LexicalIndex
    shards: ShardStore
    searchers: Mapping[str, Searcher]
    missing: int = 0

    @property
    def indexed(self) -> int:
        """How many documents a search can find."""
        return len(self.index) - self.missing

    @property
    def mode(self) -> Mode:
        """The search mode in force."""
        return self.overrides.mode or self.values.search.mode

    @property
    def tier(self) -> Tier:
        """The capacity tier in force."""
        return self.overrides.tier or self.values.search.tier

    def variant(self, user_id: str) -> Variant:
        """The variant that serves a user."""
        return assign_variant(user_id, self.values.experiment.salt, self.values.variants)

    def describe(self) -> dict[str, Any]:
        """What is live and where it comes from, for /version."""
        champion = self.searchers[self.values.model.digest].bundle
        return {
            "digest": self.values.model.digest,
            "model_version": self.values.model.version,
            "values_revision": self.applied.commit,
            "values_applied_at": self.applied.at,
            "variants_since": self.applied.variants_since,
            "mode": self.mode,
            "mode_source": "runtime" if self.overrides.mode else "values",
            "tier": self.tier,
            "tier_source": "runtime" if self.overrides.tier else "values",
            "variants": [variant.model_dump() for variant in self.values.variants],
            "index": {"documents": self.indexed, "generation": self.values.index.generation},
            "etl": self.values.etl.model_dump(),
            "known_documents": champion.reference["documents"] if champion is not None else 0,
        }
