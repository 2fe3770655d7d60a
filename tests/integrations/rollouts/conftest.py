"""What the tests of Argo Rollouts share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("kmock", reason="pip install kmock")

from tests.integrations.rollouts.cluster import Cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running
