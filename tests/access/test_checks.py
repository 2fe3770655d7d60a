"""What `doctor` says of who may use the service."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.accounts.keys import KEY
from adapters.accounts.models import AccountRow
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, DependencyUnavailable
from service.access.checks import access_check
from service.access_sections import AccessConfig
from service.wiring import App
from tests.stubs.small_server import NOBODY
from tests.support.serving import serving_of


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    serving = serving_of(tmp_path, clock=FrozenClock(), told=False)
    yield serving.app
    serving.access.close()
    serving.app.close()


def with_section(app: App, **section: object) -> App:
    access = AccessConfig.model_validate(section)
    return replace(app, config=app.config.model_copy(update={"access": access}))


def test_it_counts_the_accounts_and_finds_the_key(app: App) -> None:
    assert access_check(app) == "accounts: 4 accounts; the key of tokens is there"
    (app.config.state / KEY).unlink()
    assert "makes the key" in access_check(app)
    assert not (app.config.state / KEY).exists()


def test_a_key_that_others_may_read_is_told(app: App) -> None:
    (app.config.state / KEY).chmod(0o644)
    with pytest.raises(ConfigurationError, match="others may read"):
        access_check(app)


def test_a_place_without_an_admin_is_told(app: App) -> None:
    with app.database.session(write=True) as session:
        session.get_one(AccountRow, "ann").disabled = True
    with pytest.raises(ConfigurationError, match="nobody is an admin"):
        access_check(app)


def test_a_provider_that_does_not_answer_is_told(app: App) -> None:
    oidc = {"issuer": NOBODY, "client_id": "evercrew", "groups": {"ops": "operator"}}
    with pytest.raises(DependencyUnavailable, match="oidc"):
        access_check(with_section(app, oidc=oidc))
