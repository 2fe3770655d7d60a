"""What the adapters of S3 stores share: the address, the client, and what its errors mean.

Credentials are boto's own affair (``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``, a profile, the machine's role):
they are neither in the configuration nor in an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from domain.errors import (
    ConfigurationError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    EvercrewError,
)

_KEYS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_REFUSED = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidClientTokenId", "401"}
    | {"AuthFailure", "RequestExpired", "TokenRefreshRequired"}
)
_FORBIDDEN = frozenset({"AccessDenied", "AllAccessDisabled", "Forbidden", "403"})
_ELSEWHERE = frozenset(
    {"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
_BUSY = frozenset(
    {"SlowDown", "ServiceUnavailable", "InternalError", "RequestLimitExceeded", "500", "502", "503", "504"}
)
_CLOCK = "RequestTimeTooSkewed"


class S3Fields(NamedTuple):
    """Where an operator mends what: fields of the configuration, or variables of the environment."""

    address: str
    endpoint_url: str
    region: str
    profile: str


def fields_of(address: str, section: str) -> S3Fields:
    """Return the fields of an address in one field and the rest in a section."""
    return S3Fields(address, f"{section}.endpoint_url", f"{section}.region", f"{section}.profile")


class S3Location(BaseModel):
    """A place in a store: ``s3://bucket/prefix``.

    `endpoint_url` is for stores other than Amazon's (their S3 interface: OCI, MinIO, Ceph), None for Amazon's own;
    `timeout` is for one attempt.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,62}(/[\w.=+/-]*)?$")
    endpoint_url: str | None = Field(default=None, pattern=r"^https?://[^@\s]+$")
    region: str | None = None
    profile: str | None = None
    timeout: timedelta = timedelta(seconds=20)

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.url.removeprefix("s3://").partition("/")[0]

    @property
    def prefix(self) -> str:
        """What the names in the bucket start with: empty, or ending in ``/``."""
        path = self.url.removeprefix("s3://").partition("/")[2].strip("/")
        return f"{path}/" if path else ""


def s3_location(field: str, *, address: str, **given: Any) -> S3Location:
    """Return the location; `address` is the field its url comes from.

    Raises:
        ConfigurationError: a part of it cannot be; names its field in the section `field`.
    """
    from pydantic import ValidationError

    try:
        return S3Location.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as problem:
        name = str(problem.errors()[0]["loc"][0])
        remedy = "Write s3://bucket/prefix" if name == "url" else "Write http(s)://host:port without credentials"
        value = given.get(name)
        where = address if name == "url" else f"{field}.{name}"
        raise ConfigurationError(where, f"{value!r} is not an address", remedy) from None


