"""The bodies that senders of alerts post: Alertmanager's (version 4), Grafana's (version 1), and our own.

All of them come to the same parts: alerts with labels, which intake then gives our names. Bodies come from outside, so
what an alert must be is said here, field by field, and what does not fit is an `InvalidInput` that names the field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from domain.canonical import canonical_json, sha256_text
from domain.errors import InvalidInput

MOST_ALERTS = 200
MOST_LABELS = 64
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


class Form(StrEnum):
    """Whose body it is; each has an endpoint of its own."""

    ALERTMANAGER = "alertmanager"
    GRAFANA = "grafana"
    GENERIC = "generic"


_VERSIONS: Mapping[str, Form] = {"4": Form.ALERTMANAGER, "1": Form.GRAFANA}
_REMEDIES: Mapping[Form | None, str] = {
    None: "Send an Alertmanager version 4, Grafana version 1 or generic webhook body",
    Form.ALERTMANAGER: "Send an Alertmanager version 4 webhook body",
    Form.GRAFANA: "Send a Grafana version 1 webhook body",
    Form.GENERIC: "See GET /webhooks/generic/schema",
}


def _since_2000(moment: datetime) -> datetime:
    """An alert cannot have begun before; whoever says so has not set the field."""
    if moment < _EARLIEST:
        raise ValueError("is before the year 2000")
    return moment


_Began = Annotated[AwareDatetime, AfterValidator(_since_2000)]


class Part(BaseModel):
    """One alert of a body."""

    model_config = ConfigDict(extra="ignore")

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: _Began = Field(alias="startsAt")
    ends_at: AwareDatetime | None = Field(default=None, alias="endsAt")
    fingerprint: str = Field(min_length=1, max_length=200)


class _Envelope(BaseModel):
    """What Alertmanager's webhook (version 4) and Grafana's have in common, around the alerts."""

    model_config = ConfigDict(extra="ignore")

    version: Literal["4", "1"]
    receiver: str
    alerts: list[Any] = Field(max_length=MOST_ALERTS)
    truncated_alerts: int = Field(default=0, alias="truncatedAlerts", ge=0)


_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Labels = Annotated[dict[str, str], Field(max_length=MOST_LABELS)]


class GenericAlert(BaseModel):
    """An alert of any sender. What names it (`name`, `signal`, `target`, `environment`) are labels like the others."""

    model_config = ConfigDict(extra="forbid")

    name: _Name = Field(description="What the alert is called; `alert_names` may map it to a signal.")
    status: Literal["firing", "resolved"] = "firing"
    starts_at: _Began = Field(description="Since when it fires, with a time zone. The same in every telling of it.")
    ends_at: AwareDatetime | None = Field(default=None, description="When it was resolved, where it was.")
    fingerprint: _Name | None = Field(
        default=None, description="What tells this alert from others; left out, it is made of name and labels."
    )
    signal: _Name | None = Field(default=None, description="A signal of the contract, e.g. ndcg_at_10.")
    target: _Name | None = Field(default=None, description="What it is about; left out, the configured target.")
    environment: _Name | None = Field(default=None, description="Where; left out, the configured environment.")
    labels: _Labels = Field(default_factory=dict)
    annotations: _Labels = Field(default_factory=dict, description="Text for people; nothing is decided by it.")

    def part(self) -> Part:
        """Return it as one of a body."""
        given = {"signal": self.signal, "target": self.target, "environment": self.environment}
        named = {label: value for label, value in given.items() if value is not None}
        labels = {**self.labels, **named, "alertname": self.name}
        return Part(
            status=self.status,
            labels=labels,
            annotations=self.annotations,
            startsAt=self.starts_at,
            endsAt=self.ends_at,
            fingerprint=self.fingerprint or sha256_text(canonical_json(labels))[:16],
        )


class GenericBody(BaseModel):
    """A body of any sender: at least one alert, and how many it had to leave out."""

    model_config = ConfigDict(extra="forbid", title="Evercrew generic webhook, version 1")

    alerts: list[GenericAlert] = Field(min_length=1, max_length=MOST_ALERTS)
    truncated_alerts: int = Field(default=0, ge=0, description="How many alerts were left out of this body.")


class _GenericEnvelope(BaseModel):
    """A generic body whose alerts are looked at one by one."""

    model_config = ConfigDict(extra="forbid")

    alerts: list[Any] = Field(min_length=1, max_length=MOST_ALERTS)
    truncated_alerts: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class Opened:
    """A body whose frame fits: whose it is, its alerts as they came, and how many were left out."""

    form: Form
    parts: Sequence[Any]
    truncated: int


def opened(body: Any, form: Form | None = None) -> Opened:
    """Return a body opened; `form` is what it has to be, None for whose it looks like.

    Raises:
        InvalidInput: its frame does not fit; names the field.
    """
    if form is None and form_of(body) is Form.GENERIC:
        form = Form.GENERIC
    try:
        if form is Form.GENERIC:
            own = _GenericEnvelope.model_validate(body)
            return Opened(Form.GENERIC, own.alerts, own.truncated_alerts)
        envelope = _Envelope.model_validate(body)
    except ValidationError as problem:
        raise unfit(problem, form=form) from None
    found = _VERSIONS[envelope.version]
    if form is not None and found is not form:
        raise InvalidInput("version", f"{envelope.version!r} is that of {found.value}", _REMEDIES[form])
    return Opened(found, envelope.alerts, envelope.truncated_alerts)


def form_of(body: Any) -> Form | None:
    """Return whose body this looks like, for those who were not told: the generic one carries no `version`."""
    if not isinstance(body, Mapping):
        return None
    return _VERSIONS.get(str(body["version"])) if "version" in body else Form.GENERIC


def form_named(sender: str) -> Form | None:
    """Return the form of a sender by its name; none where none is named: the body says whose it looks like.

    Raises:
        InvalidInput: there is no such sender.
    """
    known = {form.value: form for form in Form}
    if sender and sender not in known:
        raise InvalidInput("from", f"{sender!r} sends no alerts here", f"Use one of: {', '.join(known)}")
    return known.get(sender)


def part_of(raw: Any, number: int, form: Form) -> Part:
    """Return an alert of a body.

    Raises:
        InvalidInput: it does not fit; names the field.
    """
    where = f"alerts.{number}"
    try:
        part = GenericAlert.model_validate(raw).part() if form is Form.GENERIC else Part.model_validate(raw)
        json.dumps(raw, ensure_ascii=False).encode()
    except ValidationError as problem:
        raise unfit(problem, where, form) from None
    except UnicodeEncodeError as problem:
        raise InvalidInput(where, f"holds what is no text: {problem.reason}", _REMEDIES[form]) from None
    return part


def unfit(problem: ValidationError, where: str = "", form: Form | None = None) -> InvalidInput:
    """Return the first problem of a body as ours."""
    first = problem.errors()[0]
    field = ".".join([*([where] if where else []), *(str(part) for part in first["loc"])]) or "body"
    wrong = "is no JSON object" if first["type"] == "model_type" else first["msg"]
    return InvalidInput(field, wrong, _REMEDIES[form])


def generic_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the generic body."""
    schema = GenericBody.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
