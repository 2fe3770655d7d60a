"""What the chat desk says, as typed events: what is streamed, kept, and shown by any front."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True)


class Said(_Event):
    """A piece of the answer."""

    event: Literal["said"] = "said"
    text: str


class Cite(BaseModel):
    """Where something stands: a cycle, a record of the audit chain, an artifact, a request, a call, a runbook."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["cycle", "record", "artifact", "approval", "call", "runbook", "flag", "account", "policy"]
    id: str
    of: str = Field(default="", description="The cycle or conversation it belongs to.")
    label: str = ""


class Cites(_Event):
    """What the answer rests on; every identity was looked up."""

    event: Literal["cites"] = "cites"
    cites: tuple[Cite, ...]


class Proposes(_Event):
    """A write, as it was understood; nothing has happened."""

    event: Literal["proposes"] = "proposes"
    proposal_id: str
    intent: dict[str, Any]
    shown: str
    expires_at: datetime
    irreversible: bool
    args_hash: str


class Did(_Event):
    """A confirmed write was carried out, or put where it will be."""

    event: Literal["did"] = "did"
    what: str
    cycle_id: str = ""
    details: dict[str, Any] = Field(default_factory=dict)


class Refused(_Event):
    """Nothing was done."""

    event: Literal["refused"] = "refused"
    reason: str
    policies: tuple[str, ...] = ()
    remedy: str = ""


class Option(BaseModel):
    """One way a sentence can be read, said in words that are understood."""

    model_config = ConfigDict(frozen=True)

    intent: dict[str, Any]
    said: str


class AsksBack(_Event):
    """It was not clear enough; nothing was done."""

    event: Literal["asks_back"] = "asks_back"
    question: str
    options: tuple[Option, ...] = ()


class Done(_Event):
    """The end of an answer. `source` says who understood the sentence, `models` who wrote of it."""

    event: Literal["done"] = "done"
    conversation_id: str
    source: str = "playbook"
    models: tuple[str, ...] = ()
    tokens: int = 0
    cost_usd: float = 0.0


ChatEvent = Annotated[Said | Cites | Proposes | Did | Refused | AsksBack | Done, Field(discriminator="event")]
EVENTS = ("said", "cites", "proposes", "did", "refused", "asks_back", "done")