def s3_client(location: S3Location) -> Any:
    """Return boto3's client of the location; nothing is asked yet."""
    import boto3
    from botocore.config import Config

    seconds = location.timeout.total_seconds()
    settings = Config(
        # Names of buckets are part of the path where the store is no Amazon's: it seldom has a name for each.
        s3={"addressing_style": "path" if location.endpoint_url else "auto"},
        connect_timeout=min(seconds, 5.0),
        read_timeout=seconds,
        retries={"total_max_attempts": 2, "mode": "standard"},
        # Checksums that other stores do not know are sent only where a call cannot do without.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = boto3.Session(profile_name=location.profile, region_name=location.region)
    region = session.region_name or "us-east-1"
    return session.client("s3", endpoint_url=location.endpoint_url, region_name=region, config=settings)


def probe(location: S3Location, *, name: str, fields: S3Fields) -> None:
    """Return when the bucket can be listed.

    Raises:
        DependencyError: it cannot; the message says why and what to do.
        ConfigurationError: there are no credentials, or no such profile.
    """
    with s3_errors(location, name=name, fields=fields):
        page = s3_client(location).list_objects_v2(Bucket=location.bucket, Prefix=location.prefix, MaxKeys=1)
    check_page(page, location, name=name, fields=fields)


def check_page(page: Mapping[str, Any], location: S3Location, *, name: str, fields: S3Fields) -> None:
    """Return when a page of a list is one of the bucket's: boto takes any XML for an empty one.

    Raises:
        DependencyLied: it is not.
    """
    if page.get("Name") != location.bucket:
        raise DependencyLied(
            name, "what answers is no S3 store: its list names no bucket", f"Mend {fields.endpoint_url}"
        )


@contextmanager
def s3_errors(location: S3Location, *, name: str, fields: S3Fields) -> Iterator[None]:
    """Turn what boto raises inside into errors of ours; `fields` are what an operator mends."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise explained(error, location, name=name, fields=fields) from error


def explained(error: Exception, location: S3Location, *, name: str, fields: S3Fields) -> EvercrewError:
    """Return the error of ours for one of boto's, with what an operator can do about it."""
    from botocore import exceptions as boto

    root = boto_error(error)
    if isinstance(root, boto.ClientError):
        return _answered(root, location, name, fields)
    if isinstance(root, boto.ProfileNotFound):
        return ConfigurationError(fields.profile, f"{location.profile!r} is in no AWS configuration", "Mend it")
    if isinstance(root, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError):
        return ConfigurationError(
            "AWS_ACCESS_KEY_ID", "no credentials for S3 were found", f"{_KEYS}, or {fields.profile}"
        )
    if isinstance(root, boto.ConnectTimeoutError | boto.ReadTimeoutError):
        return DependencyTimeout(
            name,
            f"the store did not answer within {location.timeout.total_seconds():g} s",
            f"Check {fields.endpoint_url}",
        )
    if isinstance(root, boto.SSLError):
        return DependencyUnavailable(name, _line(root), "Name the certificate authority in AWS_CA_BUNDLE")
    if isinstance(root, boto.HTTPClientError | boto.ConnectionError):
        return DependencyUnavailable(
            name, f"no connection to the store: {_line(root)}", f"Check that it runs, and {fields.endpoint_url}"
        )
    # A page of another product is no XML of S3's.
    return DependencyLied(name, f"what answers is no S3 store: {_line(root)}", f"Mend {fields.endpoint_url}")


def _answered(error: Any, location: S3Location, name: str, fields: S3Fields) -> EvercrewError:
    facts = error.response.get("Error", {})
    code, status = str(facts.get("Code", "")), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{code or status}: {facts.get('Message', '')}".strip(": ")[:200]
    bucket = location.bucket
    if code == "NoSuchBucket":
        return DependencyUnavailable(name, f"there is no bucket {bucket}", f"Create it, or mend {fields.address}")
    if code in _REFUSED:
        return DependencyUnavailable(
            name, f"the credentials are refused ({said})", f"{_KEYS} anew, or {fields.profile}"
        )
    if code in _FORBIDDEN:
        return DependencyUnavailable(
            name,
            f"the credentials may not {error.operation_name} in {bucket} ({said})",
            "Grant ListBucket, GetObject, PutObject and DeleteObject on the bucket and its prefix",
        )
    if code in _ELSEWHERE:
        return DependencyUnavailable(
            name, f"the bucket {bucket} is in another region ({said})", f"Mend {fields.region}"
        )
    if code == _CLOCK:
        return DependencyUnavailable(name, said, "Set this machine's clock")
    if code in _BUSY or status >= 500:
        return DependencyUnavailable(
            name, f"the store is in trouble ({said})", f"Try again later, or mend {fields.endpoint_url}"
        )
    return DependencyLied(name, f"{error.operation_name} was answered with {said}", f"Check {fields.endpoint_url}")


def boto_error(error: BaseException) -> BaseException:
    """Return boto's own error inside of those that only wrap it, or the error itself."""
    from botocore.exceptions import BotoCoreError, ClientError

    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, BotoCoreError | ClientError):
        seen = seen.__cause__ or seen.__context__
    return seen or error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
