"""Signed tokens: what is forged, altered, over, meant for others or confused about its algorithm opens nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.accounts.keys import GivenKeys
from domain.access import ApiAction, Unauthenticated
from domain.errors import InvalidInput
from tests.access.setting import ADMIN, KEY, MINUTE, OPERATOR, SECOND, VIEWER, Rig

OURS = Ed25519PrivateKey.from_private_bytes(KEY)
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC_PEM = OURS.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
PUBLIC_RAW = OURS.public_key().public_bytes_raw()


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a token."""
    header, claims, _ = (base64.urlsafe_b64decode(text + "==") for text in token.split("."))
    return json.loads(header), json.loads(claims)


class Forge:
    """Makes tokens out of a good one: with another header, other claims, or another signature."""

    def __init__(self) -> None:
        self.rig = Rig()
        self.rig.add("ann", OPERATOR)
        self.good = self.rig.signed("ann")
        self.header, self.claims = parts(self.good)

    def signed(self, *, header: dict[str, Any] | None = None, key: Any = OURS, **claims: Any) -> str:
        """Return a token with other claims (None: left out), really signed by `key`."""
        said = {name: value for name, value in {**self.claims, **claims}.items() if value is not None}
        whole = f"{part({**self.header, **(header or {})})}.{part(said)}"
        return f"{whole}.{part(key.sign(whole.encode()))}"

    def by(self, algorithm: str, key: Any) -> str:
        """Return a token that another algorithm signs."""
        return jwt.encode(self.claims, key, algorithm, headers={k: v for k, v in self.header.items() if k != "alg"})

    def hmac(self, key: bytes) -> str:
        """Return a token whose signature is an HMAC under what everybody knows: the public key."""
        whole = f"{part({**self.header, 'alg': 'HS256'})}.{part(self.claims)}"
        return f"{whole}.{part(hmac.new(key, whole.encode(), hashlib.sha256).digest())}"

    def check_refused(self, token: str) -> str:
        """Show a token that has to open nothing, and return why it does not."""
        with pytest.raises(Unauthenticated) as problem:
            self.rig.credentials.bearer(token)
        return str(problem.value)


@pytest.fixture
def forge() -> Forge:
    return Forge()


def test_a_token_of_ours_is_taken_and_says_who_and_for_what(forge: Forge) -> None:
    caller = forge.rig.credentials.bearer(forge.good)
    assert (caller.name, caller.roles, caller.via, caller.person) == ("ann", frozenset({OPERATOR}), "jwt", "ann")
    assert caller.scopes == frozenset(action.value for action in ApiAction)
    assert forge.header["alg"] == "EdDSA"
    assert forge.rig.credentials.bearer(forge.signed()) == caller


def none_of(name: str) -> Callable[[Forge], str]:
    return lambda forge: f"{part({**forge.header, 'alg': name})}.{part(forge.claims)}."


def with_key(forge: Forge) -> str:
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": part(OTHER.public_key().public_bytes_raw())}
    return forge.signed(header={"jwk": jwk}, key=OTHER)


