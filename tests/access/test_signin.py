"""Signing in to the console: the form, the cookie, the way back, and what a page of another site cannot do."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from service.access.errands import same_origin_path
from service.access.keeper import digest_of
from tests.access.browser import HERE, Browser
from tests.support.serving import PASSWORD


@pytest.fixture
def browser(served: FastAPI) -> Browser:
    return Browser(served)


def csrf_of_page(browser: Browser) -> str:
    page: str = browser.get("/").text
    return page.split('name="csrf-token" content="')[1].split('"')[0]


def test_a_page_sends_who_is_not_signed_in_to_the_form_and_back(browser: Browser) -> None:
    sent = browser.get("/cycles?state=open&limit=3")
    assert sent.status_code == 303
    assert sent.headers["location"] == "/login?next=%2Fcycles%3Fstate%3Dopen%26limit%3D3"
    came = browser.sign_in("Cem", back_to="/cycles?state=open&limit=3")
    assert (came.status_code, came.headers["location"]) == (303, "/cycles?state=open&limit=3")
    assert browser.get("/cycles").status_code == 200


def test_the_form_needs_no_script_and_says_what_went_wrong(browser: Browser) -> None:
    page = browser.get("/login")
    assert page.status_code == 200
    assert 'method="post" action="/login"' in page.text
    assert 'autocomplete="current-password"' in page.text
    wrong = browser.sign_in("Cem", "not the password")
    assert wrong.status_code == 401
    assert "do not fit" in wrong.text
    assert "not the password" not in wrong.text
    assert 'value="Cem"' in wrong.text
    assert browser.session == ""


def test_what_somebody_typed_is_shown_as_text_and_never_as_markup(browser: Browser) -> None:
    page = browser.sign_in('"><script>alert(1)</script>')
    assert page.status_code == 401
    assert "<script>alert(1)" not in page.text


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(browser: Browser) -> None:
    cookie = browser.sign_in("Cem").headers.get_list("set-cookie")[0]
    name, *attributes = (part.strip().lower() for part in cookie.split(";"))
    assert name.startswith("evercrew_session=")
    assert {"httponly", "samesite=lax", "path=/"} <= set(attributes)
    assert not any(each.startswith(("expires", "max-age", "domain", "secure")) for each in attributes)


def test_over_tls_the_cookie_never_leaves_tls_nor_this_host(served: FastAPI) -> None:
    browser = Browser(served, "https://testserver")
    cookie = browser.sign_in("Cem").headers.get_list("set-cookie")[0]
    name, *attributes = (part.strip().lower() for part in cookie.split(";"))
    assert name.startswith("__host-evercrew=")
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= set(attributes)
    assert not any(each.startswith("domain") for each in attributes)
    assert browser.get("/").status_code == 200


def test_a_cookie_from_before_tls_is_no_session_over_tls(served: FastAPI) -> None:
    plain = Browser(served)
    plain.sign_in("Cem")
    secure = Browser(served, "https://testserver")
    secure.client.cookies.set("evercrew_session", plain.session)
    assert secure.get("/").status_code == 303


def test_signing_in_begins_a_new_session_and_ends_the_one_before(served: FastAPI, browser: Browser) -> None:
    accounts = served.state.serving.access.accounts
    browser.sign_in("Cem")
    planted, token = browser.session, browser.form_token_while_signed_in()
    fields = {"csrf": token, "name": "Dora", "password": PASSWORD, "next": "/"}
    assert browser.post("/login", fields).status_code == 303
    assert browser.session != planted
    assert accounts.session(digest_of(planted)) is None
    assert accounts.session(digest_of(browser.session)).account == "Dora"


def test_who_is_signed_in_already_goes_on(browser: Browser) -> None:
    browser.sign_in("Cem")
    went = browser.get("/login", params={"next": "/cycles"})
    assert (went.status_code, went.headers["location"]) == (303, "/cycles")


def test_a_form_that_this_browser_did_not_open_signs_nobody_in(served: FastAPI, browser: Browser) -> None:
    theirs = Browser(served).form_token()
    fields = {"name": "Cem", "password": PASSWORD, "next": "/"}
    for token in ("", theirs, "é", browser.form_token()[:-1]):
        answered = browser.post("/login", {**fields, "csrf": token})
        assert answered.status_code == 403
    assert browser.session == ""
    assert "Try again" in browser.post("/login", fields).text


def test_a_form_of_another_site_signs_nobody_in(browser: Browser) -> None:
    fields = {"csrf": browser.form_token(), "name": "Cem", "password": PASSWORD, "next": "/"}
    for origin in ("https://evil.example", "null", "http://testserver.evil.example"):
        assert browser.post("/login", fields, headers={"Origin": origin}).status_code == 403
    for place in ("cross-site", "same-site"):
        assert browser.post("/login", fields, headers={"Sec-Fetch-Site": place}).status_code == 403
    assert browser.session == ""
    own = {"Origin": HERE, "Sec-Fetch-Site": "same-origin"}
    assert browser.post("/login", fields, headers=own).status_code == 303


def test_signing_out_ends_the_session_here_and_on_the_server(browser: Browser) -> None:
    browser.sign_in("Cem")
    kept = browser.session
    assert browser.post("/logout").status_code == 403
    assert browser.get("/").status_code == 200
    token = csrf_of_page(browser)
    assert browser.post("/logout", {"csrf": token}, headers={"Origin": "https://evil.example"}).status_code == 403
    out = browser.post("/logout", {"csrf": token})
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert browser.session == ""
    browser.client.cookies.set("evercrew_session", kept)
    assert browser.get("/").status_code == 303
    assert browser.post("/logout").status_code in (303, 403)


def test_signing_out_without_a_session_is_no_error(browser: Browser) -> None:
    assert browser.post("/logout").headers["location"] == "/login"


def test_after_too_many_failures_the_form_says_when_to_come_again(served: FastAPI) -> None:
    access = served.state.serving.access
    access.keeper.add("Slow", ["viewer"], by="set-up", password=PASSWORD)
    browser = Browser(served)
    for _ in range(5):
        assert browser.sign_in("Slow", "wrong").status_code == 401
    waits = browser.sign_in("Slow")
    assert waits.status_code == 429
    assert waits.headers["retry-after"] == "2"
    assert "Try again in 2 s" in waits.text
    assert browser.session == ""


@pytest.mark.parametrize(
    "wanted",
    [
        *("", "cycles", "https://evil.example", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil"),
        *("/\t/evil.example", "/\n/evil.example", "/ /evil", "javascript:alert(1)", "http:/evil.example"),
        *("/login", "/login?next=/", "/login/", "/login/oidc", "/logout", "/logout/", "/x" * 2000, "/\u2028x"),
    ],
)
def test_the_way_back_never_leads_away_from_this_origin(wanted: str) -> None:
    assert same_origin_path(wanted) == "/"


@pytest.mark.parametrize("wanted", ["/", "/cycles/si_2026_01_31_001", "/cycles?state=open&next=//x", "/%2f%2fevil"])
def test_the_way_back_is_any_path_of_this_origin(wanted: str) -> None:
    assert same_origin_path(wanted) == wanted


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example/", "/\\evil.example"])
def test_no_link_to_the_form_leads_elsewhere_after_it(browser: Browser, wanted: str) -> None:
    assert "evil" not in browser.get("/login", params={"next": wanted}).text
    assert browser.sign_in("Cem", next=wanted).headers["location"] == "/"
    assert browser.get("/login", params={"next": wanted}).headers["location"] == "/"


def test_without_a_provider_there_is_no_way_by_one(browser: Browser) -> None:
    assert browser.get("/login/oidc").status_code == 404
    answered = browser.get("/login/callback", params={"code": "x", "state": "y"})
    assert answered.status_code == 401
    assert "organisation" not in browser.get("/login").text
