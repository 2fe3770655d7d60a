"""What the stand-in answers instead of a result.

Problem       an error of the API: HTTP status, gRPC code, message
SourceError   git failed
"""

from __future__ import annotations

from testbed.errors import TestbedError

INVALID_ARGUMENT = (400, 3)
NOT_FOUND = (404, 5)
PERMISSION_DENIED = (403, 7)
FAILED_PRECONDITION = (400, 9)
UNAUTHENTICATED = (401, 16)


class Problem(TestbedError):
    """An error of the API."""

    def __init__(self, kind: tuple[int, int], message: str) -> None:
        super().__init__(message)
        self.status, self.code = kind

    def body(self) -> dict[str, object]:
        """The JSON of the error."""
        return {"error": str(self), "code": self.code, "message": str(self)}


class SourceError(TestbedError):
    """The remote or the cluster's repository could not be read or written."""