ATTACKS: dict[str, Callable[[Forge], str]] = {
    "nothing at all": lambda f: "",
    "no token": lambda f: "hello",
    "two dots": lambda f: "..",
    "no signature": lambda f: f.good.rpartition(".")[0] + ".",
    "alg none": none_of("none"),
    "alg None": none_of("None"),
    "alg nOnE": none_of("nOnE"),
    "alg empty": none_of(""),
    "hmac under the public key as PEM": lambda f: f.hmac(PUBLIC_PEM),
    "hmac under the public key as bytes": lambda f: f.hmac(PUBLIC_RAW),
    "hmac under nothing": lambda f: f.hmac(b""),
    "another Ed25519 key": lambda f: f.signed(key=OTHER),
    "an RSA key": lambda f: f.by("RS256", rsa.generate_private_key(65537, 2048)),
    "an elliptic key": lambda f: f.by("ES256", ec.generate_private_key(ec.SECP256R1())),
    "the header of another algorithm over our signature": lambda f: f.signed(header={"alg": "ES256"}),
    "its own key in the header": with_key,
    "an address of keys in the header": lambda f: f.signed(header={"jku": "http://127.0.0.1/jwks"}, key=OTHER),
    "an address of certificates in the header": lambda f: f.signed(header={"x5u": "http://127.0.0.1/x"}, key=OTHER),
    "certificates in the header": lambda f: f.signed(header={"x5c": ["MIIB"]}, key=OTHER),
    "an address of keys, rightly signed": lambda f: f.signed(header={"jku": "http://127.0.0.1/jwks"}),
    "critical extensions": lambda f: f.signed(header={"crit": ["b64"], "b64": False}),
    "a key that is not there": lambda f: f.signed(header={"kid": "other"}),
    "a path for a key": lambda f: f.signed(header={"kid": "../../dev/null"}, key=OTHER),
    "a query for a key": lambda f: f.signed(header={"kid": "' OR '1'='1"}, key=OTHER),
    "a number for a key": lambda f: f.signed(header={"kid": 0}),
    "no name of a key": lambda f: f.signed(header={"kid": None}),
    "another kind of token": lambda f: f.signed(header={"typ": "JWT"}),
    "an id token": lambda f: f.signed(header={"typ": "id+jwt"}),
    "another issuer": lambda f: f.signed(iss="evercrew/production"),
    "no issuer": lambda f: f.signed(iss=None),
    "issuers in a list": lambda f: f.signed(iss=["evercrew/dev"]),
    "another audience": lambda f: f.signed(aud="other-api"),
    "no audience": lambda f: f.signed(aud=None),
    "an empty audience": lambda f: f.signed(aud=[]),
    "nobody": lambda f: f.signed(sub=None),
    "an empty name": lambda f: f.signed(sub=""),
    "a name that is a list": lambda f: f.signed(sub=["ann"]),
    "somebody who is not there": lambda f: f.signed(sub="bob"),
    "no expiry": lambda f: f.signed(exp=None),
    "an expiry in words": lambda f: f.signed(exp="never"),
    "a true expiry": lambda f: f.signed(exp=True),
    "an expiry beyond all time": lambda f: f.signed(exp=1e300),
    "an expiry that is a list": lambda f: f.signed(exp=[f.claims["exp"]]),
    "no time of issue": lambda f: f.signed(iat=None),
    "issued in an hour": lambda f: f.signed(iat=f.claims["iat"] + 3600),
    "not before an hour": lambda f: f.signed(nbf=f.claims["nbf"] + 3600),
    "no identity": lambda f: f.signed(jti=None),
    "an identity that is a number": lambda f: f.signed(jti=7),
    "no generation": lambda f: f.signed(gen=None),
    "a later generation": lambda f: f.signed(gen=2),
    "a generation that is true": lambda f: f.signed(gen=True),
    "no scopes": lambda f: f.signed(scope=None),
    "scopes in a list": lambda f: f.signed(scope=["view"]),
    "altered claims": lambda f: ".".join(
        [f.good.split(".")[0], part({**f.claims, "sub": "admin"}), f.good.split(".")[2]]
    ),
    "a header over an older signature": lambda f: ".".join([part({**f.header, "x": 1}), *f.good.split(".")[1:]]),
    "too long": lambda f: f.signed(pad="x" * 9000),
    "no text": lambda f: "\x00" * 20,
    "claims that are no object": lambda f: f"{part(f.header)}.{part(['sub'])}.{part(b'x')}",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_not_ours_opens_nothing(forge: Forge, attack: str) -> None:
    token = ATTACKS[attack](forge)
    said = forge.check_refused(token)
    assert said
    assert not token or token not in said


def test_every_single_character_of_the_signature_counts(forge: Forge) -> None:
    whole, _, signature = forge.good.rpartition(".")
    for place in range(0, len(signature) - 1, 7):
        other = "A" if signature[place] != "A" else "B"
        forge.check_refused(f"{whole}.{signature[:place]}{other}{signature[place + 1 :]}")
    assert forge.rig.credentials.bearer(forge.good).name == "ann"


def test_a_token_is_over_half_an_hour_after_it_was_made_give_or_take_half_a_minute(forge: Forge) -> None:
    forge.rig.clock.advance(30 * MINUTE + 29 * SECOND)
    assert forge.rig.credentials.bearer(forge.good).name == "ann"
    forge.rig.clock.advance(SECOND)
    assert "over" in forge.check_refused(forge.good)


def test_a_token_of_another_environment_is_none_here(forge: Forge) -> None:
    from adapters.accounts.jwts import SignedTokens

    elsewhere = SignedTokens(GivenKeys(OURS), forge.rig.clock, issuer="evercrew/production")
    token, _ = elsewhere.made("ann", frozenset({"view"}), 1, timedelta(minutes=5))
    assert "issuer" in forge.check_refused(token)


def test_a_token_ends_with_the_password_it_was_given_for(forge: Forge) -> None:
    forge.rig.keeper.set_password("ann", "another long password", by="ann")
    assert "changed" in forge.check_refused(forge.good)


def test_a_token_ends_with_the_account_and_does_not_come_back(forge: Forge) -> None:
    forge.rig.keeper.disable("ann", by="admin")
    forge.check_refused(forge.good)
    forge.rig.keeper.disable("ann", by="admin", disabled=False)
    forge.check_refused(forge.good)


def test_a_role_that_was_taken_is_gone_with_the_next_request(forge: Forge) -> None:
    forge.rig.keeper.set_roles("ann", [VIEWER], by="admin")
    caller = forge.rig.credentials.bearer(forge.good)
    assert caller.roles == {VIEWER}
    assert not forge.rig.access.allowed(caller, ApiAction.OPEN_CYCLE).allowed


def test_a_revoked_token_is_refused_and_only_its_owner_revokes_it(forge: Forge) -> None:
    rig = forge.rig
    rig.add("bob", ADMIN)
    bob = rig.credentials.bearer(rig.signed("bob"))
    assert not rig.credentials.revoke(forge.good, bob)
    ann = rig.credentials.bearer(forge.good)
    assert rig.credentials.revoke(forge.good, ann)
    assert "revoked" in forge.check_refused(forge.good)
    assert not rig.credentials.revoke("hello", ann)
    assert rig.credentials.bearer(rig.signed("ann")) == ann


def test_scopes_narrow_and_never_widen(forge: Forge) -> None:
    rig = forge.rig
    account = rig.accounts.account("ann")
    assert account is not None
    text, claims = rig.credentials.token_for(account, frozenset({"view", "manage_access"}))
    caller = rig.credentials.bearer(text)
    assert claims.scopes == caller.scopes == frozenset({"view", "manage_access"})
    allowed = {action for action in ApiAction if rig.access.allowed(caller, action).allowed}
    assert allowed == {ApiAction.VIEW}
    refusal = rig.access.allowed(caller, ApiAction.OPEN_CYCLE)
    assert refusal.policies == ("forbid-api-out-of-scope",)


def test_a_machine_gets_no_more_than_it_was_let_in_for(forge: Forge) -> None:
    rig = forge.rig
    rig.add("robot", ADMIN, machine=True, scopes=["view", "open_cycle"])
    robot = rig.accounts.account("robot")
    assert robot is not None
    with pytest.raises(InvalidInput, match="start"):
        rig.credentials.token_for(robot, frozenset({"start"}))
    with pytest.raises(InvalidInput, match="fly"):
        rig.credentials.token_for(robot, frozenset({"fly"}))
    caller = rig.credentials.bearer(rig.signed("robot"))
    assert (caller.scopes, caller.person) == (frozenset({"view", "open_cycle"}), None)
    before = rig.signed("robot")
    rig.accounts.change(robot, robot.model_copy(update={"scopes": frozenset({"view"})}))
    assert rig.credentials.bearer(before).scopes == frozenset({"view"})
