"""What requests and answers are made of, everywhere below `/api/v1`."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, StringConstraints

# Text without control characters but tab and line feed; and such text that is not blank. What is before the first
# character that is no space can be a space only: so no engine tries one place after the other (MCP has Python's).
_PLAIN = r"^[^\x00-\x08\x0b-\x1f\x7f]*$"
SAID = r"^[^\S\x00-\x08\x0b-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x08\x0b-\x1f\x7f]*$"

Words = Annotated[str, StringConstraints(max_length=2000, pattern=SAID)]
"""A sentence of somebody, e.g. a reason."""

Remark = Annotated[str, StringConstraints(max_length=2000, pattern=_PLAIN)]
"""A sentence that may be left out."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]*$")]
"""A name of ours: of a flag, a gate, a tool."""

Environment = Literal["dev", "staging", "production"]
Where = Literal["dev", "staging", "production", "all"]
YesNo = Literal["true", "false"]

CycleId = Annotated[str, Path(pattern=r"^si_[0-9]{4}_[0-9]{2}_[0-9]{2}_[0-9]{3,6}$", examples=["si_2026_01_31_001"])]


class Reply(BaseModel):
    """The base of what is answered: nothing but what the schema says."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Wish(BaseModel):
    """The base of what is asked for: an unknown field or another type is an error, and nothing is guessed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
