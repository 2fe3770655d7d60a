"""Qdrant: its client in local mode, and against a stub of the server that is held to the public description."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from adapters.vectors.base import EFFECT_QUARANTINE, EFFECT_REINDEX, Status, VectorsPort
from domain.clock import FrozenClock
from domain.errors import (
    ConfigurationError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    InvalidInput,
    OutcomeUnknown,
)
from domain.permit import PermitOffice
from tests.contract.permits import permit_for
from tests.contract.vectors_contract import NOW, POINTS, VectorsContract
from tests.stubs.small_server import NOBODY, Said, SmallServer, endpoint, said
from tests.stubs.spec import CONTRACTS, Spec
from tests.support.waiting import until

qdrant_client = pytest.importorskip("qdrant_client", reason="qdrant-client is not installed: evercrew[qdrant]")

from qdrant_client import QdrantClient, models  # noqa: E402

from adapters.vectors.qdrant import QdrantVectors  # noqa: E402
from tests.stubs.qdrant import COLLECTION, QdrantApi  # noqa: E402

SPEC = CONTRACTS / "qdrant" / "openapi.json"


def filled(client: QdrantClient) -> QdrantClient:
    """Make the collection of the contract, with its points on a spiral."""
    client.create_collection(COLLECTION, vectors_config=models.VectorParams(size=3, distance=models.Distance.COSINE))
    points = [
        models.PointStruct(id=n, vector=[1.0, 0.3 * int(n), 0.01 * int(n) ** 2], payload=dict(payload))
        for n, payload in POINTS.items()
    ]
    client.upsert(COLLECTION, points)
    return client


@contextmanager
def connected(server: SmallServer, office: PermitOffice, **fields: Any) -> Iterator[QdrantVectors]:
    """Return the adapter on a running server; `url`, `token` and the like are the endpoint's."""
    of_endpoint = {name: fields.pop(name) for name in ("url", "token", "timeout", "attempts") if name in fields}
    given = {"collection": COLLECTION, "permits": office, "clock": FrozenClock(NOW), **fields}
    vectors = QdrantVectors(endpoint=endpoint(**{"url": server.url, **of_endpoint}), **given)
    try:
        yield vectors
    finally:
        vectors.close()


@pytest.fixture
def office() -> PermitOffice:
    return PermitOffice(FrozenClock(NOW))


@pytest.fixture
def api() -> QdrantApi:
    api = QdrantApi()
    filled(api.local)
    return api


@pytest.fixture
def server(api: QdrantApi) -> Iterator[SmallServer]:
    with SmallServer(api) as running:
        yield running


@pytest.mark.integration("qdrant", "works")
class TestLocalMode(VectorsContract):
    @pytest.fixture
    def vectors(self, office: PermitOffice) -> VectorsPort:
        client = filled(QdrantClient(":memory:"))
        return QdrantVectors(client=client, collection=COLLECTION, permits=office, clock=FrozenClock(NOW))


@pytest.mark.integration("qdrant", "works")
class TestServer(VectorsContract):
    @pytest.fixture
    def vectors(self, server: SmallServer, office: PermitOffice) -> Iterator[VectorsPort]:
        with connected(server, office) as vectors:
            yield vectors


@pytest.mark.integration("qdrant", "works")
def test_no_exchange_with_the_stub_breaks_the_public_description(server: SmallServer, office: PermitOffice) -> None:
    if not SPEC.is_file():
        pytest.skip("the public description of Qdrant's API is not beside the checkout")
    with connected(server, office, token="t") as vectors:
        vectors.check()
        vectors.status()
        vectors.reindex(key="k1", permit=permit_for(office, EFFECT_REINDEX, "k1"))
        permit = permit_for(office, EFFECT_QUARANTINE, "k2")
        vectors.quarantine(ids=[1], where={"source": "feed"}, most=5, key="k2", permit=permit)
        vectors.observe("k2")
    with connected(server, office, collection="absent") as vectors, pytest.raises(ConfigurationError):
        vectors.status()
    spec = Spec(json.loads(SPEC.read_text()))
    assert len(server.exchanges) > 20
    (status, _), *_ = [one for one in server.exchanges if one[0].path == f"/collections/{COLLECTION}"]
    assert spec.violations(status, said({"status": "ok", "time": 0, "result": {"status": "purple"}}))
    assert [problem for exchange in server.exchanges for problem in spec.violations(*exchange)] == []


