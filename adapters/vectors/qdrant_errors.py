"""What Qdrant's client raises, as our errors: each with what to mend."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from pydantic import ValidationError

from adapters.rest import Refused
from domain.errors import (
    ConfigurationError,
    DependencyError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    EvercrewError,
    InvalidInput,
)

NAME = "vectors"
_ADDRESS = "Check that Qdrant runs, and vectors.url (with its port, 6333 by default)"


@contextmanager
def guarded(collection: str) -> Iterator[None]:
    """Turn what the client raises inside into our errors."""
    try:
        from qdrant_client.common.client_exceptions import QdrantException
        from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse
    except ImportError as error:
        raise ConfigurationError(
            "vectors.kind", "qdrant needs a package that is not installed", "Install evercrew[qdrant]"
        ) from error
    try:
        yield
    except UnexpectedResponse as error:
        raise _by_status(error.status_code or 0, _words(error.content), collection) from error
    except ResponseHandlingException as error:
        raise _by_source(error.source) from error
    except (ApiException, QdrantException) as error:
        raise DependencyUnavailable(
            NAME, f"it asks to wait: {error}", "Ask less often, or give it more room"
        ) from error
    except json.JSONDecodeError as error:
        raise DependencyLied(NAME, "the answer is not JSON", "Check vectors.url: Qdrant answers there") from error
    except ValueError as error:
        raise _local(error, collection) from error


def _by_status(status: int, words: str, collection: str) -> EvercrewError:
    detail = f"it answered {status}: {words}"
    if status in (401, 403):
        return Refused(
            NAME, detail, "Check EVERCREW_VECTORS_TOKEN: it is the api-key, and effects need one that may write"
        )
    if status == 404 and "ollection" in words:
        return ConfigurationError("vectors.collection", f"there is no {collection!r}", "Name a collection that exists")
    if status == 404:
        return DependencyLied(NAME, detail, "Check vectors.url: something else answers there")
    if status in (400, 422):
        return InvalidInput("vectors", detail, "Mend the request, or vectors.vector for a named vector")
    return DependencyUnavailable(NAME, detail, "See Qdrant's own log")


def _by_source(source: Exception) -> DependencyError:
    if isinstance(source, httpx.TimeoutException):
        return DependencyTimeout(NAME, "it did not answer in time", "Check its load, or raise vectors.timeout_s")
    if isinstance(source, ValidationError):
        first = source.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "(all)"
        return DependencyLied(NAME, f"field {where}: {first['msg']}", "Check vectors.url: Qdrant answers there")
    if isinstance(source, httpx.TransportError):
        told = "Name the certificate authority in vectors.ca" if "CERTIFICATE_VERIFY" in str(source) else _ADDRESS
        return DependencyUnavailable(NAME, f"{type(source).__name__}: {source}", told)
    return DependencyLied(NAME, f"the answer cannot be read: {source}", "Check vectors.url: Qdrant answers there")


def _local(error: ValueError, collection: str) -> EvercrewError:
    if "not found" in str(error):
        return ConfigurationError("vectors.collection", f"there is no {collection!r}", "Name a collection that exists")
    return InvalidInput("vectors", str(error), "Mend the request, or vectors.vector for a named vector")


def _words(content: bytes) -> str:
    try:
        return str(json.loads(content)["status"]["error"])[:300]
    except (ValueError, LookupError, TypeError):
        return " ".join(content.decode("utf-8", "replace").split())[:300]
