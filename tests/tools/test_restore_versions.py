"""A version of the model as a way back: the last values that named it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from domain.diagnosis import Action
from domain.errors import InvalidInput
from tests.support.office import Rig, office_in_memory
from tests.support.setting import MODEL
from tools.deliver.restore import Restorer


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """An office whose values have named version 1 and then, with a new model, version 2."""
    return office_in_memory(tmp_path, Action.ROLLBACK)


def restorer(rig: Rig) -> Restorer:
    ports = rig.ports
    return Restorer(
        ports.vcs, ports.tracking, ports.datasets, ports.store, model=MODEL, target="search", environment="dev"
    )


@pytest.mark.parametrize("asked", ["1", "v1", "v1.0", "1.0.0"])
def test_a_version_leads_to_the_last_values_that_named_it(rig: Rig, asked: str) -> None:
    vcs: Any = rig.ports.vcs
    before = vcs.head()
    vcs.push_from_outside("model: {}\n", "damaged")
    found = restorer(rig).resolve(asked)
    assert found.revision == list(vcs.history(9))[-1].revision
    assert restorer(rig).resolve("v2").revision == before
    assert found.asked == asked


@pytest.mark.parametrize("asked", ["v3", "3.0", "v1.1", "version 1", "v"])
def test_a_version_that_no_values_have_named_leads_nowhere(rig: Rig, asked: str) -> None:
    with pytest.raises(InvalidInput) as problem:
        restorer(rig).resolve(asked)
    assert problem.value.field == "to"
    assert "v2" in problem.value.remedy
