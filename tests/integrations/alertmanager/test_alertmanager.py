"""Alertmanager: its contract on the real server, what it sends and takes by the public specification, and its ways to
be wrong.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml
from pydantic import SecretStr

from adapters.rest import Endpoint, Refused
from adapters.silences.alertmanager import AlertmanagerSilences
from adapters.silences.base import EFFECT_EXPIRE, EFFECT_SILENCE, Matcher, SilencesPort
from domain.clock import FrozenClock, SystemClock
from domain.errors import (
    ConfigurationError,
    DependencyError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    InvalidInput,
)
from domain.observation import Seen
from domain.permit import PermitOffice
from testbed.servers.alertmanager import Alertmanager
from testbed.servers.base import free_port
from testbed.servers.certificates import Authority
from testbed.servers.prometheus import Tls
from tests.contract.permits import permit_for
from tests.contract.silences_contract import MATCHERS, MINUTE, UNKNOWN, SilencesContract
from tests.stubs.small_server import Asked, Said, SmallServer
from tests.support.waiting import until

SPEC = Path(__file__).resolve().parents[4] / "shared" / "contracts" / "alertmanager" / "openapi.yaml"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
STATUS: dict[str, Any] = {
    "cluster": {"status": "disabled"},
    "versionInfo": {
        "version": "0.25.0",
        **dict.fromkeys(("revision", "branch", "buildUser", "buildDate", "goVersion"), ""),
    },
    "config": {"original": ""},
    "uptime": NOW.isoformat(),
}

works = pytest.mark.integration("alertmanager", "works")
refused = pytest.mark.integration("alertmanager", "refused")
slow = pytest.mark.integration("alertmanager", "slow")
lying = pytest.mark.integration("alertmanager", "lying")
misconfigured = pytest.mark.integration("alertmanager", "misconfigured")
grouped = pytest.mark.xdist_group("prometheus")
needs_alertmanager = pytest.mark.skipif(
    shutil.which("prometheus-alertmanager") is None,
    reason="prometheus-alertmanager is not installed: apt-get install prometheus-alertmanager",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    with Alertmanager(tmp_path_factory.mktemp("alertmanager")) as running:
        yield running


@pytest.fixture
def office() -> PermitOffice:
    return PermitOffice(FrozenClock())


def opened(url: str, office: PermitOffice, **endpoint: Any) -> AlertmanagerSilences:
    settings = {"attempts": 1, **endpoint}
    return AlertmanagerSilences(endpoint=Endpoint(url=url, **settings), clock=FrozenClock(NOW), permits=office)


def silenced(silences: SilencesPort, office: PermitOffice, key: str = "k1") -> str:
    permit = permit_for(office, EFFECT_SILENCE, key)
    return silences.silence(MATCHERS, NOW, NOW + MINUTE, "a watch", key=key, permit=permit)


def always(status: int, content: Any, kind: str = "application/json") -> Callable[[Asked], Said]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda _: Said(status, body, kind)


def silence_row(key: str = "k1", **changed: Any) -> dict[str, Any]:
    return {
        "id": UNKNOWN,
        "status": {"state": "active"},
        "updatedAt": NOW.isoformat(),
        "comment": f"a watch [evercrew-key:{key}]",
        "createdBy": "evercrew",
        "annotations": {},
        "startsAt": NOW.isoformat(),
        "endsAt": (NOW + MINUTE).isoformat(),
        "matchers": [{"name": "a", "value": "b", "isRegex": False, "isEqual": True}],
        **changed,
    }


@works
@grouped
@needs_alertmanager
class TestAlertmanager(SilencesContract):
    """The port's contract, on the real server."""

    @pytest.fixture
    def silences(self, office: PermitOffice, server: Alertmanager) -> Iterator[SilencesPort]:
        endpoint = Endpoint(url=server.url)
        silences = AlertmanagerSilences(endpoint=endpoint, clock=SystemClock(), permits=office)
        yield silences
        for silence in silences.active():
            httpx.delete(f"{server.url}/api/v2/silence/{silence.id}", trust_env=False, timeout=60)
        silences.close()

    @pytest.fixture
    def now(self) -> Callable[[], datetime]:
        return SystemClock().now

    @pytest.fixture
    def silence(
        self, silences: SilencesPort, office: PermitOffice, now: Callable[[], datetime], request: pytest.FixtureRequest
    ) -> Callable[[str], str]:
        """Put up a silence under a key that no other test has; the server keeps those that are over."""

        def put_up(key: str) -> str:
            permit = permit_for(office, EFFECT_SILENCE, key)
            return silences.silence(MATCHERS, now(), now() + 5 * MINUTE, "a watch", key=key, permit=permit)

        return put_up

    @pytest.fixture(autouse=True)
    def forgets(self, server: Alertmanager) -> None:
        """Start each test without the keys of others: their comments are rewritten."""
        for row in httpx.get(f"{server.url}/api/v2/silences", trust_env=False, timeout=60).json():
            assert row["status"]["state"] == "expired"
        server.stop()
        shutil.rmtree(server.folder / "data", ignore_errors=True)
        server.start()

    def test_an_alert_that_is_silenced_is_not_sent_and_is_again_afterwards(
        self, silences: SilencesPort, office: PermitOffice, server: Alertmanager, now: Callable[[], datetime]
    ) -> None:
        labels = {"alertname": "SignalBreached", "signal": "ndcg_at_10", "target": "search", "environment": "dev"}
        other = {**labels, "signal": "recall_at_20"}
        posted = httpx.post(
            f"{server.url}/api/v2/alerts", json=[{"labels": labels}, {"labels": other}], trust_env=False
        )
        assert posted.status_code == 200
        matchers = [Matcher(name=name, value=value) for name, value in labels.items()]
        permit = permit_for(office, EFFECT_SILENCE, "k1")
        made = silences.silence(matchers, now(), now() + MINUTE, "a watch", key="k1", permit=permit)
        until(lambda: _suppressed(server) == {"ndcg_at_10": [made], "recall_at_20": []})
        silences.expire(made, key="k2", permit=permit_for(office, EFFECT_EXPIRE, "k2"))
        until(lambda: _suppressed(server) == {"ndcg_at_10": [], "recall_at_20": []})


