"""OpenCost: a stub of its allocation API, held to the public description where that is beside the checkout."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from adapters.costs.base import CostsPort
from adapters.costs.memory import Spent
from adapters.costs.opencost import OpenCostCosts
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable
from tests.contract.costs_contract import BUDGET, DAY, FIRST, LAST, NOW, SPENT, CostsContract
from tests.stubs.opencost import OpenCostApi
from tests.stubs.small_server import NOBODY, Asked, Said, SmallServer, endpoint, said
from tests.support.waiting import until

SPEC = Path(__file__).resolve().parents[4] / "shared" / "contracts" / "opencost" / "swagger.json"


@contextmanager
def client(server: SmallServer, **fields: Any) -> Iterator[OpenCostCosts]:
    """Return the adapter on a running server; `url`, `token` and `timeout` are the endpoint's."""
    of_endpoint = {name: fields.pop(name) for name in ("url", "token", "timeout", "attempts") if name in fields}
    costs = OpenCostCosts(endpoint=endpoint(**{"url": server.url, **of_endpoint}), clock=FrozenClock(NOW), **fields)
    try:
        yield costs
    finally:
        costs.close()


@pytest.fixture
def server() -> Iterator[SmallServer]:
    with SmallServer(OpenCostApi(SPENT)) as running:
        yield running


@pytest.mark.integration("opencost", "works")
class TestOpenCost(CostsContract):
    @pytest.fixture
    def costs(self, server: SmallServer) -> Iterator[CostsPort]:
        with client(server, monthly_budget_usd=BUDGET) as costs:
            yield costs

    @pytest.fixture
    def unbudgeted(self, server: SmallServer) -> Iterator[CostsPort]:
        with client(server) as costs:
            yield costs


@pytest.mark.integration("opencost", "works")
def test_kubecost_answers_below_its_own_path_and_names_labels_in_either_way() -> None:
    for prefix in ("", "app="):
        api = OpenCostApi(SPENT, path="/model/allocation", aggregate="label:app", prefix=prefix)
        with (
            SmallServer(api) as server,
            client(server, path="/model/allocation", aggregate="label:app", names={"web": "search"}) as costs,
        ):
            assert costs.allocation("web", NOW - DAY, NOW).usd.value == pytest.approx(3.0)
            assert "allocations by label:app" in costs.check()


@pytest.mark.integration("opencost", "works")
def test_idle_costs_are_told_apart(server: SmallServer) -> None:
    with client(server) as costs:
        found = costs.allocation("search", NOW - DAY, NOW)
    assert found.idle_usd == pytest.approx(0.5)
    assert found.unallocated_usd == 0.0
    assert {request.query["includeIdle"] for request in server.seen} == {"true"}


@pytest.mark.integration("opencost", "works")
def test_what_began_in_the_middle_is_known_while_others_show_that_there_are_data() -> None:
    late = [Spent("search", NOW - DAY / 2, LAST, {"cpu": 60.0}), *SPENT[1:]]
    with SmallServer(OpenCostApi(late)) as server, client(server) as costs:
        found = costs.allocation("search", NOW - DAY, NOW)
    assert found.usd.value == pytest.approx(60.0 * (DAY / 2) / (LAST - NOW + DAY / 2))


@pytest.mark.integration("opencost", "works")
def test_the_stub_answers_as_the_public_description_says(server: SmallServer) -> None:
    if not SPEC.is_file():
        pytest.skip("the public description of OpenCost's API is not beside the checkout")
    described = json.loads(SPEC.read_text())["components"]["schemas"]["inline_response_200"]
    answer = json.loads(
        OpenCostApi(SPENT)(Asked("GET", "/allocation", {"window": _window(), "aggregate": "namespace"}, {}, b"")).body
    )
    row = described["properties"]["data"]["items"]["properties"]["opencost"]
    jsonschema.Draft202012Validator({**described, "properties": {"code": {"type": "integer"}}}).validate(answer)
    for found in answer["data"]:
        for allocation in found.values():
            jsonschema.Draft202012Validator(row).validate(allocation)
            assert set(allocation) <= set(row["properties"])
    parameters = json.loads(SPEC.read_text())["paths"]["/allocation/compute"]["get"]["parameters"]
    with client(server) as costs:
        costs.allocation("search", NOW - DAY, NOW)
    # The page of the API names two more than its machine-readable description.
    known = {parameter["name"] for parameter in parameters} | {"includeIdle", "shareIdle"}
    assert set(server.seen[-1].query) <= known


def _window() -> str:
    return f"{FIRST:%Y-%m-%dT%H:%M:%SZ},{FIRST + DAY:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.integration("opencost", "refused")
def test_without_the_token_it_says_which_credentials(server: SmallServer) -> None:
    server.header = ("Authorization", "Bearer right")
    with client(server, token="right") as costs:
        assert costs.check()
    with client(server, token="wrong") as costs, pytest.raises(DependencyUnavailable, match="credentials of costs"):
        costs.check()


@pytest.mark.integration("opencost", "refused")
def test_where_nothing_listens_the_address_is_named(server: SmallServer) -> None:
    with client(server, url=NOBODY) as costs, pytest.raises(DependencyUnavailable, match=r"costs\.url"):
        costs.allocation("search", NOW - DAY, NOW)


