"""Votes of people who have a key: what the signature covers, and that nothing else counts for them."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.approval import ApprovalRequest, Vote, VoteAnswer
from domain.canonical import canonical_hash
from domain.errors import ConfigurationError, InvalidInput
from domain.people import People, Person
from domain.receipt import AuditEntry, RecordKind
from tests.approvals.asked import Asking, refused
from tools.ballots import VOTE
from tools.outcome import Done
from tools.signatures import signed, verified

HERS, HIS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def private(key: Ed25519PrivateKey, *, pem: bool = False) -> bytes:
    """Return the key as OpenSSH, or PEM, keeps it."""
    kind = serialization.PrivateFormat.PKCS8 if pem else serialization.PrivateFormat.OpenSSH
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())


def public(key: Ed25519PrivateKey, *, pem: bool = False) -> str:
    """Return the public half."""
    if pem:
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        return key.public_key().public_bytes(serialization.Encoding.PEM, kind).decode()
    kind = serialization.PublicFormat.OpenSSH
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, kind).decode()


@pytest.fixture
def asking(asking: Asking) -> Asking:
    ann = Person(name="Ann", roles=("admin",), os_users=("ann",), public_key=f"{public(HERS)} ann@desk")
    asking.with_people(People({"Ann": ann}))
    return asking


@pytest.mark.parametrize("pem", [False, True])
def test_a_signature_is_of_one_statement_and_one_key(pem: bool) -> None:
    signature = signed(private(HERS, pem=pem), b"statement")
    assert verified(public(HERS, pem=pem), b"statement", signature)
    assert not verified(public(HERS, pem=pem), b"statemenu", signature)
    assert not verified(public(HIS, pem=pem), b"statement", signature)
    for broken in ("", "?", signature[:-4]):
        assert not verified(public(HERS, pem=pem), b"statement", broken)
    for key in ("", "ssh-ed25519 AAAA", "ssh-rsa AAAA", "-----BEGIN PUBLIC KEY-----"):
        assert not verified(key, b"statement", signature)


def test_a_key_that_cannot_sign_is_named() -> None:
    other = generate_private_key(SECP256R1())
    plain = serialization.NoEncryption()
    wrong = other.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    with pytest.raises(InvalidInput, match="another kind"):
        signed(wrong, b"x")
    locked = serialization.BestAvailableEncryption(b"word")
    sealed = HERS.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    for broken in (b"", b"no key", sealed):
        with pytest.raises(InvalidInput, match="cannot be used"):
            signed(broken, b"x")


def test_a_signed_vote_opens_the_call(asking: Asking) -> None:
    request = asking.asked()
    after = asking.approve(request, key=private(HERS), account="somebody")
    assert after.approving[0].proof.how == "signature"
    assert isinstance(asking.call(), Done)


def test_her_account_alone_or_the_key_of_another_is_refused(asking: Asking) -> None:
    request = asking.asked()
    with pytest.raises(InvalidInput, match="has to sign"):
        asking.approve(request)
    with pytest.raises(InvalidInput, match="is not that of Ann"):
        asking.approve(request, key=private(HIS))
    refused(asking.call())


def _smuggled(asking: Asking, request: ApprovalRequest, vote: Vote) -> None:
    """Write a vote into the table and into the chain, as whoever has both could."""
    asking.consent.store.vote(request.id, vote)
    body = {"approval": request.id, "vote": vote.model_dump(mode="json"), "vote_hash": canonical_hash(vote)}
    cycle = request.binding.cycle_id
    asking.audit.append(AuditEntry(kind=RecordKind.NOTE, cycle_id=cycle, actor="Ann", status=VOTE, body=body))


def test_a_signature_for_another_call_does_not_count_for_this_one(asking: Asking) -> None:
    first = asking.asked()
    vote = asking.approve(first, key=private(HERS)).approving[0]
    refused(asking.call(place="another"))
    second = asking.newest()
    assert second.id != first.id
    _smuggled(asking, second, vote)
    refused(asking.call(place="another"))
    assert asking.promotions == 0


@pytest.mark.parametrize("change", [{"reason": "altered"}, {"seen": "0" * 64}])
def test_a_vote_that_was_altered_after_it_was_signed_does_not_count(asking: Asking, change: dict[str, str]) -> None:
    request = asking.asked()
    unsigned = Vote(
        person="Ann",
        answer=VoteAnswer.APPROVE,
        at=asking.clock.now(),
        proof={"how": "signature", "who": "ann"},  # type: ignore[arg-type]
    )
    signature = signed(private(HERS), unsigned.statement(request.binding))
    proof = unsigned.proof.model_copy(update={"signature": signature})
    good = unsigned.model_copy(update={"proof": proof})
    _smuggled(asking, request, good.model_copy(update=change))
    refused(asking.call())
    assert asking.consent.ballots.counting(asking.newest()) == ()


def test_a_vote_by_account_of_somebody_with_a_key_does_not_count_whoever_wrote_it(asking: Asking) -> None:
    request = asking.asked()
    proof = {"how": "os_user", "who": "ann"}
    vote = Vote.model_validate({"person": "Ann", "answer": "approve", "at": asking.clock.now(), "proof": proof})
    _smuggled(asking, request, vote)
    refused(asking.call())
    assert asking.promotions == 0


@pytest.mark.parametrize(
    "second",
    [
        Person(name=" ANN ", roles=("admin",)),
        Person(name="Bea", roles=("admin",), os_users=("ann",)),
        Person(name="Bea", roles=("admin",), public_key=f"{public(HERS)} another comment"),
    ],
    ids=["name", "account", "key"],
)
def test_nobody_is_two_people(second: Person) -> None:
    ann = Person(name="Ann", roles=("admin",), os_users=("ann",), public_key=public(HERS))
    with pytest.raises(ConfigurationError, match="decide twice"):
        People({"a": ann, "b": second})
