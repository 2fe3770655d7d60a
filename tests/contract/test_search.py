"""The search engines hold to their contract; OpenSearch's is in tests/integrations/opensearch."""

from __future__ import annotations

import pytest

from adapters.search.base import JudgedQuery, SearchPort
from adapters.search.memory import MemorySearch
from adapters.search.none import NoSearch
from domain.errors import ConfigurationError
from tests.contract.search_contract import ASKED, DOCUMENTS, NOW, START, SearchContract


class TestMemorySearch(SearchContract):
    @pytest.fixture
    def search(self) -> SearchPort:
        return MemorySearch(documents=DOCUMENTS, asked=ASKED)


def test_where_no_engine_is_configured_asking_names_the_section() -> None:
    search = NoSearch()
    judged = [JudgedQuery(query="q", grades={"d": 1})]
    for ask in (lambda: search.analytics(START, NOW), lambda: search.rank_eval(judged), search.index):
        with pytest.raises(ConfigurationError, match="Add the section search"):
            ask()
    assert "none configured" in search.check()
