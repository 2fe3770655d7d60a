"""Silences in an Alertmanager, by its HTTP API version 2."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from adapters.rest import Endpoint, NotFound, RestClient
from adapters.silences.base import EFFECT_EXPIRE, EFFECT_SILENCE, Matcher, Silence, refuse_unbounded
from domain.clock import Clock
from domain.errors import DependencyError, DependencyLied, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

NAME = "alertmanager"
FIELD = "alertmanager"
AUTHOR = "evercrew"
ANOTHER_PRODUCT = f"Another product answers at {FIELD}.url: give the address of an Alertmanager from 0.16 on"
_KEY = re.compile(r"\[evercrew-key:(?P<key>[^\]\s]+)\]\s*$")
_OVER = "expired"


class AlertmanagerSilences:
    """A `SilencesPort` on the Alertmanager at `endpoint`.

    The key stands at the end of the silence's comment. Alertmanager keeps silences that are over for five days unless
    it is told otherwise (`--data.retention`), so a key is found again for at least that long.
    """

    configured = True

    def __init__(self, *, endpoint: Endpoint, clock: Clock, permits: PermitVerifier) -> None:
        self._client = RestClient(endpoint, name=NAME, field=FIELD, clock=clock)
        self._permits = permits

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def silence(
        self,
        matchers: Sequence[Matcher],
        starts: datetime,
        ends: datetime,
        comment: str,
        *,
        key: str,
        permit: Permit | None,
    ) -> str:
        """See `SilencesPort.silence`."""
        self._permits.spend(permit, effect=EFFECT_SILENCE, key=key)
        refuse_unbounded(matchers, starts, ends)
        found = self._of_key(key)
        if found is not None:
            return str(found["id"])
        body = {
            "matchers": [
                {"name": m.name, "value": m.value, "isRegex": m.regex, "isEqual": m.equal}
                for m in sorted(matchers, key=lambda m: m.name)
            ],
            "startsAt": starts.isoformat(),
            "endsAt": ends.isoformat(),
            "createdBy": AUTHOR,
            "comment": f"{comment} [evercrew-key:{key}]",
        }
        answer = self._client.request("POST", "/api/v2/silences", json=body)
        made = answer.get("silenceID") if isinstance(answer, dict) else None
        if not isinstance(made, str) or not made:
            raise DependencyLied(NAME, "it took the silence and gave no id", ANOTHER_PRODUCT)
        return made

    def expire(self, silence_id: str, *, key: str, permit: Permit | None) -> None:
        """See `SilencesPort.expire`."""
        self._permits.spend(permit, effect=EFFECT_EXPIRE, key=key)
        if not self.ended(silence_id):
            # Asked twice it is over all the same.
            self._client.text("DELETE", f"/api/v2/silence/{silence_id}", repeatable=True)

    def active(self) -> Sequence[Silence]:
        """See `SilencesPort.active`."""
        rows = [row for row in self._all() if _state(row) != _OVER]
        return sorted((_silence(row) for row in rows), key=lambda silence: silence.ends_at)

    def ended(self, silence_id: str) -> bool:
        """See `SilencesPort.ended`."""
        if not re.fullmatch(r"[0-9a-fA-F-]{36}", silence_id):
            raise InvalidInput(
                "silence", f"{silence_id!r} is not a silence's id", "Give the id that silencing returned"
            )
        try:
            return _state(_row(self._client.get(f"/api/v2/silence/{silence_id}"))) == _OVER
        except NotFound as absent:
            raise InvalidInput(
                "silence", f"{silence_id} is not known", "Give the id that silencing returned"
            ) from absent

    def observe(self, key: str) -> Observation:
        """See `SilencesPort.observe`."""
        try:
            found = self._of_key(key)
        except DependencyError as problem:
            return Observation.unknown(str(problem))
        return Observation.absent() if found is None else Observation.done({"id": str(found["id"])})

    def check(self) -> str:
        """See `SilencesPort.check`; it puts up no silence, so that what it may write is only told when it does."""
        try:
            status = self._client.get("/api/v2/status")
        except InvalidInput as other:
            raise DependencyLied(NAME, f"it does not answer as one: {other.problem}", ANOTHER_PRODUCT) from other
        if not isinstance(status, dict) or not {"cluster", "versionInfo", "config"} <= status.keys():
            raise DependencyLied(NAME, "its status is not that of an Alertmanager", ANOTHER_PRODUCT)
        version = _text(status["versionInfo"], "version")
        if _text(status["cluster"], "status") == "settling":
            raise DependencyLied(NAME, "its cluster is still settling", "Wait for its peers, or mend their addresses")
        return f"{NAME}: {version} answers, {len(self.active())} silences"

    def _of_key(self, key: str) -> dict[str, Any] | None:
        found = [row for row in self._all() if _key(row) == key]
        # Its own retries can leave one besides the first.
        return min(found, key=lambda row: (_state(row) == _OVER, str(row["id"]))) if found else None

    def _all(self) -> list[dict[str, Any]]:
        try:
            rows = self._client.get("/api/v2/silences")
        except InvalidInput as other:
            raise DependencyLied(NAME, f"it has no list of silences: {other.problem}", ANOTHER_PRODUCT) from other
        if not isinstance(rows, list):
            raise DependencyLied(NAME, "its silences are not a list", ANOTHER_PRODUCT)
        return [_row(row) for row in rows]


def _row(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not isinstance(row.get("status"), dict):
        raise DependencyLied(NAME, f"{row!r} is not a silence"[:300], ANOTHER_PRODUCT)
    return row


def _state(row: dict[str, Any]) -> str:
    state = str(row["status"].get("state"))
    if state not in ("active", "pending", _OVER):
        raise DependencyLied(NAME, f"{state!r} is not a state of a silence", ANOTHER_PRODUCT)
    return state


def _key(row: dict[str, Any]) -> str:
    found = _KEY.search(str(row.get("comment", "")))
    return found["key"] if found and row.get("createdBy") == AUTHOR else ""


def _silence(row: dict[str, Any]) -> Silence:
    try:
        return Silence(
            id=row["id"],
            matchers=tuple(
                Matcher(name=m["name"], value=m["value"], regex=m["isRegex"], equal=m.get("isEqual", True))
                for m in row["matchers"]
            ),
            starts_at=row["startsAt"],
            ends_at=row["endsAt"],
            comment=str(row.get("comment", "")),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise DependencyLied(NAME, f"silence {row['id']} cannot be read: {error}"[:300], ANOTHER_PRODUCT) from error


def _text(part: Any, name: str) -> str:
    return str(part.get(name, "")) if isinstance(part, dict) else ""
