"""Which target is meant, and what is known of a request whose target cannot be opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from service.api.serving import Serving
from service.choice import dossier_of
from service.further import Further
from service.wiring import App
from tests.support.serving import serving_of
from tests.support.several import with_others


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    made = serving_of(tmp_path_factory.mktemp("choice") / "served")
    yield made
    made.app.close()


def test_a_request_of_a_target_that_cannot_be_opened_can_be_looked_at_without_its_change(served: Serving) -> None:
    several = with_others(served)
    (request,) = served.app.office.consent.store.requests(waiting_at=served.clock.now())
    shut = request.model_copy(update={"binding": request.binding.model_copy(update={"target": "mail"})})
    found = dossier_of(several.app, shut)
    assert any("the diff" in missing for missing in found.missing)
    assert found.diff == ""
    assert dossier_of(several.app, request).missing == ()


def test_an_only_target_answers_for_cycles_of_a_name_it_had_before(served: Serving) -> None:
    further = Further[App](
        "search", [], lambda _target, _closing: pytest.fail("there is none"), served.clock, ExitStack()
    )
    app = replace(served.app, further=further)
    further.begin(app)
    assert app.at("its-old-name") is app
