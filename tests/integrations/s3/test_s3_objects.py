"""Objects in S3, against a store that speaks its protocol, and against what only looks like one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.backup.base import ObjectsPort
from adapters.backup.s3 import S3Objects
from adapters.meter import exposition
from adapters.s3 import S3Location, s3_location
from domain.errors import (
    ConfigurationError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    DigestMismatch,
    EvercrewError,
)
from testbed.servers.moto import Moto
from tests.contract.backup_contract import ObjectsContract, sha256
from tests.integrations.stores import silence
from tests.stubs.small_server import Said, SmallServer

pytest.importorskip("boto3", reason="boto3 is not installed: pip install 'evercrew[s3]'")

_numbers = itertools.count()
_SHORT = timedelta(milliseconds=300)


def objects_in(store: Moto, *, prefix: str = "", page: int = 1000) -> S3Objects:
    """Return the objects of a bucket of their own."""
    bucket = store.bucket(f"objects-{next(_numbers)}")
    return S3Objects(
        s3_location("backup.s3", address="backup.to", url=f"{bucket}/{prefix}", endpoint_url=store.url), page=page
    )


def at(url: str, *, bucket: str = "bucket", timeout: timedelta = timedelta(seconds=30)) -> S3Objects:
    """Return the objects of a store at some address."""
    return S3Objects(S3Location(url=f"s3://{bucket}/", endpoint_url=url, timeout=timeout))


@pytest.mark.integration("s3", "works")
class TestS3Objects(ObjectsContract):
    @pytest.fixture
    def objects(self, s3: Moto) -> ObjectsPort:
        return objects_in(s3)


@pytest.mark.integration("s3", "works")
class TestS3ObjectsBelowAPrefix(ObjectsContract):
    @pytest.fixture
    def objects(self, s3: Moto) -> ObjectsPort:
        return objects_in(s3, prefix="search/daily")


@pytest.mark.integration("s3", "works")
def test_a_prefix_keeps_its_objects_apart_from_its_neighbours(s3: Moto, tmp_path: Path) -> None:
    bucket = s3.bucket("shared")
    (tmp_path / "file").write_bytes(b"x")
    for prefix in ("one", "one-more"):
        S3Objects(s3_location("backup.s3", address="backup.to", url=f"{bucket}/{prefix}", endpoint_url=s3.url)).put(
            prefix, tmp_path / "file"
        )
    here = S3Objects(s3_location("backup.s3", address="backup.to", url=f"{bucket}/one", endpoint_url=s3.url))
    assert list(here.names()) == ["one"]
    assert s3.read("shared", "one/one") == b"x"


@pytest.mark.integration("s3", "works")
def test_more_objects_than_a_page_holds_are_all_found_and_deleted(s3: Moto, tmp_path: Path) -> None:
    objects = objects_in(s3, page=2)
    (tmp_path / "file").write_bytes(b"x")
    for number in range(5):
        objects.put(f"n/{number}", tmp_path / "file")
    assert len(objects.names()) == 5
    objects.delete(list(objects.names()))
    assert objects.names() == {}
    assert 'evercrew_adapter_requests_total{adapter="backup s3",outcome="ok"}' in exposition()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with Moto(tmp_path_factory.mktemp("strict"), asks_who=True) as store:
        yield store


@pytest.mark.integration("s3", "refused")
def test_credentials_nobody_knows_are_told_from_a_store_that_is_down(strict: Moto, s3: Moto) -> None:
    with pytest.raises(DependencyUnavailable, match=r"credentials are refused.*AWS_ACCESS_KEY_ID") as refused:
        at(strict.url).check()
    assert "testing" not in str(refused.value)
    with pytest.raises(DependencyUnavailable, match=r"no connection.*backup\.s3\.endpoint_url"):
        at("http://127.0.0.1:9").check()


def xml(code: str, message: str = "no") -> bytes:
    """Return an error as S3 words it."""
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()


@pytest.mark.integration("s3", "refused")
@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", r"may not ListObjectsV2 in bucket.*Grant ListBucket, GetObject, PutObject"),
        (403, "SignatureDoesNotMatch", r"credentials are refused"),
        (403, "RequestTimeTooSkewed", r"Set this machine's clock"),
        (503, "SlowDown", r"in trouble.*Try again later"),
    ],
)
def test_every_refusal_has_its_own_answer(s3: Moto, status: int, code: str, said: str) -> None:
    with (
        SmallServer(lambda request: Said(status, xml(code), kind="application/xml")) as stub,
        pytest.raises(DependencyUnavailable, match=said),
    ):
        at(stub.url).check()


@pytest.mark.integration("s3", "slow")
def test_a_store_that_does_not_answer_is_given_up(s3: Moto) -> None:
    with silence() as url, pytest.raises(DependencyTimeout, match=r"within 0\.3 s.*backup\.s3\.endpoint_url"):
        at(url, timeout=_SHORT).names()


@pytest.mark.integration("s3", "lying")
def test_an_object_altered_in_the_store_is_not_handed_out(s3: Moto, tmp_path: Path) -> None:
    bucket = f"objects-{next(_numbers)}"
    objects = S3Objects(s3_location("backup.s3", address="backup.to", url=s3.bucket(bucket), endpoint_url=s3.url))
    (tmp_path / "file").write_bytes(b"as it was")
    objects.put("kept", tmp_path / "file")
    s3.write(bucket, "kept", b"as it is!")
    with pytest.raises(DigestMismatch, match="kept"):
        objects.get("kept", tmp_path / "back", sha256=sha256(b"as it was"))
    assert not (tmp_path / "back").exists()


@pytest.mark.integration("s3", "lying")
@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"{}", b"<x"])
def test_another_product_that_answers_is_told(s3: Moto, body: bytes) -> None:
    with (
        SmallServer(lambda request: Said(200, body, kind="text/html")) as stub,
        pytest.raises((DependencyLied, DependencyUnavailable), match=r"endpoint_url"),
    ):
        at(stub.url).check()


@pytest.mark.integration("s3", "misconfigured")
def test_a_bucket_that_is_not_there_is_named(s3: Moto) -> None:
    with pytest.raises(DependencyUnavailable, match=r"no bucket never-made.*Create it, or mend backup\.to"):
        at(s3.url, bucket="never-made").check()


@pytest.mark.integration("s3", "misconfigured")
@pytest.mark.parametrize("code", ["PermanentRedirect", "AuthorizationHeaderMalformed"])
def test_another_region_is_named(s3: Moto, code: str) -> None:
    with (
        SmallServer(lambda request: Said(400, xml(code), kind="application/xml")) as stub,
        pytest.raises(DependencyUnavailable, match=r"another region.*Mend backup\.s3\.region"),
    ):
        at(stub.url).check()


@pytest.mark.integration("s3", "misconfigured")
def test_missing_credentials_and_a_profile_nobody_knows_are_the_operators(
    store: Moto, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match=r"no credentials.*Set AWS_ACCESS_KEY_ID"):
        at(store.url).check()
    with pytest.raises(ConfigurationError, match=r"backup\.s3\.profile: 'nobody'"):
        S3Objects(S3Location(url="s3://bucket", endpoint_url=store.url, profile="nobody")).check()


@pytest.mark.integration("s3", "misconfigured")
@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"url": "s3://UPPER"}, "backup.to"),
        ({"url": "http://bucket"}, "backup.to"),
        ({"url": "s3://bucket", "endpoint_url": "store:9000"}, "backup.s3.endpoint_url"),
        ({"url": "s3://bucket", "endpoint_url": "http://user:secret@store"}, "backup.s3.endpoint_url"),
    ],
)
def test_an_address_that_is_none_names_its_field(given: dict[str, str], field: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        s3_location("backup.s3", address="backup.to", **given)
    assert told.value.field == field


@pytest.mark.integration("s3", "misconfigured")
def test_errors_are_of_our_own_tree(s3: Moto) -> None:
    told: list[str] = []
    for objects in (at(s3.url, bucket="never-made"), at("http://127.0.0.1:9")):
        with pytest.raises(EvercrewError) as problem:
            objects.read("x")
        told.append(str(problem.value))
    assert len(set(told)) == 2