def _suppressed(server: Alertmanager) -> dict[str, list[str]]:
    alerts = httpx.get(f"{server.url}/api/v2/alerts", trust_env=False, timeout=60).json()
    return {alert["labels"]["signal"]: list(alert["status"]["silencedBy"]) for alert in alerts}


@works
@pytest.mark.skipif(not SPEC.is_file(), reason="the public specifications are not beside the checkout")
def test_what_is_sent_and_what_the_tests_answer_are_what_the_specification_says(office: PermitOffice) -> None:
    spec = yaml.safe_load(SPEC.read_text(encoding="utf-8"))

    def check(content: Any, name: str) -> None:
        schema = {"$ref": f"#/definitions/{name}", "definitions": spec["definitions"]}
        jsonschema.validate(content, schema, format_checker=jsonschema.FormatChecker())

    rows = [silence_row("other")]
    answers = {"GET": rows, "POST": {"silenceID": UNKNOWN}}
    with SmallServer(lambda request: always(200, answers[request.method])(request)) as stub:
        assert silenced(opened(stub.url, office), office) == UNKNOWN
    (posted,) = [json.loads(request.body) for request in stub.seen if request.method == "POST"]
    check(posted, "postableSilence")
    check(rows, "gettableSilences")
    check({**STATUS, "cluster": {"status": "disabled"}}, "alertmanagerStatus")
    paths = {f"{spec['basePath'].rstrip('/')}{path}" for path in spec["paths"]}
    assert {request.path for request in stub.seen} <= paths


@works
def test_a_silence_that_was_put_up_by_a_call_nobody_heard_of_is_found(office: PermitOffice) -> None:
    with SmallServer(always(200, [silence_row("k1")])) as stub:
        silences = opened(stub.url, office)
        assert silences.observe("k1").outcome == {"id": UNKNOWN}
        assert silenced(silences, office) == UNKNOWN
        assert [request.method for request in stub.seen] == ["GET", "GET"]


@works
def test_a_key_in_somebody_elses_comment_is_not_ours(office: PermitOffice) -> None:
    with SmallServer(always(200, [silence_row("k1", createdBy="somebody")])) as stub:
        assert opened(stub.url, office).observe("k1").seen is Seen.ABSENT


@refused
def test_nobody_listening_says_so(office: PermitOffice) -> None:
    silences = opened(f"http://127.0.0.1:{free_port()}", office)
    with pytest.raises(DependencyUnavailable, match=r"alertmanager\.url"):
        silences.check()
    with pytest.raises(DependencyUnavailable):
        silenced(silences, office)
    assert silences.observe("k1").seen is Seen.UNKNOWN


@refused
@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_are_not_taken_are_named(office: PermitOffice, status: int) -> None:
    with SmallServer(always(status, b"no")) as stub:
        silences = opened(stub.url, office, token=SecretStr("t0ken"))
        with pytest.raises(Refused, match="credentials of alertmanager") as error:
            silences.check()
        assert "t0ken" not in str(error.value)
        assert stub.seen[0].headers["authorization"] == "Bearer t0ken"


