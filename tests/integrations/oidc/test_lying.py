"""A provider that lies, dawdles, is down or signs with the wrong keys opens nothing, and is not asked too often."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from adapters.accounts.oidc import Errand, OidcClient, OidcProvider
from adapters.accounts.oidc_facts import object_in
from domain.access import AccessRole, Unauthenticated
from domain.clock import FrozenClock
from domain.errors import DependencyError, DependencyLied, DependencyUnavailable
from service.access_sections import OidcConfig
from tests.access.setting import Rig
from tests.stubs.small_server import NOBODY, Asked, Said, SmallServer, endpoint, said
from tests.support.waiting import until

RSA, OTHER_RSA = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
RSA_PEM = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
CLIENT, AUDIENCE = "evercrew", "urn:evercrew"


def public(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    """Return a public key as a provider shows it."""
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    shown: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
    return {**shown, "kid": kid, "use": "sig", **more}


class Liar:
    """A provider whose every word can be changed; `errand` is what somebody was sent to it with."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.server = SmallServer(self._answer)
        self.keys: Any = [public(RSA, "r1"), public(EC, "e1", alg="ES256")]
        self.about: dict[str, Any] = {}
        self.id_token = ""

    def start(self, **client: Any) -> OidcProvider:
        """Serve, and return what asks it."""
        self.issuer = self.server.start()
        plain: dict[str, Any] = {
            "issuer": self.issuer,
            "client_id": CLIENT,
            "secret": "s",
            "audience": AUDIENCE,
            "scopes": ("openid",),
            "name_claim": "preferred_username",
            "groups_claim": "groups",
            "groups": {"ops": AccessRole.OPERATOR},
            "algorithms": ("RS256", "ES256"),
            "keys_last": timedelta(minutes=10),
        }
        self.oidc = OidcProvider(OidcClient(**{**plain, **client}), endpoint(self.issuer), self.clock)
        return self.oidc

    def _answer(self, asked: Asked) -> Said:
        if asked.path.endswith("openid-configuration"):
            names = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "jwks"}
            places = {name: f"{self.issuer}/{path}" for name, path in names.items()}
            return said({"issuer": self.issuer, **places, **self.about})
        return said({"keys": self.keys} if asked.path == "/jwks" else {"id_token": self.id_token})

    def looks(self, path: str = "/jwks") -> int:
        """Return how often something was asked for."""
        return sum(asked.path == path for asked in self.server.seen)

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Return what a good access token says, changed; None leaves out."""
        now = int(self.clock.now().timestamp())
        plain: dict[str, Any] = {"iss": self.issuer, "aud": AUDIENCE, "sub": "1", "iat": now, "exp": now + 600}
        named = {"preferred_username": "ines", "groups": ["ops"]}
        return {name: value for name, value in {**plain, **named, **changed}.items() if value is not None}

    def token(self, key: Any = RSA, alg: str = "RS256", kid: Any = "r1", typ: str = "at+jwt", **changed: Any) -> str:
        """Return an access token."""
        headers = {"typ": typ, **({} if kid is None else {"kid": kid})}
        return jwt.encode(self.claims(**changed), key, alg, headers=headers)

    def code(self, **changed: Any) -> Any:
        """Let somebody come back with a code for an id token that says so."""
        errand = Errand(state="s", nonce="n", verifier="v", back_to="/", redirect_uri="http://x/")
        key, alg, kid = changed.pop("key", RSA), changed.pop("alg", "RS256"), changed.pop("kid", "r1")
        said = {"aud": CLIENT, "nonce": "n", **changed}
        self.id_token = self.token(key, alg, kid, "JWT", **said)
        return self.oidc.came_back(errand, {"state": "s", "code": "c", "iss": self.issuer})


@pytest.fixture
def liar() -> Iterator[Liar]:
    made = Liar()
    made.start()
    yield made
    made.oidc.close()
    made.server.stop()


@pytest.mark.integration("oidc", "works")
def test_an_honest_token_is_taken_by_either_kind_of_key(liar: Liar) -> None:
    who = liar.oidc.bearer(liar.token())
    assert (who.name, who.roles, who.machine) == ("ines", frozenset({AccessRole.OPERATOR}), False)
    assert liar.oidc.bearer(liar.token(EC, "ES256", "e1")) == who
    assert liar.code().name == "ines"
    assert "2 keys" in liar.oidc.check()


def hmac_under_the_public_key(liar: Liar) -> str:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    header = json.dumps({"alg": "HS256", "typ": "at+jwt", "kid": "r1"}).encode()
    whole = f"{part(header)}.{part(json.dumps(liar.claims()).encode())}"
    return f"{whole}.{part(hmac.new(RSA_PEM, whole.encode(), hashlib.sha256).digest())}"


FORGED: dict[str, Callable[[Liar], str]] = {
    "another key of the same name": lambda liar: liar.token(OTHER_RSA),
    "no name of a key": lambda liar: liar.token(kid=None),
    "a key that is not there": lambda liar: liar.token(kid="r9"),
    "an algorithm that is not trusted": lambda liar: liar.token(alg="PS256"),
    "another algorithm of the same key": lambda liar: liar.token(alg="RS512"),
    "the key of another algorithm": lambda liar: liar.token(EC, "ES256", "r1"),
    "no algorithm": lambda liar: jwt.encode(liar.claims(), "", "none", headers={"kid": "r1"}),
    "hmac under the public key": hmac_under_the_public_key,
    "another issuer": lambda liar: liar.token(iss="https://evil.example"),
    "another audience": lambda liar: liar.token(aud="urn:other"),
    "the client's own audience": lambda liar: liar.token(aud=CLIENT),
    "no audience": lambda liar: liar.token(aud=None),
    "over": lambda liar: liar.token(exp=int(liar.clock.now().timestamp()) - 31),
    "no expiry": lambda liar: liar.token(exp=None),
    "not yet": lambda liar: liar.token(nbf=int(liar.clock.now().timestamp()) + 60),
    "issued tomorrow": lambda liar: liar.token(iat=int(liar.clock.now().timestamp()) + 86_400),
    "an id token": lambda liar: liar.token(typ="JWT", nonce="n"),
    "a logout token": lambda liar: liar.token(typ="logout+jwt"),
    "nobody": lambda liar: liar.token(sub=None),
    "no name": lambda liar: liar.token(preferred_username=None),
    "a name that is none": lambda liar: liar.token(preferred_username=["ines"]),
    "no groups": lambda liar: liar.token(groups=None),
    "other groups": lambda liar: liar.token(groups=["everybody"]),
    "groups that are an object": lambda liar: liar.token(groups={"ops": True}),
    "a group that is nearly one": lambda liar: liar.token(groups=["OPS", " ops", "ops,admin"]),
}


@pytest.mark.integration("oidc", "lying")
@pytest.mark.parametrize("attack", FORGED)
def test_a_token_that_does_not_hold_opens_nothing(liar: Liar, attack: str) -> None:
    with pytest.raises(Unauthenticated):
        liar.oidc.bearer(FORGED[attack](liar))


@pytest.mark.integration("oidc", "lying")
@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "other"},
        {"nonce": None},
        {"nonce": 7},
        {"aud": AUDIENCE},
        {"aud": [CLIENT, "other"]},
        {"azp": "other"},
        {"aud": [CLIENT, "other"], "azp": "other"},
        {"key": OTHER_RSA},
        {"iss": "https://evil.example"},
        {"groups": []},
    ],
    ids=lambda changed: ", ".join(changed) if "key" in changed else str(changed),
)
def test_an_id_token_of_another_errand_client_or_issuer_lets_nobody_in(liar: Liar, changed: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        liar.code(**changed)


@pytest.mark.integration("oidc", "works")
def test_an_id_token_for_several_is_taken_when_it_was_made_for_us(liar: Liar) -> None:
    assert liar.code(aud=[CLIENT, "other"], azp=CLIENT).name == "ines"
    assert liar.code(groups="ops").roles == {AccessRole.OPERATOR}


@pytest.mark.integration("oidc", "lying")
@pytest.mark.parametrize(
    "about",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": ""},
        {"token_endpoint": "/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
    ids=str,
)
def test_a_provider_that_says_it_is_another_or_points_elsewhere_is_not_believed(
    liar: Liar, about: dict[str, Any]
) -> None:
    liar.about = about
    with pytest.raises(DependencyLied):
        liar.oidc.bearer(liar.token())
    with pytest.raises(DependencyError):
        liar.oidc.send("/", "http://x/")


@pytest.mark.integration("oidc", "lying")
@pytest.mark.parametrize(
    "keys",
    [None, {}, [public(RSA, "r1")] * 51, [{"kid": "r1", "kty": "RSA", "n": "!", "e": "AQAB"}]],
    ids=["none", "an object", "too many", "damaged"],
)
def test_keys_that_are_none_are_an_error_of_the_provider(liar: Liar, keys: Any) -> None:
    liar.keys = keys
    with pytest.raises(DependencyLied):
        liar.oidc.bearer(liar.token())


@pytest.mark.integration("oidc", "lying")
def test_secret_and_private_keys_among_its_keys_are_not_used(liar: Liar) -> None:
    secret = {"kty": "oct", "k": base64.urlsafe_b64encode(b"s" * 32).decode(), "kid": "o1", "alg": "HS256"}
    private = {**public(RSA, "p1"), "d": "AQAB"}
    liar.keys = [secret, private, {**public(RSA, "c1"), "use": "enc"}]
    for token in (liar.token("s" * 32, "HS256", "o1"), liar.token(kid="p1"), liar.token(kid="c1")):
        with pytest.raises(Unauthenticated):
            liar.oidc.bearer(token)


@pytest.mark.integration("oidc", "lying")
def test_an_answer_that_is_no_json_or_endless_is_not_believed(liar: Liar) -> None:
    for body in (b"<html>", b"[]", b'{"keys": "' + b"x" * 300_000 + b'"}'):
        liar.clock.advance(timedelta(minutes=11))
        liar.server.lie = Said(200, body)
        with pytest.raises(DependencyError):
            liar.oidc.bearer(liar.token())


@pytest.mark.integration("oidc", "works")
def test_keys_are_kept_for_ten_minutes_and_a_new_one_is_found(liar: Liar) -> None:
    for _ in range(5):
        liar.oidc.bearer(liar.token())
    assert liar.looks() == 1
    liar.keys = [public(OTHER_RSA, "r2")]
    liar.clock.advance(timedelta(seconds=61))
    assert liar.oidc.bearer(liar.token(OTHER_RSA, kid="r2")).name == "ines"
    assert liar.looks() == 2
    with pytest.raises(Unauthenticated):
        liar.oidc.bearer(liar.token())


@pytest.mark.integration("oidc", "works")
def test_names_of_keys_that_nobody_has_make_it_ask_once_a_minute_and_no_more(liar: Liar) -> None:
    for number in range(20):
        with pytest.raises(Unauthenticated):
            liar.oidc.bearer(liar.token(kid=f"none-{number}"))
    assert liar.looks() == 1
    liar.clock.advance(timedelta(seconds=61))
    for number in range(20):
        with pytest.raises(Unauthenticated):
            liar.oidc.bearer(liar.token(kid=f"none-{number}"))
    assert liar.looks() == 2


@pytest.mark.integration("oidc", "slow")
def test_a_provider_that_dawdles_is_an_error_in_time_and_left_alone_for_a_moment(liar: Liar) -> None:
    oidc = OidcProvider(liar.oidc._client, endpoint(liar.issuer, timeout=timedelta(seconds=3)), liar.clock)
    liar.server.delay = 30
    token = liar.token()
    for _ in range(3):
        with pytest.raises(DependencyError):
            oidc.bearer(token)
    until(lambda: liar.server.seen)
    assert len(liar.server.seen) == 1
    liar.server.delay = 0
    liar.clock.advance(timedelta(seconds=5))
    assert oidc.bearer(token).name == "ines"
    oidc.close()


@pytest.mark.integration("oidc", "refused")
def test_a_provider_that_is_down_lets_nobody_in_and_nobody_out() -> None:
    clock = FrozenClock()
    down = OidcConfig.model_validate({"issuer": NOBODY, "client_id": CLIENT, "groups": {"ops": "operator"}})
    from service.access.desk import oidc_of

    provider = oidc_of(down, "s", clock)
    assert provider is not None
    with pytest.raises(DependencyUnavailable):
        provider.send("/", "http://x/")
    rig = Rig(oidc=provider)
    rig.add("ann")
    assert rig.credentials.bearer(rig.signed("ann")).name == "ann"


@pytest.mark.integration("oidc", "misconfigured")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"issuer": "http://op.example"}, "https"),
        ({"issuer": "ftp://op.example"}, "issuer"),
        ({"algorithms": ["none"]}, "trusted"),
        ({"algorithms": ["RS256", "HS256"]}, "HS256"),
        ({"algorithms": []}, "trusted"),
        ({"scopes": ["profile"]}, "openid"),
        ({"groups": {}}, "groups"),
        ({"groups": {"ops": "emperor"}}, "groups"),
        ({"client_id": ""}, "client_id"),
        ({"client_secret": "x"}, "client_secret"),
    ],
    ids=str,
)
def test_a_section_that_could_not_be_safe_is_refused(change: dict[str, Any], said: str) -> None:
    plain = {"issuer": "https://op.example", "client_id": CLIENT, "groups": {"ops": "operator"}}
    assert OidcConfig.model_validate(plain).audience == ""
    with pytest.raises(ValueError, match=said):
        OidcConfig.model_validate({**plain, **change})


@pytest.mark.integration("oidc", "refused")
@pytest.mark.parametrize("odd", ["é", "\ud800", "", "s" * 1000])
def test_an_answer_whose_state_or_nonce_is_odd_text_is_refused_and_no_defect(liar: Liar, odd: str) -> None:
    errand = Errand(state="s", nonce="n", verifier="v", back_to="/", redirect_uri="http://x/")
    with pytest.raises(Unauthenticated, match="not to what this browser asked"):
        liar.oidc.came_back(errand, {"state": odd, "code": "c", "iss": liar.issuer})
    with pytest.raises(Unauthenticated, match="another errand"):
        liar.code(nonce=odd)


@pytest.mark.integration("oidc", "lying")
@pytest.mark.parametrize("time", [-99_999_999_999, -1, 1e11, "now"])
def test_a_time_that_is_none_in_a_token_that_is_rightly_signed_opens_nothing(liar: Liar, time: Any) -> None:
    for name in ("exp", "iat", "nbf"):
        with pytest.raises(Unauthenticated):
            liar.oidc.bearer(liar.token(**{name: time}))


@pytest.mark.integration("oidc", "lying")
@pytest.mark.parametrize("place", ["http://[", "http://]", "", "jwks"])
def test_an_address_that_is_none_is_a_lie(liar: Liar, place: str) -> None:
    liar.about = {"jwks_uri": place}
    with pytest.raises(DependencyLied, match="jwks_uri"):
        liar.oidc.bearer(liar.token())


@pytest.mark.integration("oidc", "lying")
def test_an_answer_that_is_too_deep_to_be_read_is_a_lie() -> None:
    with pytest.raises(DependencyLied, match="not JSON"):
        object_in("[" * 100_000, "its description")
