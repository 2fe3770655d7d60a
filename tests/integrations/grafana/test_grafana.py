"""Grafana: its contract on a stub of the documented API, and its ways to be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.annotations.base import EFFECT_ANNOTATE, AnnotationsPort
from adapters.annotations.grafana import GrafanaAnnotations
from adapters.rest import Endpoint, Refused
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable, InvalidInput
from domain.observation import Seen
from domain.permit import PermitOffice
from testbed.servers.base import free_port
from tests.contract.annotations_contract import AT, MARK, AnnotationsContract
from tests.contract.permits import permit_for
from tests.stubs.grafana import EDITOR, VIEWER, GrafanaStub
from tests.stubs.small_server import Asked, Said, SmallServer
from tests.support.waiting import until

works = pytest.mark.integration("grafana", "works")
refused = pytest.mark.integration("grafana", "refused")
slow = pytest.mark.integration("grafana", "slow")
lying = pytest.mark.integration("grafana", "lying")
misconfigured = pytest.mark.integration("grafana", "misconfigured")


@pytest.fixture
def office() -> PermitOffice:
    return PermitOffice(FrozenClock())


@pytest.fixture
def grafana() -> Iterator[GrafanaStub]:
    with GrafanaStub({"editor": EDITOR, "viewer": VIEWER, "nobody": {}}, ("search",)) as stub:
        yield stub


def opened(
    url: str, office: PermitOffice, token: str = "editor", dashboard: str = "search", panel: int | None = 4, **more: Any
) -> GrafanaAnnotations:
    endpoint = Endpoint(url=url, token=SecretStr(token) if token else None, **{"attempts": 1, **more})
    return GrafanaAnnotations(
        endpoint=endpoint, clock=FrozenClock(), permits=office, dashboard=dashboard, panel=panel if dashboard else None
    )


def marked(annotations: AnnotationsPort, office: PermitOffice) -> str:
    return annotations.annotate(MARK, key="k1", permit=permit_for(office, EFFECT_ANNOTATE, "k1"))


def always(answer: Said) -> Callable[[Asked], Said]:
    return lambda _: answer


@works
class TestGrafana(AnnotationsContract):
    """The port's contract, on a dashboard's panel."""

    @pytest.fixture
    def annotations(self, office: PermitOffice, grafana: GrafanaStub) -> Iterator[AnnotationsPort]:
        annotations = opened(grafana.url, office)
        yield annotations
        annotations.close()

    @pytest.fixture
    def texts(self, grafana: GrafanaStub) -> Callable[[], Sequence[str]]:
        return lambda: [annotation["text"] for annotation in grafana.annotations]

    def test_a_mark_stands_where_and_when_it_was_asked_for(
        self, annotations: AnnotationsPort, office: PermitOffice, grafana: GrafanaStub
    ) -> None:
        stretch = MARK.model_copy(update={"ends_at": AT + timedelta(minutes=5)})
        annotations.annotate(stretch, key="k1", permit=permit_for(office, EFFECT_ANNOTATE, "k1"))
        (kept,) = grafana.annotations
        assert (kept["dashboardUID"], kept["panelId"]) == ("search", 4)
        assert (kept["time"], kept["timeEnd"]) == (1769860800250, 1769861100250)
        assert kept["tags"] == ["evercrew", "evercrew-key:k1", "promotion", "search"]


@works
def test_without_a_dashboard_the_mark_is_the_organizations(office: PermitOffice, grafana: GrafanaStub) -> None:
    annotations = opened(grafana.url, office, dashboard="")
    marked(annotations, office)
    assert grafana.annotations[0]["dashboardUID"] is None
    assert "every dashboard" in annotations.check()


@works
def test_an_older_grafana_is_asked_for_annotations_instead_of_permissions(office: PermitOffice) -> None:
    with GrafanaStub({"editor": EDITOR}, ("search",), knows_permissions=False) as older:
        assert "11.2.0" in opened(older.url, office).check()
        assert ("GET", "/api/annotations") in older.seen


@refused
def test_nobody_listening_says_so(office: PermitOffice) -> None:
    annotations = opened(f"http://127.0.0.1:{free_port()}", office)
    with pytest.raises(DependencyUnavailable, match=r"grafana\.url"):
        annotations.check()
    with pytest.raises(DependencyUnavailable):
        marked(annotations, office)
    assert annotations.observe("k1").seen is Seen.UNKNOWN


@refused
def test_a_token_that_may_only_look_marks_nothing(office: PermitOffice, grafana: GrafanaStub) -> None:
    with pytest.raises(Refused, match="annotations:create"):
        marked(opened(grafana.url, office, token="viewer"), office)
    assert grafana.annotations == []


@refused
def test_a_text_it_does_not_want_is_an_error_with_its_words(office: PermitOffice) -> None:
    def answer(request: Asked) -> Said:
        return Said(200, b"[]") if request.method == "GET" else Said(400, b'{"message": "Failed to save"}')

    with SmallServer(answer) as stub, pytest.raises(InvalidInput, match="Failed to save"):
        marked(opened(stub.url, office), office)


@slow
def test_a_late_answer_is_a_timeout_and_the_mark_is_not_sent_twice(office: PermitOffice) -> None:
    def answer(request: Asked) -> Said:
        if request.method == "POST":
            stub.stopping.wait(30)
        return Said(200, b"[]")

    with SmallServer(answer) as stub:
        with pytest.raises(DependencyTimeout):
            marked(opened(stub.url, office, timeout=timedelta(seconds=2), attempts=3), office)
        until(lambda: "POST" in [request.method for request in stub.seen])
        assert [request.method for request in stub.seen].count("POST") == 1


@slow
def test_a_mark_whose_answer_was_lost_is_found_and_not_made_again(office: PermitOffice, grafana: GrafanaStub) -> None:
    annotations = opened(grafana.url, office)
    first = marked(annotations, office)
    assert marked(annotations, office) == first
    assert [method for method, _ in grafana.seen].count("POST") == 1


@lying
@pytest.mark.parametrize("content", [{}, [], {"id": "7"}, {"id": True}, {"message": "Annotation added"}])
def test_a_mark_without_an_id_is_not_believed(office: PermitOffice, content: Any) -> None:
    def answer(request: Asked) -> Said:
        return Said(200, b"[]" if request.method == "GET" else json.dumps(content).encode())

    with SmallServer(answer) as stub, pytest.raises(DependencyLied, match="no id"):
        marked(opened(stub.url, office), office)


@lying
@pytest.mark.parametrize("content", [b"<html>", b"{}", b"[1]", b'[{"id": "x"}]'])
def test_annotations_that_cannot_be_read_say_nothing_of_a_key(office: PermitOffice, content: bytes) -> None:
    with SmallServer(always(Said(200, content))) as stub:
        annotations = opened(stub.url, office)
        assert annotations.observe("k1").seen is Seen.UNKNOWN
        with pytest.raises(DependencyLied):
            marked(annotations, office)
        assert "POST" not in [request.method for request in stub.seen]


@lying
def test_a_search_that_ignores_the_tags_finds_nothing_of_ours(office: PermitOffice) -> None:
    others = [{"id": 3, "tags": ["deploy"]}, {"id": 4, "tags": None}]
    with SmallServer(always(Said(200, json.dumps(others).encode()))) as stub:
        assert opened(stub.url, office).observe("k1").seen is Seen.ABSENT


@misconfigured
@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"token": "wrong"}, Refused, "EVERCREW_GRAFANA_TOKEN"),
        ({"token": ""}, Refused, "EVERCREW_GRAFANA_TOKEN"),
        ({"token": "viewer"}, Refused, "annotations:create"),
        ({"token": "nobody"}, Refused, "annotations:read and annotations:create"),
        ({"dashboard": "gone"}, ConfigurationError, "grafana.dashboard"),
    ],
    ids=["wrong token", "no token", "viewer", "no rights", "no dashboard"],
)
def test_each_way_to_misconfigure_it_has_its_remedy(
    office: PermitOffice, grafana: GrafanaStub, changes: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as raised:
        opened(grafana.url, office, **changes).check()
    assert said in str(raised.value)


@misconfigured
@pytest.mark.parametrize(
    "answer",
    [Said(200, b"<html>Sign in</html>"), Said(200, b'{"status": "UP"}'), Said(404, b"no"), Said(400, b"no")],
    ids=["login page", "other health", "not found", "bad request"],
)
def test_another_product_at_the_address_is_recognised(office: PermitOffice, answer: Said) -> None:
    with SmallServer(always(answer)) as stub, pytest.raises(DependencyLied) as error:
        opened(stub.url, office).check()
    assert "grafana.url" in error.value.remedy


@misconfigured
def test_a_database_that_is_down_is_named(office: PermitOffice, grafana: GrafanaStub) -> None:
    grafana.database = "failing"
    with pytest.raises(DependencyUnavailable, match="database"):
        opened(grafana.url, office).check()


@misconfigured
def test_a_mark_on_a_dashboard_that_is_gone_names_it(office: PermitOffice, grafana: GrafanaStub) -> None:
    with pytest.raises(ConfigurationError, match=r"grafana\.dashboard"):
        marked(opened(grafana.url, office, dashboard="gone"), office)


@misconfigured
def test_a_panel_without_a_dashboard_is_refused(office: PermitOffice) -> None:
    with pytest.raises(ConfigurationError, match=r"grafana\.panel"):
        GrafanaAnnotations(endpoint=Endpoint(url="http://127.0.0.1:1"), clock=FrozenClock(), permits=office, panel=4)