@refused
def test_a_silence_it_does_not_want_is_an_error_with_its_words(office: PermitOffice) -> None:
    def answer(request: Asked) -> Said:
        return Said(200, b"[]") if request.method == "GET" else Said(400, b'"at least one matcher must not match"')

    with SmallServer(answer) as stub, pytest.raises(InvalidInput, match="at least one matcher"):
        silenced(opened(stub.url, office), office)


@slow
def test_a_late_answer_is_a_timeout_and_the_silence_is_not_sent_twice(office: PermitOffice) -> None:
    def answer(request: Asked) -> Said:
        if request.method == "POST":
            stub.stopping.wait(30)
        return Said(200, b"[]")

    with SmallServer(answer) as stub:
        silences = opened(stub.url, office, timeout=timedelta(seconds=2), attempts=3)
        with pytest.raises(DependencyTimeout):
            silenced(silences, office)
        until(lambda: "POST" in [request.method for request in stub.seen])
        assert [request.method for request in stub.seen].count("POST") == 1


@slow
def test_a_busy_server_is_asked_again_by_reads(office: PermitOffice) -> None:
    answers = iter([Said(503, b"busy"), Said(200, b"[]")])
    with SmallServer(lambda _: next(answers)) as stub:
        assert list(opened(stub.url, office, attempts=2).active()) == []


@lying
@pytest.mark.parametrize(
    "content",
    [
        b"<html>",
        {"status": "success"},
        [1],
        [{"id": UNKNOWN}],
        [silence_row(status={"state": "sleeping"})],
        [silence_row(startsAt="soon")],
        [silence_row(matchers=[{"name": "a"}])],
        [silence_row(endsAt=(NOW - MINUTE).isoformat())],
    ],
    ids=["html", "object", "numbers", "no status", "unknown state", "no time", "half a matcher", "ends before"],
)
def test_silences_that_cannot_be_read_are_no_silences(office: PermitOffice, content: Any) -> None:
    with SmallServer(always(200, content)) as stub, pytest.raises(DependencyLied):
        opened(stub.url, office).active()


@lying
@pytest.mark.parametrize("content", [{}, {"silenceID": ""}, {"silenceID": 7}, []])
def test_a_silence_without_an_id_is_not_believed(office: PermitOffice, content: Any) -> None:
    def answer(request: Asked) -> Said:
        return Said(200, b"[]" if request.method == "GET" else json.dumps(content).encode())

    with SmallServer(answer) as stub, pytest.raises(DependencyLied, match="no id"):
        silenced(opened(stub.url, office), office)


@lying
def test_a_cluster_that_has_not_settled_is_not_fit(office: PermitOffice) -> None:
    settling = {**STATUS, "cluster": {"status": "settling"}}
    with SmallServer(always(200, settling)) as stub, pytest.raises(DependencyLied, match="settling"):
        opened(stub.url, office).check()


@misconfigured
@pytest.mark.parametrize(
    ("status", "content"),
    [(200, b"<html>Sign in</html>"), (200, {"database": "ok"}), (404, b"page not found"), (200, [])],
    ids=["login page", "other JSON", "not found", "list"],
)
def test_another_product_at_the_address_is_recognised(office: PermitOffice, status: int, content: Any) -> None:
    with SmallServer(always(status, content)) as stub, pytest.raises(DependencyLied) as error:
        opened(stub.url, office).check()
    assert "alertmanager.url" in error.value.remedy


@misconfigured
@grouped
@needs_alertmanager
def test_each_missing_credential_has_its_remedy(tmp_path: Path, office: PermitOffice) -> None:
    authority = Authority(tmp_path / "tls")
    tls = Tls(*authority.issue("server"))
    with Alertmanager(tmp_path / "server", users={"crew": "s3cret"}, tls=tls) as server:
        good: dict[str, Any] = {"username": "crew", "password": SecretStr("s3cret"), "ca": authority.ca}
        assert "0 silences" in opened(server.url, office, **good).check()
        for change, said in (
            ({"password": SecretStr("wrong")}, "credentials of alertmanager"),
            ({"username": ""}, "credentials of alertmanager"),
            ({"ca": None}, "alertmanager.ca"),
        ):
            with pytest.raises(DependencyUnavailable) as error:
                opened(server.url, office, **{**good, **change}).check()
            assert said in error.value.remedy
        with pytest.raises(DependencyError):
            opened(server.url.replace("https", "http"), office).check()


@misconfigured
def test_a_certificate_without_its_key_is_named(tmp_path: Path, office: PermitOffice) -> None:
    with pytest.raises(ConfigurationError, match=r"alertmanager\.cert"):
        opened("https://127.0.0.1:1", office, cert=tmp_path / "cert.pem")
