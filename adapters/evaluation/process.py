"""Evaluation in a process of its own, which alone opens the sealed set.

This process knows where the set is, for it has to say so to the other; it never opens it, and says it to nobody else:
not in results, not in errors, not in the stored files.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adapters.evaluation.base import EFFECT_EVALUATE, EvaluationResult
from adapters.evaluation.looks import Looks
from adapters.evaluation.measure import Prices
from adapters.evaluation.sealed import write_rows
from adapters.locks import exclusive
from adapters.worker import Worker
from domain.canonical import json_ready
from domain.clock import Clock
from domain.errors import ConfigurationError, DependencyLied, DependencyUnavailable, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

NAME = "evaluation"
_KEY = re.compile(r"^\w[\w.-]{0,199}$")
_BUNDLE = re.compile(r"^\w[\w-]{0,63}$")
Documents = Path | Callable[[], Iterable[Mapping[str, Any]]]


class ProcessEvaluation:
    """`EvaluationPort`. `entry` (``module:function``) scores bundles; `folder` keeps results and the count of looks.

    `documents` is a file of ``{id, title, text, subject}`` a line, or a function that returns such rows. `digest_of`
    returns a bundle folder's digest and raises ValueError or OSError when it is none. The `worker` has to be a quiet
    one.
    """

    def __init__(
        self,
        *,
        entry: str,
        sealed: Path,
        documents: Documents,
        folder: Path,
        worker: Worker,
        permits: PermitVerifier,
        clock: Clock,
        digest_of: Callable[[Path], str],
        prices: Prices,
        max_queries: int = 1500,
        candidates: int = 50,
        mode: str = "balanced",
        drop_unseen: bool = False,
        timeout: timedelta = timedelta(minutes=10),
        memory_mib: int = 4096,
    ) -> None:
        if not worker.quiet:
            raise ConfigurationError("evaluation.worker", "tells what a job wrote", "Make it with quiet=True")
        self._entry = entry
        self._sealed = sealed
        self._documents = documents
        self._folder = folder
        self._worker = worker
        self._permits = permits
        self._clock = clock
        self._digest_of = digest_of
        self._prices = prices
        self._max_queries = max_queries
        self._candidates = candidates
        self._mode = mode
        self._drop_unseen = drop_unseen
        self._timeout = timeout
        self._memory_mib = memory_mib
        self._looks = Looks(folder / "looks.sqlite")

    def evaluate(self, bundles: Mapping[str, Path], *, key: str, permit: Permit | None) -> EvaluationResult:
        """See `EvaluationPort.evaluate`."""
        self._permits.spend(permit, effect=EFFECT_EVALUATE, key=key)
        place = self._place(key)
        wait = self._timeout + timedelta(minutes=5)
        with exclusive(self._folder / ".lock", holder=NAME, clock=self._clock, timeout=wait):
            if place.exists():
                return _stored(place)
            digests = {name: self._digest(name, folder) for name, folder in sorted(bundles.items())}
            if not digests:
                raise InvalidInput("bundles", "none is given", "Name at least one bundle")
            began = self._clock.monotonic()
            result = self._look(bundles, digests, self._looks.take(key))
            result = result.model_copy(update={"seconds": max(self._clock.monotonic() - began, 0.0)})
            fresh = place.with_suffix(".part")
            fresh.write_text(result.model_dump_json(), encoding="utf-8")
            fresh.replace(place)
            return result

    def held_out(self, queries: Sequence[str]) -> frozenset[int]:
        """See `EvaluationPort.held_out`."""
        answer = self._run("adapters.evaluation.judge:holds", {"sealed": self._sealed, "queries": list(queries)})
        held = answer.get("held")
        if not isinstance(held, list) or not all(isinstance(place, int) for place in held):
            raise DependencyLied(NAME, "the leak check returned no places")
        return frozenset(held)

    def observe(self, key: str) -> Observation:
        """See `EvaluationPort.observe`."""
        place = self._place(key)
        if not place.exists():
            return Observation.absent("no result is kept under the key")
        return Observation.done(json_ready(_stored(place).model_dump(mode="json")))

    def check(self) -> str:
        """See `EvaluationPort.check`."""
        self.held_out(["is anything there"])
        return f"{NAME}: the held-out set can be read, {self._worker.isolation}"

    def _look(self, bundles: Mapping[str, Path], digests: Mapping[str, str], number: int) -> EvaluationResult:
        with tempfile.TemporaryDirectory(prefix="evercrew-documents-") as scratch:
            spec = {
                "sealed": self._sealed,
                "most": self._max_queries,
                "drop_unseen": self._drop_unseen,
                "entry": self._entry,
                "bundles": {name: folder.resolve() for name, folder in bundles.items()},
                "digests": digests,
                "documents": self._document_file(Path(scratch)),
                "k": self._candidates,
                "mode": self._mode,
                "prices": {"cpu_second_usd": self._prices.cpu_second_usd, "per_1k_usd": self._prices.per_1k_usd},
                "at": self._clock.now(),
            }
            answer = self._run("adapters.evaluation.judge:evaluate", spec)
        try:
            return EvaluationResult.model_validate({**answer, "looks": number})
        except ValidationError as error:
            field = ".".join(map(str, error.errors(include_input=False)[0]["loc"]))
            raise DependencyLied(NAME, f"the scores lack a usable {field}") from None

    def _run(self, entry: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run in the other process; what it writes beside its answer holds queries and is thrown away."""
        out = Path(tempfile.mkdtemp(prefix="evercrew-evaluation-"))
        try:
            done = self._worker.run(entry, spec, out, timeout=self._timeout, memory_mib=self._memory_mib)
        finally:
            shutil.rmtree(out, ignore_errors=True)
        if not isinstance(done.output, dict):
            raise DependencyLied(NAME, "the evaluation returned no object")
        return done.output

    def _document_file(self, scratch: Path) -> Path:
        if isinstance(self._documents, Path):
            return self._documents.resolve()
        path = scratch / "documents.jsonl"
        write_rows(path, self._documents())
        return path

    def _digest(self, name: str, folder: Path) -> str:
        if not _BUNDLE.match(name):
            raise InvalidInput("bundles", f"{name!r} is not a name", "Use letters, digits, _ and -")
        try:
            return self._digest_of(folder)
        except (ValueError, OSError) as error:
            raise DependencyLied(NAME, f"{name} is not a bundle: {error}") from error

    def _place(self, key: str) -> Path:
        if not _KEY.match(key):
            raise InvalidInput("key", f"{key!r} cannot name a file", "Use letters, digits and ._- only")
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{key}.json"


def _stored(place: Path) -> EvaluationResult:
    try:
        return EvaluationResult.model_validate_json(place.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise DependencyUnavailable(NAME, f"the stored result {place.name} is damaged", "Delete it") from error
