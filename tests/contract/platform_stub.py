"""A platform's HTTP API over a platform in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from adapters.logs.base import LogLine
from adapters.platform.base import EFFECT_QUARANTINE
from adapters.platform.memory import MemoryPlatform
from domain.errors import ConflictError, InvalidInput
from domain.observation import Seen
from domain.permit import PermitOffice
from tests.contract.permits import permit_for
from tests.stubs.small_server import Asked, Said


class PlatformApi:
    """Answers requests as the platform's service does."""

    def __init__(self, platform: MemoryPlatform, office: PermitOffice) -> None:
        self._platform = platform
        self._office = office

    def __call__(self, request: Asked) -> Said:
        # Split first: a key may hold the slashes that separate.
        place = [unquote(part) for part in urlsplit(request.target).path.split("/")[1:]]
        match (request.method, place):
            case ("GET", ["healthz"]):
                return _json({"status": "ok"})
            case ("GET", ["version"]):
                return self._version()
            case ("GET", ["data", "documents"]):
                since = int(request.query.get("since_seq", 0))
                return _lines(
                    row.model_dump(mode="json") | {"arrived_at": row.arrived_at.timestamp()}
                    for row in self._platform.documents(since)
                )
            case ("GET", ["data", "judgements"]):
                rows = self._platform.judgements(
                    _moment(request.query.get("since")), _moment(request.query.get("until")), _limit(request)
                )
                return _lines(row.model_dump(mode="json") | {"ts": row.ts.timestamp()} for row in rows)
            case ("GET", ["data", "logs"]):
                return self._logs(request)
            case ("POST", ["data", "quarantine"]):
                return self._quarantine(json.loads(request.body))
            case ("GET", ["data", "quarantine", key]):
                seen = self._platform.observe(key)
                if seen.seen is not Seen.DONE:
                    return _json({"detail": "no such quarantine"}, 404)
                return _json({"key": key, "dropped": seen.outcome["quarantined"]})
            case _:
                return _json({"detail": "not found"}, 404)

    def _version(self) -> Said:
        state = self._platform.live()
        return _json(
            {
                "digest": state.digest,
                "model_version": "1",
                "values_revision": state.revision,
                "values_applied_at": state.applied_at.timestamp() if state.applied_at else None,
                "mode": state.mode,
                "mode_source": state.mode_source,
                "tier": state.tier,
                "variants": [variant.model_dump() for variant in state.variants],
                "index": {"documents": 3, "generation": state.index_generation},
                "known_documents": 3,
            }
        )

    def _logs(self, request: Asked) -> Said:
        lines = self._platform.logs(
            _moment(request.query.get("since")),
            request.query.get("contains", ""),
            request.query.get("level", ""),
            _limit(request),
        )
        return _lines(_flat(line) for line in lines)

    def _quarantine(self, body: dict[str, Any]) -> Said:
        until = _moment(body["until"])
        permit = permit_for(self._office, EFFECT_QUARANTINE, body["key"])
        try:
            dropped = self._platform.quarantine(
                since=datetime.fromtimestamp(body["since"], UTC),
                until=until,
                rule=body["rule"],
                key=body["key"],
                permit=permit,
            )
        except InvalidInput as error:
            return _json({"detail": str(error)}, 422)
        except ConflictError as error:
            return _json({"detail": str(error)}, 409)
        return _json({"key": body["key"], "dropped": dropped}, 201)


def _flat(line: LogLine) -> dict[str, Any]:
    fields = json.loads(line.fields) if line.fields else {}
    return {"ts": line.ts.timestamp(), "level": line.level, "event": line.event, **fields}


def _moment(text: str | float | None) -> datetime | None:
    return None if text is None else datetime.fromtimestamp(float(text), UTC)


def _limit(request: Asked) -> int:
    return int(request.query.get("limit", 100_000))


def _json(value: Any, status: int = 200) -> Said:
    return Said(status, json.dumps(value).encode())


def _lines(rows: Iterable[dict[str, Any]]) -> Said:
    body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return Said(200, body.encode(), "application/x-ndjson")
