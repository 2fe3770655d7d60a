"""Objects in an S3 bucket: Amazon's, or any store with the same interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapters.backup.base import accept, check_name, missing
from adapters.meter import metered
from adapters.s3 import S3Location, check_page, fields_of, s3_client, s3_errors
from domain.errors import DependencyUnavailable

NAME = "backup s3"
FIELDS = fields_of("backup.to", "backup.s3")
_CHECK = "check"
_ABSENT = frozenset({"NoSuchKey", "404"})
# The most that one request may list or delete.
_PAGE = 1000


class S3Objects:
    """`ObjectsPort` over a bucket and the prefix of `location`; large files go up and come down in parts.

    `page` is how many objects one request lists or deletes, at most 1000.
    """

    def __init__(self, location: S3Location, *, page: int = _PAGE) -> None:
        self._location = location
        self._page = page
        self._made: Any = None

    def put(self, name: str, source: Path) -> None:
        """See `ObjectsPort.put`."""
        with self._guarded() as client:
            client.upload_file(str(source), self._location.bucket, self._key(name))

    def get(self, name: str, into: Path, *, sha256: str) -> None:
        """See `ObjectsPort.get`."""
        fetched = into.with_name(f".{into.name}.part")
        with self._guarded() as client, _absent(name):
            client.download_file(self._location.bucket, self._key(name), str(fetched))
        accept(fetched, into, name, sha256)

    def read(self, name: str) -> bytes:
        """See `ObjectsPort.read`."""
        with self._guarded() as client, _absent(name):
            return bytes(client.get_object(Bucket=self._location.bucket, Key=self._key(name))["Body"].read())

    def names(self, prefix: str = "") -> Mapping[str, int]:
        """See `ObjectsPort.names`."""
        own = self._location.prefix
        found: dict[str, int] = {}
        with self._guarded() as client:
            pages = client.get_paginator("list_objects_v2")
            for page in pages.paginate(
                Bucket=self._location.bucket, Prefix=f"{own}{prefix}", PaginationConfig={"PageSize": self._page}
            ):
                check_page(page, self._location, name=NAME, fields=FIELDS)
                for entry in page.get("Contents", []):
                    found[str(entry["Key"]).removeprefix(own)] = int(entry["Size"])
        return found

    def delete(self, names: Iterable[str]) -> None:
        """See `ObjectsPort.delete`."""
        keys = [self._key(name) for name in names]
        with self._guarded() as client:
            for start in range(0, len(keys), self._page):
                batch = [{"Key": key} for key in keys[start : start + self._page]]
                done = client.delete_objects(Bucket=self._location.bucket, Delete={"Objects": batch, "Quiet": True})
                for failed in done.get("Errors", []):
                    raise DependencyUnavailable(
                        NAME, f"{failed.get('Key')} was not deleted: {failed.get('Message')}", "Grant DeleteObject"
                    )

    def check(self) -> str:
        """See `ObjectsPort.check`."""
        bucket, key = self._location.bucket, self._key(_CHECK)
        with self._guarded() as client:
            page = client.list_objects_v2(Bucket=bucket, Prefix=self._location.prefix, MaxKeys=1)
            check_page(page, self._location, name=NAME, fields=FIELDS)
            client.put_object(Bucket=bucket, Key=key, Body=_CHECK.encode())
            client.delete_object(Bucket=bucket, Key=key)
        return f"{NAME}: bucket {bucket} can be read and written"

    def _key(self, name: str) -> str:
        return f"{self._location.prefix}{check_name(name)}"

    @contextmanager
    def _guarded(self) -> Iterator[Any]:
        with metered(NAME), s3_errors(self._location, name=NAME, fields=FIELDS):
            if self._made is None:
                self._made = s3_client(self._location)
            yield self._made


@contextmanager
def _absent(name: str) -> Iterator[None]:
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _ABSENT:
            raise missing(name) from error
        raise
