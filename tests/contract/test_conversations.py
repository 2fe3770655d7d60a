"""Conversations in memory, held to their contract."""

from __future__ import annotations

import pytest

from adapters.conversations.base import ConversationsPort
from adapters.conversations.memory import MemoryConversations
from tests.contract.conversations_contract import ConversationsContract


class TestMemoryConversations(ConversationsContract):
    @pytest.fixture
    def kept(self) -> ConversationsPort:
        return MemoryConversations()
