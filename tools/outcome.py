"""What the door answers: `Done | Refused | Failed`, never a string."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from domain.receipt import Receipt

Out = TypeVar("Out", bound=BaseModel, covariant=True)


@dataclass(frozen=True)
class Done(Generic[Out]):
    """It happened, or was read.

    `call` is where the result can be looked up again; `repeated` that it had happened before.
    """

    value: Out
    call: str
    receipt: Receipt


@dataclass(frozen=True)
class Refused:
    """It did not happen, and will not as asked.

    `kind`: ``unknown_tool``, ``invalid``, ``denied``, ``escalate``, ``budget`` or ``audit``.
    """

    kind: str
    reason: str
    call: str = ""


@dataclass(frozen=True)
class Failed:
    """It was allowed and did not succeed.

    `error` is a class name of the error tree; `unknown` that it may have happened.
    """

    error: str
    reason: str
    call: str = ""
    unknown: bool = False


Outcome = Done[Any] | Refused | Failed