@pytest.mark.integration("opencost", "slow")
def test_a_late_answer_is_asked_for_again_and_then_given_up(server: SmallServer) -> None:
    server.delay = 30
    with (
        client(server, timeout=timedelta(milliseconds=300), attempts=2) as costs,
        pytest.raises(DependencyTimeout, match="in time"),
    ):
        costs.allocation("search", NOW - DAY, NOW)
    until(lambda: len(server.seen) >= 2)
    assert len(server.seen) == 2


def _changed(change: Callable[[dict[str, Any]], None]) -> Said:
    """Return the true answer for a day, with `change` made to the platform's allocation."""
    query = {"window": f"{NOW - DAY:%Y-%m-%dT%H:%M:%SZ},{NOW:%Y-%m-%dT%H:%M:%SZ}", "aggregate": "namespace"}
    answer = json.loads(OpenCostApi(SPENT)(Asked("GET", "/allocation", query, {}, b"")).body)
    change(answer["data"][0]["search"])
    return said(answer)


@pytest.mark.integration("opencost", "lying")
@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"totalCost": 0.5}, "its parts"),
        ({"totalCost": -3.0, "cpuCost": 0.0, "ramCost": 0.0}, "costs -3.0 USD"),
        ({"name": "other"}, "says that it is 'other'"),
        ({"totalCost": "much"}, "totalCost"),
        ({"window": {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}}, "not asked for"),
    ],
)
def test_an_answer_that_contradicts_itself_is_no_cost(server: SmallServer, change: dict[str, Any], found: str) -> None:
    server.lie = _changed(lambda row: row.update(change))
    with client(server) as costs, pytest.raises(DependencyLied, match=found):
        costs.allocation("search", NOW - DAY, NOW)


@pytest.mark.integration("opencost", "lying")
@pytest.mark.parametrize("total", [float("nan"), float("inf"), None])
def test_a_total_that_is_no_number_is_not_known(server: SmallServer, total: float | None) -> None:
    server.lie = _changed(lambda row: row.update(totalCost=total))
    with client(server) as costs:
        found = costs.allocation("search", NOW - DAY, NOW)
    assert not found.usd.usable
    assert found.reason == "a total is not a finite number"


@pytest.mark.integration("opencost", "lying")
@pytest.mark.parametrize("data", [None, [], [None], [{}]])
def test_an_empty_set_is_not_known(server: SmallServer, data: Any) -> None:
    server.lie = said({"code": 200, "data": data})
    with client(server, monthly_budget_usd=BUDGET) as costs:
        assert costs.allocation("search", NOW - DAY, NOW).usd.value is None
        assert costs.budget_share("search").value is None


@pytest.mark.integration("opencost", "lying")
def test_a_gap_in_the_middle_of_a_span_is_seen() -> None:
    middle = NOW - DAY / 2
    gapped = [Spent("search", FIRST, middle - DAY / 6, {"cpu": 1.0}), Spent("search", middle, LAST, {"cpu": 1.0})]
    with SmallServer(OpenCostApi(gapped)) as server, client(server) as costs:
        found = costs.allocation("search", NOW - DAY, NOW)
    assert found.usd.value is None
    assert found.covered == pytest.approx(5 / 6)


@pytest.mark.integration("opencost", "lying")
def test_an_error_inside_a_good_status_is_an_error(server: SmallServer) -> None:
    server.lie = said({"code": 500, "message": "prometheus is gone", "data": None})
    with client(server) as costs, pytest.raises(DependencyLied, match="prometheus is gone"):
        costs.allocation("search", NOW - DAY, NOW)


@pytest.mark.integration("opencost", "misconfigured")
def test_each_way_of_misconfiguring_it_has_its_own_remedy(server: SmallServer, tmp_path: Path) -> None:
    problems: list[tuple[dict[str, Any], str]] = [
        ({"path": "/model/allocation"}, "costs.path: nothing answers at /model/allocation"),
        ({"aggregate": "label:app"}, "costs.aggregate: .*Invalid 'aggregate'"),
        ({"names": {"search": "web"}}, "there is no allocation 'web', but other, search"),
        ({"url": server.url.replace("http:", "https:")}, "costs.url"),
    ]
    for fields, remedy in problems:
        with client(server, **fields) as costs, pytest.raises(Exception, match=remedy) as caught:
            costs.check()
        assert isinstance(caught.value, ConfigurationError | DependencyUnavailable), fields
    with pytest.raises(ConfigurationError, match=r"costs\.path"), client(server, path="allocation"):
        pass
    absent = tmp_path / "absent.pem"
    with pytest.raises(ConfigurationError, match=r"costs\.ca"):
        OpenCostCosts(endpoint=endpoint("https://localhost", ca=absent), clock=FrozenClock(NOW))


@pytest.mark.integration("opencost", "misconfigured")
@pytest.mark.parametrize("answer", [said({"status": "success", "data": {}}), Said(200, b"<html>", "text/html")])
def test_another_product_at_the_address_is_noticed(server: SmallServer, answer: Said) -> None:
    server.lie = answer
    with client(server) as costs, pytest.raises(DependencyLied, match=r"costs\.url"):
        costs.check()


@pytest.mark.integration("opencost", "misconfigured")
def test_an_opencost_without_data_is_sent_to_its_prometheus() -> None:
    with (
        SmallServer(OpenCostApi([])) as server,
        client(server) as costs,
        pytest.raises(ConfigurationError, match="Prometheus"),
    ):
        costs.check()
