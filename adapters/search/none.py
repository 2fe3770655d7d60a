"""No search engine: asking it says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from adapters.search.base import IndexStats, JudgedQuery, QueryAnalytics, RankEvaluation, not_configured


class NoSearch:
    """`SearchPort` where none is configured: every read raises ConfigurationError."""

    def analytics(self, since: datetime, until: datetime, top: int = 20) -> QueryAnalytics:
        raise not_configured()

    def rank_eval(self, judged: Sequence[JudgedQuery], k: int = 10) -> RankEvaluation:
        raise not_configured()

    def index(self) -> IndexStats:
        raise not_configured()

    def check(self) -> str:
        """See `SearchPort.check`; a platform may search without an engine of its own."""
        return "search: none configured"
