"""Webhooks: what is answered 2xx is on disk, and every other answer tells the sender whether to come again."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from cycles.bodies import Form
from service.api.serving import Serving
from tests.serve.senders import (
    NOON,
    OLD_SECRET,
    OLD_TOKEN,
    PATHS,
    SECRET,
    alert,
    bearer,
    body,
    client_of,
    generic,
    served,
    signed,
)
from tests.support.serving import client_as

BODIES = {Form.ALERTMANAGER: body(alert()), Form.GRAFANA: body(alert(), version="1"), Form.GENERIC: generic("f1")}


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    found = served(tmp_path)
    yield found
    found.app.close()


@pytest.fixture
def client(serving: Serving) -> TestClient:
    return client_of(serving)


def waiting(serving: Serving) -> int:
    return serving.app.inbox.counts().waiting


@pytest.mark.parametrize("form", list(Form))
def test_what_is_accepted_is_on_disk(client: TestClient, serving: Serving, form: Form) -> None:
    answer = client.post(PATHS[form], content=BODIES[form], headers=bearer())
    assert answer.status_code == 200
    expected = {"accepted": 1, "ignored": [], "malformed": [], "truncated": 0, "repeated": False}
    assert answer.json() == expected
    assert waiting(serving) == 1


@pytest.mark.parametrize("form", list(Form))
def test_without_a_proof_nothing_is_taken_and_the_answer_says_how_to_prove_it(
    client: TestClient, serving: Serving, form: Form
) -> None:
    answer = client.post(PATHS[form], content=BODIES[form])
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers
    assert answer.headers["content-type"] == "application/problem+json"
    assert "sign the body" in answer.json()["remedy"]
    assert waiting(serving) == 0


@pytest.mark.parametrize("token", ["", "wrong", "a-token-for-senders2", "A-TOKEN-FOR-SENDERS"])
def test_another_bearer_is_refused(client: TestClient, serving: Serving, token: str) -> None:
    assert client.post(PATHS[Form.GENERIC], content=generic("f1"), headers=bearer(token)).status_code == 401
    assert waiting(serving) == 0


def test_both_tokens_and_both_secrets_count_while_senders_change_over(client: TestClient, serving: Serving) -> None:
    path, raw = PATHS[Form.GENERIC], generic("f1")
    proofs = (bearer(), bearer(OLD_TOKEN), signed(raw, NOON), signed(raw, NOON, OLD_SECRET))
    assert [client.post(path, content=raw, headers=proof).status_code for proof in proofs] == [200] * 4


def test_a_signature_is_refused_over_another_body_time_or_secret(client: TestClient, serving: Serving) -> None:
    path, raw = PATHS[Form.GENERIC], generic("f1")
    good = signed(raw, NOON)
    forged = (
        (generic("f2"), good),
        (raw, {**good, "X-Evercrew-Timestamp": str(int(NOON.timestamp()) + 1)}),
        (raw, signed(raw, NOON, "another secret")),
        (raw, {**good, "X-Evercrew-Signature": ""}),
        (raw, {**good, "X-Evercrew-Signature": "0" * 64}),
        (raw, {**good, "X-Evercrew-Timestamp": "yesterday"}),
        (raw, {name: value for name, value in good.items() if name != "X-Evercrew-Timestamp"}),
    )
    assert [client.post(path, content=sent, headers=proof).status_code for sent, proof in forged] == [401] * len(forged)
    assert waiting(serving) == 0


@pytest.mark.parametrize(("off", "status"), [(-301, 401), (-299, 200), (299, 200), (301, 401)])
def test_a_signature_counts_within_five_minutes_of_our_clock_either_way(
    client: TestClient, off: int, status: int
) -> None:
    raw = generic("f1")
    answer = client.post(PATHS[Form.GENERIC], content=raw, headers=signed(raw, NOON + timedelta(seconds=off)))
    assert answer.status_code == status
    if status == 401:
        assert "our clock" in answer.json()["detail"]


def test_the_same_signed_request_again_is_answered_and_does_nothing(client: TestClient, serving: Serving) -> None:
    raw = generic("f1")
    first, second = (client.post(PATHS[Form.GENERIC], content=raw, headers=signed(raw, NOON)) for _ in range(2))
    assert (first.json()["accepted"], first.json()["repeated"]) == (1, False)
    assert (second.status_code, second.json()["accepted"], second.json()["repeated"]) == (200, 0, True)
    assert waiting(serving) == 1


def test_grafana_may_use_its_own_headers(client: TestClient, serving: Serving) -> None:
    raw = BODIES[Form.GRAFANA]
    proof = signed(raw, NOON)
    own = {
        "X-Grafana-Alerting-Signature": proof["X-Evercrew-Signature"],
        "X-Grafana-Alerting-Timestamp": proof["X-Evercrew-Timestamp"],
    }
    assert client.post(PATHS[Form.GRAFANA], content=raw, headers=own).status_code == 200


def test_a_sender_that_has_to_sign_cannot_send_a_bearer(tmp_path: Path) -> None:
    serving = served(tmp_path, webhooks={"generic": {"auth": "signature"}})
    client, raw = client_of(serving), generic("f1")
    assert client.post(PATHS[Form.GENERIC], content=raw, headers=bearer()).status_code == 401
    assert client.post(PATHS[Form.GENERIC], content=raw, headers=signed(raw, NOON)).status_code == 200
    serving.app.close()


def test_without_any_secret_the_sender_is_told_to_come_again_for_that_is_ours_to_mend(serving: Serving) -> None:
    client = client_of(
        serving, webhook_token="", webhook_token_previous="", webhook_secret="", webhook_secret_previous=""
    )
    answer = client.post(PATHS[Form.GENERIC], content=generic("f1"), headers=bearer())
    assert answer.status_code == 503
    assert "EVERCREW_WEBHOOK_TOKEN" in answer.json()["remedy"]
    assert "Retry-After" in answer.headers


# -- sizes --------------------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_refused_declared_or_not(tmp_path: Path) -> None:
    serving = served(tmp_path, webhooks={"max_bytes": 2048})
    client, large = client_of(serving), b"x" * 4096

    def dripping() -> Iterator[bytes]:
        for _ in range(64):
            yield b"x" * 64

    for content in (large, dripping()):
        assert client.post(PATHS[Form.GENERIC], content=content, headers=bearer()).status_code == 413
    assert serving.app.inbox.counts().aside == 0
    serving.app.close()


def test_a_packed_body_is_taken_and_a_bomb_is_not(client: TestClient, serving: Serving) -> None:
    def posted(content: bytes, encoding: str = "gzip") -> int:
        headers = {**bearer(), "Content-Encoding": encoding}
        return client.post(PATHS[Form.GENERIC], content=content, headers=headers).status_code

    packed = gzip.compress(generic("f1"))
    assert posted(packed) == 200
    assert posted(gzip.compress(b" " * (1 << 22))) == 413
    assert posted(packed[:-4]) == 415
    assert posted(packed + b"more") == 415
    assert posted(b"no gzip at all") == 415
    assert posted(packed, "br") == 415
    assert waiting(serving) == 1


# -- rates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "status"), [(Form.ALERTMANAGER, 503), (Form.GRAFANA, 503), (Form.GENERIC, 429)])
def test_who_comes_too_often_is_told_to_come_again_by_a_status_it_obeys(
    tmp_path: Path, form: Form, status: int
) -> None:
    limit = {"per_minute": 60, "burst": 3}
    serving = served(tmp_path, webhooks={form.value: limit})
    client = client_of(serving)
    answers = [client.post(PATHS[form], content=BODIES[form], headers=bearer()) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, status]
    assert answers[-1].headers["Retry-After"] == "1"
    serving.app.clock.sleep(timedelta(seconds=1))
    assert client.post(PATHS[form], content=BODIES[form], headers=bearer()).status_code == 200
    serving.app.close()


# -- bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "raw", "field"),
    [
        (Form.GENERIC, b"{", "body"),
        (Form.GENERIC, b"[]", "body"),
        (Form.GENERIC, b'{"alerts": []}', "alerts"),
        (Form.GENERIC, generic("f1", surprise=1), "alerts.0.surprise"),
        (Form.GENERIC, generic("f1", starts_at="2026-01-31T12:00:00"), "alerts.0.starts_at"),
        (Form.GENERIC, generic("f1", starts_at="0001-01-01T00:00:00Z"), "alerts.0.starts_at"),
        (Form.ALERTMANAGER, body(alert(), version="1"), "version"),
        (Form.GRAFANA, body(alert(), version="4"), "version"),
        (Form.ALERTMANAGER, body({"status": "on fire"}), "alerts.0.status"),
    ],
)
def test_what_is_no_body_of_the_sender_is_a_400_that_names_the_field_and_is_kept(
    client: TestClient, serving: Serving, form: Form, raw: bytes, field: str
) -> None:
    answer = client.post(PATHS[form], content=raw, headers=bearer())
    assert answer.status_code == 400
    assert answer.json()["field"] == field
    assert "kept as number" in answer.json()["detail"]
    assert (waiting(serving), serving.app.inbox.counts().aside) == (0, 1)


def test_of_a_body_that_fits_in_part_the_part_is_taken_and_the_rest_kept(client: TestClient, serving: Serving) -> None:
    raw = body(alert("f1"), {"status": "on fire"}, alert("f2", signal="", alertname="Unknown"))
    answer = client.post(PATHS[Form.ALERTMANAGER], content=raw, headers=bearer())
    assert answer.status_code == 200
    told = answer.json()
    assert (told["accepted"], len(told["ignored"]), len(told["malformed"])) == (1, 1, 1)
    [kept] = serving.app.inbox.aside()
    assert kept.reason.startswith("alerts.1.")


def test_alerts_that_are_none_of_ours_are_answered_and_need_no_retry(client: TestClient, serving: Serving) -> None:
    raw = body(alert(environment="production"), alert("f2", target="elsewhere"))
    answer = client.post(PATHS[Form.ALERTMANAGER], content=raw, headers=bearer())
    assert (answer.status_code, answer.json()["accepted"], len(answer.json()["ignored"])) == (200, 0, 2)
    assert waiting(serving) == 0


def test_alerts_that_the_sender_left_out_are_put_on_record_once_in_a_while(
    client: TestClient, serving: Serving
) -> None:
    for _ in range(3):
        answer = client.post(PATHS[Form.ALERTMANAGER], content=body(alert(), truncated=7), headers=bearer())
        assert answer.json()["truncated"] == 7
    noted = [r.entry for r in serving.app.audit.records() if r.entry.status == "alerts_truncated"]
    assert [(entry.actor, entry.body["amount"]) for entry in noted] == [("webhooks", 7)]
    serving.app.clock.sleep(timedelta(minutes=11))
    client.post(PATHS[Form.ALERTMANAGER], content=body(alert(), truncated=1), headers=bearer())
    noted = [r.entry for r in serving.app.audit.records() if r.entry.status == "alerts_truncated"]
    assert [(entry.body["bodies"], entry.body["amount"]) for entry in noted] == [(1, 7), (3, 15)]


def test_a_sender_whose_clock_is_wrong_is_put_on_record_and_its_alert_is_taken(
    client: TestClient, serving: Serving
) -> None:
    raw = body(alert(start=NOON + timedelta(hours=1)))
    assert client.post(PATHS[Form.ALERTMANAGER], content=raw, headers=bearer()).json()["accepted"] == 1
    [noted] = [r.entry for r in serving.app.audit.records() if r.entry.status == "clock_skew"]
    assert noted.body["amount"] == 3600


def test_the_schema_of_the_generic_body_is_that_which_is_checked(serving: Serving) -> None:
    import jsonschema

    schema = client_as(serving, "viewer").get("/webhooks/generic/schema").json()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(generic("f1")), schema)
    with pytest.raises(jsonschema.ValidationError, match="surprise"):
        jsonschema.validate(json.loads(generic("f1", surprise=1)), schema)
    assert client_as(serving, None).get("/webhooks/generic/schema").status_code == 401


def test_signing_by_the_documented_recipe_is_accepted(client: TestClient) -> None:
    import hashlib
    import hmac

    raw, at = generic("f1"), str(int(NOON.timestamp()))
    made = hmac.new(SECRET.encode(), f"{at}:".encode() + raw, hashlib.sha256).hexdigest()
    headers = {"X-Evercrew-Timestamp": at, "X-Evercrew-Signature": f"sha256={made}"}
    assert client.post(PATHS[Form.GENERIC], content=raw, headers=headers).status_code == 200


def test_the_page_about_webhooks_has_the_schema_that_is_checked() -> None:
    from cycles.bodies import generic_schema

    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    shown = page.rpartition("```json")[2].partition("```")[0]
    assert json.loads(shown) == generic_schema()


def test_doctor_says_how_senders_prove_themselves_and_what_is_missing(tmp_path: Path) -> None:
    from dataclasses import replace

    from domain.errors import ConfigurationError
    from service.webhooks.check import serve_check

    serving = served(tmp_path, webhooks={"generic": {"auth": "signature"}})
    app = serving.app
    assert "would take no alerts" in serve_check(app)
    bearer_only = replace(app, settings=app.settings.model_copy(update={"webhook_token": "t"}))
    with pytest.raises(ConfigurationError, match="EVERCREW_WEBHOOK_SECRET"):
        serve_check(bearer_only)
    both = app.settings.model_copy(update={"webhook_token": "t", "webhook_secret": "s"})
    said = serve_check(replace(app, settings=both))
    assert said == (
        "alertmanager by bearer or signature, grafana by bearer or signature, generic by signature; "
        "without TLS of its own"
    )
    app.close()
