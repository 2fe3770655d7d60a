"""Signing in at a real OpenID provider (npm oidc-provider), by code and PKCE, and its tokens as bearer tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
import pytest
from fastapi import FastAPI

from domain.clock import SystemClock
from service.access.desk import oidc_of
from service.access_sections import OidcConfig
from service.api.app import create_app
from service.settings import Settings
from testbed.servers.oidc import CONFIDENTIAL, MACHINE, PUBLIC, SECRET, OidcServer
from tests.access.browser import Browser
from tests.access.test_signin import csrf_of_page
from tests.support.serving import client_as, serving_of

AUDIENCE = "urn:evercrew"
GROUPS = {"ml-admins": "admin", "ml-approvers": "approver", "ml-robots": "operator"}
ME = "/api/v1/auth/me"


def application(folder: Path, provider: OidcServer, **oidc: Any) -> FastAPI:
    """Return the application with this provider in its configuration."""
    plain = {"client_id": CONFIDENTIAL, "audience": AUDIENCE, "scopes": ["openid", "profile", "groups"]}
    section = {"issuer": provider.issuer, "groups": GROUPS, **plain, **oidc}
    settings = Settings(access_oidc_secret="" if section["client_id"] == PUBLIC else SECRET)
    serving = serving_of(folder, clock=SystemClock(), told=False)
    credentials = serving.access.credentials
    credentials.oidc = oidc_of(OidcConfig.model_validate(section), settings.access_oidc_secret, SystemClock())
    return create_app(serving)


@pytest.fixture(scope="module")
def app(provider: OidcServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    made = application(tmp_path_factory.mktemp("served"), provider)
    yield made
    made.state.serving.access.close()
    made.state.serving.app.close()


def walked(provider: OidcServer, start: str, person: str) -> str:
    """Walk the provider's pages as somebody, and return the address it sends the browser back to."""
    with httpx.Client(follow_redirects=False, trust_env=False) as client:
        place = start
        for _ in range(12):
            if "/interaction/" in place:
                place = f"{place}?as={person}"
            answer = client.get(place)
            assert answer.status_code in (302, 303), (place, answer.status_code, answer.text[:300])
            place = urljoin(place, answer.headers["location"])
            if not place.startswith(provider.issuer):
                return place
    raise AssertionError(f"{start} never leads back")


def sent(browser: Browser, back_to: str = "/") -> str:
    """Begin at our login page, and return where the browser is sent."""
    answer = browser.get("/login/oidc", params={"next": back_to})
    assert answer.status_code == 303
    place: str = answer.headers["location"]
    return place


def came(browser: Browser, address: str) -> Any:
    """Let the browser come back."""
    parts = urlsplit(address)
    return browser.get(f"{parts.path}?{parts.query}")


def bearer(provider: OidcServer, *, client: str = MACHINE, **form: str) -> str:
    """Return an access token of the provider's."""
    fields = {"grant_type": "client_credentials", "resource": AUDIENCE, "scope": "view", **form}
    answer = httpx.post(f"{provider.issuer}/token", data=fields, auth=(client, SECRET.replace(" ", "%20")))
    token: str = answer.json()["access_token"]
    return token


