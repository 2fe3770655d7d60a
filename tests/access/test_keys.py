"""The key that signs tokens, and what a browser carries sealed under it."""

from __future__ import annotations

import resource
import stat
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.accounts.keys import KEY, PREVIOUS, access_keys, rotated
from adapters.accounts.oidc import Errand
from domain.access import Unauthenticated
from domain.clock import FrozenClock
from domain.errors import ConfigurationError
from service.access.errands import Errands
from tests.access.setting import KEY as BYTES

ERRAND = Errand(state="s", nonce="n", verifier="v", back_to="/cycles", redirect_uri="http://x/")


def pem(key: Ed25519PrivateKey | rsa.RSAPrivateKey, passphrase: bytes = b"") -> str:
    """Return a private key as PEM."""
    shut: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        shut = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, shut).decode()


def raw(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes_raw()


def access_key(folder: Path, given: str = "") -> Ed25519PrivateKey:
    """Return the key that signs."""
    return access_keys(folder, FrozenClock(), given).valid()[0].private


def test_a_key_is_made_once_and_its_owner_alone_reads_it(tmp_path: Path) -> None:
    first = access_key(tmp_path / "state")
    place = tmp_path / "state" / KEY
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert raw(access_key(tmp_path / "state")) == raw(first)
    assert [path.name for path in (tmp_path / "state").iterdir()] == [KEY]


def test_of_many_that_make_it_at_once_all_have_the_same(tmp_path: Path) -> None:
    found: list[bytes] = []
    gate = threading.Barrier(6)

    def make() -> None:
        gate.wait(60)
        found.append(raw(access_key(tmp_path)))

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 6
    assert len(set(found)) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    access_key(tmp_path)
    (tmp_path / KEY).chmod(mode)
    with pytest.raises(ConfigurationError, match="others may read"):
        access_key(tmp_path)


def test_a_key_is_given_as_a_pem_in_one_line_or_as_a_file(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    file = tmp_path / "key.pem"
    file.write_text(pem(key), encoding="utf-8")
    for given in (pem(key), pem(key).replace("\n", "\\n"), str(file), f"  {file}\n"):
        assert raw(access_key(tmp_path / "state", given)) == raw(key)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("what", ["rsa", "passphrase", "public", "text", "no file", "folder", "half"])
def test_what_is_no_key_is_refused_and_never_shown(tmp_path: Path, what: str) -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    given = {
        "rsa": pem(rsa.generate_private_key(65537, 2048)),
        "passphrase": pem(key, b"secret"),
        "public": public.decode(),
        "text": "-----BEGIN nothing",
        "no file": str(tmp_path / "none.pem"),
        "folder": str(tmp_path),
        "half": pem(key)[:60],
    }[what]
    with pytest.raises(ConfigurationError, match="EVERCREW_ACCESS_KEY") as problem:
        access_key(tmp_path / "state", given)
    assert "PRIVATE KEY" not in str(problem.value)


def test_an_errand_comes_back_as_it_was_within_ten_minutes() -> None:
    clock = FrozenClock()
    sealed = Errands([BYTES], clock).sealed(ERRAND)
    assert "cycles" not in sealed
    clock.advance(timedelta(minutes=10))
    assert Errands([BYTES], clock).opened(sealed) == ERRAND
    clock.advance(timedelta(seconds=1))
    with pytest.raises(Unauthenticated):
        Errands([BYTES], clock).opened(sealed)


@pytest.mark.parametrize("change", ["another key", "altered", "empty", "text", "not ASCII"])
def test_an_errand_that_was_not_sealed_here_is_none(change: str) -> None:
    clock = FrozenClock()
    sealed = Errands([BYTES], clock).sealed(ERRAND)
    shown = {
        "another key": Errands([bytes(32)], clock).sealed(ERRAND),
        "altered": sealed[:40] + ("A" if sealed[40] != "A" else "B") + sealed[41:],
        "empty": "",
        "text": "hello",
        "not ASCII": "é" * 100,
    }[change]
    with pytest.raises(Unauthenticated):
        Errands([BYTES], clock).opened(shown)


def test_a_key_that_cannot_be_written_leaves_nothing_of_it_behind(tmp_path: Path) -> None:
    access_keys(tmp_path, FrozenClock())
    before = sorted(path.name for path in tmp_path.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(ConfigurationError, match="cannot be used"):
            rotated(tmp_path, FrozenClock(), None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    left = {path.name: path.stat().st_size for path in tmp_path.iterdir() if path.name not in before}
    assert left == {".access.key.lock": 0}


def test_a_key_before_that_is_taken_away_while_it_is_read_is_none(tmp_path: Path) -> None:
    clock = FrozenClock()
    access_keys(tmp_path, clock)
    rotated(tmp_path, clock, clock.now() + timedelta(hours=1))
    (tmp_path / PREVIOUS).rename(tmp_path / "kept")
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            (tmp_path / PREVIOUS).hardlink_to(tmp_path / "kept")
            (tmp_path / PREVIOUS).unlink()

    thread, pace = threading.Thread(target=come_and_go), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        found = [len(access_keys(tmp_path, clock).valid()) for _ in range(4000)]
    finally:
        sys.setswitchinterval(pace)
        over.set()
        thread.join(5)
    assert set(found) <= {1, 2}
