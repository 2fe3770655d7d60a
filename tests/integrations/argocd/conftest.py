"""What the tests of Argo CD share; none of their exchanges may break the specification."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.argocd import ArgoCd
from tests.integrations.argocd.bench import Bench, Commits, bench, make_commits
from tests.integrations.argocd.openapi import SWAGGER, Recorder, Specification


@pytest.fixture(scope="session")
def commits(tmp_path_factory: pytest.TempPathFactory) -> Commits:
    return make_commits(tmp_path_factory.mktemp("commits"))


@pytest.fixture(scope="session")
def specification_or_none() -> Specification | None:
    return Specification.load() if SWAGGER.exists() else None


@pytest.fixture
def specification(specification_or_none: Specification | None) -> Specification:
    if specification_or_none is None:
        pytest.skip("Argo CD's specification is not there: ../shared/contracts/argo-cd/swagger.json")
    return specification_or_none


@pytest.fixture
def recorder(specification_or_none: Specification | None) -> Iterator[Recorder]:
    made = Recorder(specification_or_none)
    yield made
    assert made.violations == []


@pytest.fixture
def it(commits: Commits, tmp_path: Path, recorder: Recorder) -> Iterator[Bench]:
    with bench(commits, tmp_path, recorder) as built:
        yield built


@pytest.fixture
def argo(it: Bench) -> ArgoCd:
    return it.argo()