@pytest.mark.integration("oidc", "works")
def test_somebody_signs_in_by_code_and_pkce_and_comes_back_where_they_were(app: FastAPI, provider: OidcServer) -> None:
    browser = Browser(app)
    assert "Sign in with your organisation" in browser.get("/login").text
    place = sent(browser, "/cycles?state=open")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(place).query).items()}
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert asked["state"] != asked["nonce"]
    assert asked["redirect_uri"] == "http://testserver/login/callback"
    answer = came(browser, walked(provider, place, "ines"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/cycles?state=open")
    me = browser.get(ME).json()
    assert (me["name"], me["roles"], me["via"], me["person"]) == ("ines", ["admin"], "session", "ines")
    assert browser.post("/logout", {"csrf": csrf_of_page(browser)}).status_code == 303
    assert browser.get(ME).status_code == 401


@pytest.mark.integration("oidc", "works")
def test_a_public_client_signs_in_by_pkce_alone(provider: OidcServer, tmp_path: Path) -> None:
    app = application(tmp_path, provider, client_id=PUBLIC)
    browser = Browser(app)
    assert came(browser, walked(provider, sent(browser), "omar")).status_code == 303
    assert browser.get(ME).json()["roles"] == ["approver"]
    app.state.serving.app.close()


@pytest.mark.integration("oidc", "works")
def test_the_secret_goes_into_the_form_where_the_provider_knows_no_other_way(package: Path, tmp_path: Path) -> None:
    from testbed.servers.base import ServerError

    try:
        server = OidcServer(
            package, tmp_path / "op", redirect="http://testserver/login/callback", method="client_secret_basic"
        )
    except ServerError as problem:
        pytest.skip(str(problem))
    with server:
        app = application(tmp_path / "served", server)
        browser = Browser(app)
        assert came(browser, walked(server, sent(browser), "ines")).status_code == 303
        app.state.serving.app.close()


@pytest.mark.integration("oidc", "works")
def test_a_machine_of_the_provider_is_a_caller_by_its_groups_and_its_scopes(app: FastAPI, provider: OidcServer) -> None:
    me = client_as(app, None).get(ME, headers={"Authorization": f"Bearer {bearer(provider)}"}).json()
    assert (me["name"], me["roles"], me["scopes"], me["via"]) == ("robot", ["operator"], ["view"], "jwt")
    assert me["person"] is None
    assert me["may"] == ["view"]


@pytest.mark.integration("oidc", "refused")
def test_who_is_in_no_group_is_not_let_in(app: FastAPI, provider: OidcServer) -> None:
    browser = Browser(app)
    answer = came(browser, walked(provider, sent(browser), "eve"))
    assert answer.status_code == 401
    assert "none of the groups" in answer.text
    assert browser.session == ""


@pytest.mark.integration("oidc", "refused")
def test_who_says_no_at_the_provider_is_not_let_in(app: FastAPI, provider: OidcServer) -> None:
    browser = Browser(app)
    address = walked(provider, sent(browser), "nobody")
    assert "error=access_denied" in address
    assert came(browser, address).status_code == 401
    assert browser.session == ""


@pytest.mark.integration("oidc", "refused")
def test_a_code_is_good_once_and_for_the_browser_that_was_sent(app: FastAPI, provider: OidcServer) -> None:
    victim, thief = Browser(app), Browser(app)
    address = walked(provider, sent(victim), "ines")
    sent(thief)
    assert came(thief, address).status_code == 401
    assert came(Browser(app), address).status_code == 401
    assert came(victim, address).status_code == 303
    again = Browser(app)
    place = sent(again)
    state = parse_qs(urlsplit(place).query)["state"][0]
    code = parse_qs(urlsplit(address).query)["code"][0]
    replayed = f"/login/callback?{urlencode({'code': code, 'state': state, 'iss': provider.issuer})}"
    assert again.get(replayed).status_code == 401
    assert again.session == ""


@pytest.mark.integration("oidc", "refused")
@pytest.mark.parametrize("change", ["state", "iss", "code", "verifier"])
def test_an_answer_that_was_meddled_with_is_refused(app: FastAPI, provider: OidcServer, change: str) -> None:
    browser = Browser(app)
    address = walked(provider, sent(browser), "ines")
    if change == "verifier":
        other = Browser(app)
        sent(other)
        name = "evercrew_errand"
        browser.client.cookies.delete(name)
        browser.client.cookies.set(name, other.client.cookies[name], domain="testserver.local", path="/login")
    changed = re.sub(rf"{change}=[^&]+", f"{change}=meddled", address)
    assert came(browser, changed).status_code == 401
    assert browser.session == ""


@pytest.mark.integration("oidc", "refused")
def test_a_name_that_is_a_local_account_is_not_taken_over(provider: OidcServer, tmp_path: Path) -> None:
    app = application(tmp_path, provider)
    browser = Browser(app)
    answer = came(browser, walked(provider, sent(browser), "bob"))
    assert answer.status_code == 401
    assert "another account" in answer.text
    app.state.serving.app.close()


@pytest.mark.integration("oidc", "misconfigured")
def test_a_token_for_another_audience_or_of_no_audience_here_opens_nothing(
    app: FastAPI, provider: OidcServer, tmp_path: Path
) -> None:
    foreign = {"Authorization": f"Bearer {bearer(provider, resource='urn:another-api')}"}
    assert client_as(app, None).get(ME, headers=foreign).status_code == 401
    without = application(tmp_path, provider, audience="")
    ours = {"Authorization": f"Bearer {bearer(provider)}"}
    assert client_as(without, None).get(ME, headers=ours).status_code == 401
    without.state.serving.app.close()


@pytest.mark.integration("oidc", "misconfigured")
def test_a_client_that_the_provider_does_not_know_is_told_in_words(provider: OidcServer, tmp_path: Path) -> None:
    app = application(tmp_path, provider)
    credentials = app.state.serving.access.credentials
    section = OidcConfig.model_validate({"issuer": provider.issuer, "client_id": CONFIDENTIAL, "groups": GROUPS})
    credentials.oidc = oidc_of(section, "not the secret", SystemClock())
    browser = Browser(app)
    answer = came(browser, walked(provider, sent(browser), "ines"))
    assert answer.status_code in (401, 503)
    assert browser.session == ""
    app.state.serving.app.close()
