"""The token endpoint and the accounts over HTTP."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from fastapi import FastAPI

from domain.access import ApiAction
from tests.support.serving import PASSWORD, client_as

TOKEN = "/api/v1/auth/token"
ME = "/api/v1/auth/me"
USERS = "/api/v1/auth/users"


def ask(served: FastAPI, headers: dict[str, str] | None = None, /, **fields: str) -> Any:
    return client_as(served, None).post(TOKEN, data=fields, headers=headers)


def basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{secret}'.encode()).decode()}"}


@pytest.fixture(scope="module")
def robot(served: FastAPI) -> str:
    """The secret of a machine that may look and open cycles."""
    wish = {"name": "robot", "roles": ["operator"], "machine": True, "scopes": ["view", "open_cycle"]}
    made = client_as(served, "admin").post(USERS, json=wish)
    assert made.status_code == 201
    secret: str = made.json()["secret"]
    return secret


def test_a_password_gives_a_token_that_is_its_owner(served: FastAPI) -> None:
    answer = ask(served, grant_type="password", username="Dora", password=PASSWORD)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 1800)
    assert set(body["scope"].split()) == {action.value for action in ApiAction}
    me = client_as(served, None).get(ME, headers={"Authorization": f"Bearer {body['access_token']}"}).json()
    assert (me["name"], me["roles"], me["via"], me["person"]) == ("Dora", ["operator"], "jwt", "Dora")
    assert "open_cycle" in me["may"]
    assert "vote" not in me["may"]


def test_a_narrower_token_can_be_asked_for(served: FastAPI) -> None:
    body = ask(served, grant_type="password", username="Dora", password=PASSWORD, scope="view chat").json()
    assert body["scope"] == "chat view"
    me = client_as(served, None).get(ME, headers={"Authorization": f"Bearer {body['access_token']}"}).json()
    assert me["may"] == ["view", "chat"]


def test_a_machine_gets_a_token_for_its_secret_by_either_way(served: FastAPI, robot: str) -> None:
    shown = {"client_id": "robot", "client_secret": robot}
    for answer in (
        ask(served, grant_type="client_credentials", **shown),
        ask(served, basic("robot", robot), grant_type="client_credentials"),
    ):
        assert answer.status_code == 200
        assert answer.json()["scope"] == "open_cycle view"
        header = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        me = client_as(served, None).get(ME, headers=header).json()
        assert (me["person"], me["scopes"], me["may"]) == (None, ["open_cycle", "view"], ["view", "open_cycle"])


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({}, 400, "invalid_request"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"grant_type": "implicit"}, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "code": "x"}, 400, "unsupported_grant_type"),
        ({"grant_type": "password"}, 400, "invalid_grant"),
        ({"grant_type": "password", "username": "Dora", "password": "wrong"}, 400, "invalid_grant"),
        ({"grant_type": "password", "username": "nobody", "password": PASSWORD}, 400, "invalid_grant"),
        ({"grant_type": "client_credentials"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "robot", "client_secret": "x"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "Dora", "client_secret": PASSWORD}, 401, "invalid_client"),
        ({"grant_type": "password", "username": "Bob", "password": PASSWORD, "scope": "fly"}, 400, "invalid_scope"),
        ({"grant_type": "password", "username": "Bob", "password": PASSWORD, "scope": ""}, 400, "invalid_scope"),
    ],
)
def test_what_is_wrong_is_said_as_the_standard_says_it(
    served: FastAPI, fields: dict[str, str], status: int, error: str
) -> None:
    answer = ask(served, **fields)
    assert answer.status_code == status
    assert answer.json()["error"] == error
    assert set(answer.json()) == {"error", "error_description"}
    assert answer.headers["cache-control"] == "no-store"
    assert PASSWORD not in answer.text


def test_a_machine_does_not_ask_for_more_than_it_was_let_in_for(served: FastAPI, robot: str) -> None:
    answer = ask(served, basic("robot", robot), grant_type="client_credentials", scope="view start")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


def test_a_bad_header_is_401_with_a_challenge(served: FastAPI, robot: str) -> None:
    for header in ({"Authorization": "Basic !"}, {"Authorization": "Basic eA=="}, basic("robot", "x")):
        answer = ask(served, header, grant_type="client_credentials")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
    twice = ask(served, basic("robot", robot), grant_type="client_credentials", client_id="robot", client_secret=robot)
    assert twice.json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"grant_type": "password"}'),
        ("application/x-www-form-urlencoded", b"grant_type=password&grant_type=password"),
        ("application/x-www-form-urlencoded", b"\xff\xfe"),
        ("application/x-www-form-urlencoded", b"a=" + b"x" * 20_000),
        ("application/x-www-form-urlencoded", b"&".join(b"f%d=x" % n for n in range(40))),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("", b""),
    ],
)
def test_what_is_no_form_is_an_invalid_request(served: FastAPI, kind: str, body: bytes) -> None:
    answer = client_as(served, None).post(TOKEN, content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_too_many_failures_are_429_with_the_seconds(served: FastAPI) -> None:
    client_as(served, "admin").post(USERS, json={"name": "Tim", "roles": ["viewer"], "password": PASSWORD})
    for _ in range(5):
        assert ask(served, grant_type="password", username="Tim", password="wrong").status_code == 400
    answer = ask(served, grant_type="password", username="Tim", password=PASSWORD)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["error"] == "temporarily_unavailable"


def test_a_token_that_was_revoked_is_refused(served: FastAPI) -> None:
    text = ask(served, grant_type="password", username="Bob", password=PASSWORD).json()["access_token"]
    header = {"Authorization": f"Bearer {text}"}
    client = client_as(served, None)
    assert client.post("/api/v1/auth/revoke", data={"token": "unknown"}, headers=header).status_code == 200
    assert client.post("/api/v1/auth/revoke", data={}, headers=header).json()["error"] == "invalid_request"
    assert client.get(ME, headers=header).status_code == 200
    assert client.post("/api/v1/auth/revoke", data={"token": text}, headers=header).status_code == 200
    assert client.get(ME, headers=header).status_code == 401


def test_a_token_of_ones_own_is_made_listed_and_revoked(served: FastAPI) -> None:
    client = client_as(served, "viewer")
    made = client.post("/api/v1/auth/tokens", json={"label": "ci", "scopes": ["view"], "days": 7})
    assert made.status_code == 201
    text, about = made.json()["token"], made.json()["about"]
    assert text.startswith(f"evc_{about['id']}_")
    assert client_as(served, None).get(ME, headers={"Authorization": f"Bearer {text}"}).json()["may"] == ["view"]
    listed = client.get("/api/v1/auth/tokens").json()["items"]
    assert about["id"] in {each["id"] for each in listed}
    assert text not in str(listed)
    other = client_as(served, "operator").delete(f"/api/v1/auth/tokens/{about['id']}")
    assert other.status_code == 404
    assert client.delete(f"/api/v1/auth/tokens/{about['id']}").json()["revoked_at"] is not None
    assert client.delete("/api/v1/auth/tokens/000000000000").status_code == 404
    assert client_as(served, None).get(ME, headers={"Authorization": f"Bearer {text}"}).status_code == 401


def test_an_admin_ends_anybodys_token(served: FastAPI) -> None:
    about = client_as(served, "viewer").post("/api/v1/auth/tokens", json={"scopes": ["view"]}).json()["about"]
    assert client_as(served, "admin").delete(f"/api/v1/auth/tokens/{about['id']}").status_code == 200


def test_a_narrow_token_does_not_make_a_wider_one(served: FastAPI) -> None:
    narrow = client_as(served, "admin", scopes=["own_tokens"])
    answer = narrow.post("/api/v1/auth/tokens", json={"scopes": ["manage_access"]})
    assert answer.status_code == 422
    assert answer.json()["field"] == "scopes"


def test_an_admin_lets_people_in_changes_them_and_shuts_them_out(served: FastAPI) -> None:
    admin = client_as(served, "admin")
    made = admin.post(USERS, json={"name": "Eve Moss", "roles": ["viewer"]})
    assert made.status_code == 201
    assert made.json()["user"]["roles"] == ["viewer"]
    login = {"grant_type": "password", "username": "eve moss", "password": made.json()["secret"]}
    header = {"Authorization": f"Bearer {ask(served, **login).json()['access_token']}"}
    assert admin.get(f"{USERS}/Eve Moss").json()["created_by"] == "Ann"
    assert admin.patch(f"{USERS}/eve moss", json={"roles": ["operator"]}).json()["roles"] == ["operator"]
    assert "open_cycle" in client_as(served, None).get(ME, headers=header).json()["may"]
    assert admin.patch(f"{USERS}/Eve Moss", json={"disabled": True}).json()["disabled"] is True
    assert client_as(served, None).get(ME, headers=header).status_code == 401
    assert admin.post(f"{USERS}/Eve Moss/password", json={}).json()["secret"]
    assert "argon2" not in admin.get(USERS).text


@pytest.mark.parametrize(
    ("wish", "status", "field"),
    [
        ({"name": "Ann", "roles": ["viewer"]}, 409, None),
        ({"name": "x", "roles": []}, 422, "roles"),
        ({"name": "x", "roles": ["emperor"]}, 422, "roles.0"),
        ({"name": "a/b", "roles": ["viewer"]}, 422, "name"),
        ({"name": "x", "roles": ["viewer"], "password": "short"}, 422, "password"),
        ({"name": "x", "roles": ["viewer"], "admin": True}, 422, "admin"),
        ({"name": "engine", "roles": ["viewer"]}, 422, "name"),
    ],
)
def test_an_account_that_cannot_be_is_refused_by_field(
    served: FastAPI, wish: dict[str, Any], status: int, field: str | None
) -> None:
    answer = client_as(served, "admin").post(USERS, json=wish)
    assert answer.status_code == status
    assert answer.json().get("field") == field or field is None
    assert answer.json()["remedy"]


def test_the_last_admin_is_not_shut_out(served: FastAPI) -> None:
    answer = client_as(served, "admin").patch(f"{USERS}/Ann", json={"disabled": True})
    assert answer.status_code == 409
    assert "last admin" in answer.json()["detail"]
    assert client_as(served, "admin").get(f"{USERS}/nobody").status_code == 404
    assert client_as(served, "admin").patch(f"{USERS}/Cem", json={}).status_code == 422


def test_ones_own_password_is_changed_by_who_knows_it(served: FastAPI) -> None:
    admin = client_as(served, "admin")
    admin.post(USERS, json={"name": "Fay", "roles": ["viewer"], "password": PASSWORD})
    login = {"grant_type": "password", "username": "Fay"}
    header = {"Authorization": f"Bearer {ask(served, **login, password=PASSWORD).json()['access_token']}"}
    client = client_as(served, None)
    wrong = {"present": "wrong", "password": "another long password"}
    assert client.post("/api/v1/auth/password", json=wrong, headers=header).json()["field"] == "present"
    right = {"present": PASSWORD, "password": "another long password"}
    assert client.post("/api/v1/auth/password", json=right, headers=header).status_code == 200
    assert client.get(ME, headers=header).status_code == 401
    assert ask(served, **login, password=PASSWORD).status_code == 400
    assert ask(served, **login, password="another long password").status_code == 200