@pytest.mark.integration("qdrant", "works")
def test_a_reindex_asks_for_one_rebuild_however_often_it_is_repeated(
    server: SmallServer, api: QdrantApi, office: PermitOffice
) -> None:
    with connected(server, office) as vectors:
        for _ in range(2):
            vectors.reindex(key="k1", permit=permit_for(office, EFFECT_REINDEX, "k1"))
        assert (api.rebuilds, api.ef_construct) == (1, 101)
        vectors.reindex(key="k2", permit=permit_for(office, EFFECT_REINDEX, "k2"))
        assert (api.rebuilds, api.ef_construct) == (2, 100)


@pytest.mark.integration("qdrant", "works")
def test_a_vector_with_a_parameter_of_its_own_is_built_anew_too(
    server: SmallServer, api: QdrantApi, office: PermitOffice
) -> None:
    own = models.VectorParams(
        size=3, distance=models.Distance.COSINE, hnsw_config=models.HnswConfigDiff(ef_construct=64)
    )
    api.local.create_collection("own", vectors_config=own)
    with connected(server, office, collection="own") as vectors:
        vectors.reindex(key="k1", permit=permit_for(office, EFFECT_REINDEX, "k1"))
    (change,) = [request.json() for request in server.seen if request.method == "PATCH"]
    assert change["vectors"][""]["hnsw_config"]["ef_construct"] == 65
    assert change["hnsw_config"]["ef_construct"] == 101
    if SPEC.is_file():
        spec = Spec(json.loads(SPEC.read_text()))
        assert [problem for exchange in server.exchanges for problem in spec.violations(*exchange)] == []


@pytest.mark.integration("qdrant", "works")
def test_a_damaged_graph_is_seen_by_the_neighbours_it_does_not_find(
    server: SmallServer, api: QdrantApi, office: PermitOffice
) -> None:
    api.status, api.lost, api.optimizer = "yellow", 0.5, {"error": "no space left on device"}
    with connected(server, office) as vectors:
        state = vectors.status()
    assert state.status is Status.YELLOW
    assert state.recall.value == pytest.approx(0.5)
    assert state.optimizer_error == "no space left on device"
    assert len(state.problems) == 2


@pytest.mark.integration("qdrant", "refused")
def test_the_token_is_sent_as_the_api_key_and_a_wrong_one_is_named(server: SmallServer, office: PermitOffice) -> None:
    server.header = ("api-key", "right")
    with connected(server, office, token="right") as vectors:
        assert vectors.check()
    for token in ("wrong", ""):
        with (
            connected(server, office, token=token) as vectors,
            pytest.raises(DependencyUnavailable, match="EVERCREW_VECTORS_TOKEN"),
        ):
            vectors.check()


@pytest.mark.integration("qdrant", "refused")
def test_with_a_key_that_only_reads_nothing_is_changed(
    server: SmallServer, api: QdrantApi, office: PermitOffice
) -> None:
    api.read_only = True
    with connected(server, office) as vectors:
        with pytest.raises(DependencyUnavailable, match="one that may write"):
            vectors.reindex(key="k1", permit=permit_for(office, EFFECT_REINDEX, "k1"))
        permit = permit_for(office, EFFECT_QUARANTINE, "k2")
        with pytest.raises(DependencyUnavailable, match="write access"):
            vectors.quarantine(ids=[1], where={}, most=5, key="k2", permit=permit)
        assert vectors.status().quarantined == 0
    assert api.rebuilds == 0


@pytest.mark.integration("qdrant", "refused")
def test_where_nothing_listens_the_address_is_named(server: SmallServer, office: PermitOffice) -> None:
    with connected(server, office, url=NOBODY) as vectors, pytest.raises(DependencyUnavailable, match=r"vectors\.url"):
        vectors.status()


@pytest.mark.integration("qdrant", "slow")
def test_a_read_is_tried_again_and_a_reindex_is_not(server: SmallServer, api: QdrantApi, office: PermitOffice) -> None:
    server.delay = 30
    with connected(server, office, timeout=timedelta(seconds=1), attempts=2) as vectors:
        with pytest.raises(DependencyTimeout, match="in time"):
            vectors.status()
        until(lambda: len(server.seen) >= 2)
        assert [request.path for request in server.seen] == [f"/collections/{COLLECTION}"] * 2
        server.delay = 0
        calm = server.answer
        server.answer = lambda request: _late(server) if request.method == "PATCH" else calm(request)
        with pytest.raises(DependencyTimeout):
            vectors.reindex(key="k1", permit=permit_for(office, EFFECT_REINDEX, "k1"))
    until(lambda: "PATCH" in [request.method for request in server.seen])
    assert [request.method for request in server.seen].count("PATCH") == 1


