"""Approvals in memory, held to their contract."""

from __future__ import annotations

import pytest

from adapters.approvals.base import ApprovalsPort
from adapters.approvals.memory import MemoryApprovals
from tests.contract.approvals_contract import ApprovalsContract


class TestMemoryApprovals(ApprovalsContract):
    @pytest.fixture
    def approvals(self) -> ApprovalsPort:
        return MemoryApprovals()
