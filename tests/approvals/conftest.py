"""A promotion that is not automatic, at the moment when it is asked for; and processes that can be killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.approvals.asked import Asking
from tests.durability.conftest import folder, forks, template

__all__ = ["folder", "forks", "template"]


@pytest.fixture
def asking(tmp_path: Path) -> Asking:
    """A call for a promotion that a person has to decide, with everything else in order."""
    return Asking(tmp_path)