def _late(server: SmallServer) -> Said:
    server.stopping.wait(30)
    return said({})


@pytest.mark.integration("qdrant", "slow")
def test_searches_that_do_not_end_are_counted_as_errors_of_the_index(
    server: SmallServer, api: QdrantApi, office: PermitOffice
) -> None:
    server.answer = lambda request: said({}, 500) if request.path.endswith("/query") else api(request)
    with connected(server, office) as vectors:
        state = vectors.status()
    assert state.probe_errors == 8
    assert not state.recall.usable
    assert "8 probe searches failed" in state.problems


@pytest.mark.integration("qdrant", "lying")
@pytest.mark.parametrize(
    "lie",
    [
        said({"status": "ok", "time": 0, "result": {"status": "purple"}}),
        said({"status": "ok", "time": 0, "result": {}}),
        Said(200, b'{"status": "ok", "resu'),
        Said(200, b"<html>", "text/html"),
    ],
)
def test_an_answer_that_breaks_the_protocol_is_no_state(server: SmallServer, office: PermitOffice, lie: Said) -> None:
    server.lie = lie
    with connected(server, office) as vectors, pytest.raises(DependencyLied, match=r"vectors\.url"):
        vectors.status()


@pytest.mark.integration("qdrant", "lying")
def test_a_server_that_says_yes_and_keeps_nothing_is_not_believed(
    server: SmallServer, api: QdrantApi, office: PermitOffice
) -> None:
    api.version = "1.15.4"
    with connected(server, office) as vectors:
        with pytest.raises(OutcomeUnknown, match="key was not kept"):
            vectors.reindex(key="k1", permit=permit_for(office, EFFECT_REINDEX, "k1"))
        with pytest.raises(ConfigurationError, match=r"Use Qdrant 1\.16"):
            vectors.check()


@pytest.mark.integration("qdrant", "lying")
def test_a_change_answered_with_no_is_no_change(server: SmallServer, api: QdrantApi, office: PermitOffice) -> None:
    no = said({"status": "ok", "time": 0, "result": False})
    server.answer = lambda request: no if request.method == "PATCH" else api(request)
    with connected(server, office) as vectors, pytest.raises(DependencyLied, match="answered with no"):
        vectors.reindex(key="k1", permit=permit_for(office, EFFECT_REINDEX, "k1"))


@pytest.mark.integration("qdrant", "misconfigured")
def test_each_way_of_misconfiguring_it_has_its_own_remedy(
    server: SmallServer, api: QdrantApi, office: PermitOffice
) -> None:
    problems: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"collection": "absent"}, ConfigurationError, r"vectors\.collection: there is no 'absent'"),
        ({"url": server.url.replace("http:", "https:")}, DependencyUnavailable, r"vectors\.url"),
        ({"url": f"{server.url}/prefix"}, DependencyLied, r"vectors\.url: something else answers"),
    ]
    for fields, kind, remedy in problems:
        with connected(server, office, **fields) as vectors, pytest.raises(kind, match=remedy):
            vectors.check()
    with connected(server, office, vector="title") as vectors:
        assert vectors.check()
    for wrong in ("", "a/b"):
        with (
            pytest.raises(ConfigurationError, match=r"vectors\.collection"),
            connected(server, office, collection=wrong),
        ):
            pass
    with pytest.raises(ConfigurationError, match="not both"):
        QdrantVectors(collection=COLLECTION, permits=office, clock=FrozenClock(NOW))


@pytest.mark.integration("qdrant", "misconfigured")
def test_a_collection_whose_optimizers_are_off_is_not_reindexed_in_vain(
    server: SmallServer, api: QdrantApi, office: PermitOffice
) -> None:
    api.threads = 0
    with connected(server, office) as vectors, pytest.raises(InvalidInput, match="max_optimization_threads"):
        vectors.reindex(key="k1", permit=permit_for(office, EFFECT_REINDEX, "k1"))
    assert api.rebuilds == 0


@pytest.mark.integration("qdrant", "misconfigured")
def test_a_local_collection_that_is_not_there_is_named(office: PermitOffice) -> None:
    client = QdrantClient(":memory:")
    vectors = QdrantVectors(client=client, collection="absent", permits=office, clock=FrozenClock(NOW))
    with pytest.raises(ConfigurationError, match=r"vectors\.collection"):
        vectors.check()
