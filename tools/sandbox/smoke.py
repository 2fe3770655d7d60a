"""`sandboxed_test_run`: a candidate answers a few queries in an isolated process before any user meets it."""

from __future__ import annotations

import json
import tempfile
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from adapters.platform.base import PlatformPort
from adapters.sandbox.base import SandboxPort
from adapters.tracking.base import TrackingPort
from domain.budget import Amounts
from tools.model.evaluate import fetch_bundle
from tools.rates import Rates
from tools.tool import PATIENCE, Arguments, Call, Result, Tool, ToolSpec

QUERIES = 20
# How long the job may take; the call takes longer, by what has to be fetched first.
LIMIT = timedelta(minutes=2)


class SmokeArgs(Arguments):
    """Digest of the registered model to try."""

    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class SmokeResult(Result):
    """Whether the model loaded and every query was answered."""

    ok: bool
    queries: int
    answered: int
    isolation: str
    seconds: float


class SandboxedTestRun(Tool[SmokeArgs, SmokeResult]):
    """Loads a registered model in a sandbox and asks it for documents by their titles."""

    spec = ToolSpec(
        "sandboxed_test_run",
        "Load a candidate in an isolated process and check that it answers queries.",
        timeout=LIMIT + PATIENCE,
    )
    input = SmokeArgs
    output = SmokeResult

    def __init__(
        self,
        platform: PlatformPort,
        tracking: TrackingPort,
        sandbox: SandboxPort,
        *,
        model: str,
        entry: str,
        bundles: Path,
        rates: Rates | None = None,
    ) -> None:
        self._rates = rates or Rates()
        self._platform = platform
        self._tracking = tracking
        self._sandbox = sandbox
        self._model = model
        self._entry = entry
        self._bundles = bundles

    def run(self, args: SmokeArgs, call: Call) -> SmokeResult:
        bundle = fetch_bundle(self._tracking, self._model, args.digest, self._bundles)
        documents = self._platform.documents()
        asked = documents[:: max(len(documents) // QUERIES, 1)][:QUERIES]
        with tempfile.TemporaryDirectory(prefix="evercrew-smoke-") as scratch:
            folder = Path(scratch)
            _lines(
                folder / "documents.jsonl",
                [{"id": d.id, "title": d.title, "text": d.text, "subject": d.subject} for d in documents],
            )
            _lines(
                folder / "judgements.jsonl",
                [{"query": d.title, "relevant": {d.id: 1}, "subject": d.subject} for d in asked],
            )
            spec = {
                "bundles": {"candidate": str(bundle)},
                "documents": str(folder / "documents.jsonl"),
                "judgements": str(folder / "judgements.jsonl"),
            }
            result = self._sandbox.run(self._entry, spec, timeout=LIMIT)
        answered = int(result.output.get("queries", 0))
        return SmokeResult(
            ok=bool(asked) and answered == len(asked),
            queries=len(asked),
            answered=answered,
            isolation=result.isolation,
            seconds=result.seconds,
        )

    def price(self, args: SmokeArgs) -> Amounts:
        return self._rates.until(LIMIT)

    def spent(self, args: SmokeArgs, result: SmokeResult) -> Amounts:
        return self._rates.machine(result.seconds)

    def lost(self, args: SmokeArgs, seconds: float) -> Amounts:
        return self._rates.machine(seconds)


def _lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
