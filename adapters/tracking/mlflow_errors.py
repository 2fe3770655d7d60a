"""What MLflow's errors, and those of the store of its artifacts, mean to an operator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from adapters.s3 import S3Fields, S3Location, boto_error
from adapters.s3 import explained as s3_explained
from domain.errors import DependencyLied, DependencyTimeout, DependencyUnavailable, EvercrewError, InvalidInput

NAME = "mlflow"
S3_FIELDS = S3Fields("tracking.artifacts", "tracking.s3_endpoint_url", "AWS_DEFAULT_REGION", "AWS_PROFILE")
ABSENT = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
_STATUS = re.compile(r"failed with error code (\d{3})")
_LATE = re.compile(r"timed out|Timeout", re.IGNORECASE)
_BUCKETS = re.compile(r"NoSuchBucket|The specified bucket does not exist")


def line(error: BaseException) -> str:
    """Return an error as one line."""
    return " ".join(str(error).split())[:300]


def is_absent(error: Exception) -> bool:
    """Return whether MLflow itself says that something is not there: another product's 404 is no such word."""
    return getattr(error, "error_code", "") in ABSENT and _STATUS.search(str(error)) is None


@contextmanager
def told(*, artifacts: str | None, s3_endpoint_url: str | None) -> Iterator[None]:
    """Turn errors of MLflow, its database and the artifacts' store into ours."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    of_the_store = _store_errors()
    vendors: tuple[type[Exception], ...] = (MlflowException, *of_the_store)
    try:
        yield
    except vendors as error:
        if isinstance(boto_error(error) if of_the_store else None, of_the_store):
            bucket = urlsplit(artifacts or "").netloc or "unknown"
            location = S3Location(url=f"s3://{bucket}", endpoint_url=s3_endpoint_url)
            raise s3_explained(error, location, name=f"{NAME} artifacts", fields=S3_FIELDS) from error
        raise _server(error) from error
    except (SQLAlchemyError, OSError) as error:
        raise DependencyUnavailable(NAME, line(error), "Mend tracking.uri and tracking.artifacts") from error


def _store_errors() -> tuple[type[Exception], ...]:
    """What boto raises; nothing where it is not installed, for then nothing of S3 can have been called."""
    try:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        return ()
    return (Boto3Error, BotoCoreError, ClientError)


def _server(error: Exception) -> EvercrewError:
    whole, said, found = str(error), line(error), _STATUS.search(str(error))
    status = int(found.group(1)) if found else 0
    if is_absent(error):
        return InvalidInput("tracking", said, "Name a run, model or version that exists")
    code = getattr(error, "error_code", "")
    if status == 401 or code in ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"):
        remedy = "Set EVERCREW_TRACKING_TOKEN, or EVERCREW_TRACKING_PASSWORD and tracking.username"
        return DependencyUnavailable(NAME, f"the credentials are missing or refused: {said}", remedy)
    if status == 403 or code == "PERMISSION_DENIED":
        return DependencyUnavailable(NAME, f"not permitted: {said}", "Grant EDIT on the experiment and the model")
    if _BUCKETS.search(whole):
        return DependencyUnavailable(NAME, f"the bucket of the artifacts is missing: {said}", "Create it at the server")
    if status == 404 or "not in a valid JSON format" in whole:
        return DependencyLied(NAME, f"what answers is no MLflow server: {said}", "Mend tracking.uri")
    if _LATE.search(whole):
        return DependencyTimeout(NAME, said, "Look at the server, and MLFLOW_HTTP_REQUEST_TIMEOUT")
    if "API request to" in whole and not status:
        return DependencyUnavailable(NAME, f"no connection: {said}", "Check that it runs, and tracking.uri")
    return DependencyUnavailable(NAME, said)
