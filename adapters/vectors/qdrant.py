"""A collection of Qdrant, by its client: REST to a server, or its local mode.

Keys are kept where Qdrant keeps them for us: of a quarantine and a release in the payload of the points, of a re-index
in the metadata of the collection (since 1.16), written by the same request that asks for it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from adapters.meter import metered
from adapters.rest import Endpoint, Refused, tls_context
from adapters.vectors.base import (
    EFFECT_QUARANTINE,
    EFFECT_REINDEX,
    EFFECT_RELEASE,
    FLAG,
    IndexState,
    PointId,
    Reindexed,
    Status,
    Value,
    checked,
    too_many,
)
from adapters.vectors.qdrant_errors import NAME, guarded
from adapters.vectors.qdrant_parts import Probe, match, older, own, recalled
from domain.clock import Clock
from domain.errors import (
    ConfigurationError,
    DependencyError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    InvalidInput,
    OutcomeUnknown,
)
from domain.measurement import Measurement
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

HELD_BY, RELEASED_BY = "evercrew_quarantine", "evercrew_release"
REINDEX = "evercrew_reindex_"
PROBES = 8
NEIGHBOURS = 10
T = TypeVar("T")


class QdrantVectors:
    """`VectorsPort` on `collection`.

    Args:
        endpoint: of a server; its token is sent as the api-key. The URL names the port (6333 is Qdrant's).
        client: in place of a server, e.g. of the local mode.
        vector: the name of the vector to probe, where the collection has named ones.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint | None = None,
        client: QdrantClient | None = None,
        collection: str,
        permits: PermitVerifier,
        clock: Clock,
        vector: str = "",
    ) -> None:
        if (endpoint is None) == (client is None):
            raise ConfigurationError("vectors.url", "a server or a client is needed, not both", "Name the url")
        if not collection or "/" in collection:
            raise ConfigurationError("vectors.collection", f"{collection!r} is no collection", "Name the collection")
        self._endpoint = endpoint
        self._verify = tls_context(endpoint, "vectors") if endpoint is not None else True
        self._opened = client
        self._collection = collection
        self._permits = permits
        self._clock = clock
        self._vector = vector or None

    def close(self) -> None:
        """Close the connections; a client that was handed over stays its owner's."""
        if self._endpoint is not None and self._opened is not None:
            self._opened.close()
            self._opened = None

    def status(self) -> IndexState:
        """See `VectorsPort.status`."""
        info = self._info()
        probe = self._probe()
        now = self._clock.now()
        error = info.optimizer_status
        queue = info.update_queue
        return IndexState(
            collection=self._collection,
            status=Status(info.status.value),
            points=self._count(None),
            indexed=info.indexed_vectors_count or 0,
            segments=info.segments_count,
            quarantined=self._count(match(FLAG, True)),
            optimizer_error=str(getattr(error, "error", ""))[:500],
            pending_updates=getattr(queue, "length", 0) or 0,
            latency_ms=self._measured(
                statistics.median(probe.latencies) if probe.latencies else None, "ms", probe, now
            ),
            recall=self._measured(probe.found / probe.wanted if probe.wanted else None, "share", probe, now),
            probe_errors=probe.errors,
            at=now,
        )

    def reindex(self, *, key: str, permit: Permit | None) -> Reindexed:
        """See `VectorsPort.reindex`."""
        self._permits.spend(permit, effect=EFFECT_REINDEX, key=key)
        info = self._info()
        if (done := self._kept(info, key)) is not None:
            return done
        optimizers = info.config.optimizer_config
        if optimizers.max_optimization_threads == 0 or optimizers.indexing_threshold == 0:
            raise InvalidInput(
                "vectors.collection",
                f"the optimizers of {self._collection!r} are switched off",
                "Set max_optimization_threads and indexing_threshold of the collection above 0",
            )
        before = info.config.hnsw_config.ef_construct
        # Segments whose graph was built with another parameter are built anew; one more or less changes nothing else.
        made = Reindexed(
            collection=self._collection,
            ef_construct_before=before,
            ef_construct_after=before ^ 1,
            at=self._clock.now(),
        )
        self._rebuild(made, key, own(info))
        if self._kept(self._info(), key) is None:
            raise OutcomeUnknown(
                f"{NAME}: the re-index was asked for and its key was not kept; a server before 1.16 has nowhere to"
            )
        return made

    def quarantine(
        self, *, ids: Sequence[PointId], where: Mapping[str, Value], most: int, key: str, permit: Permit | None
    ) -> int:
        """See `VectorsPort.quarantine`."""
        from qdrant_client import models

        self._permits.spend(permit, effect=EFFECT_QUARANTINE, key=key)
        checked(ids, where, most)
        wanted: list[models.Condition] = [match(name, value) for name, value in where.items()]
        if ids:
            wanted.append(models.HasIdCondition(has_id=list(ids)))
        chosen = models.Filter(must=wanted, must_not=[match(FLAG, True), match(HELD_BY, key)])
        matched = self._count(chosen)
        if matched > most:
            raise too_many(matched, most)
        if matched:
            self._flag(chosen, {FLAG: True, HELD_BY: key})
        return self._count(match(HELD_BY, key))

    def release(self, *, of: str, key: str, permit: Permit | None) -> int:
        """See `VectorsPort.release`."""
        from qdrant_client import models

        self._permits.spend(permit, effect=EFFECT_RELEASE, key=key)
        if not self._count(match(HELD_BY, of)):
            raise InvalidInput("of", "there is no quarantine with the key", "Name the key of a quarantine")
        self._flag(models.Filter(must=[match(HELD_BY, of), match(FLAG, True)]), {FLAG: False, RELEASED_BY: key})
        return self._count(match(RELEASED_BY, key))

    def observe(self, key: str) -> Observation:
        """See `VectorsPort.observe`."""
        done = self._kept(self._info(), key)
        if done is not None:
            return Observation.done(done.model_dump(mode="json"))
        if held := self._count(match(HELD_BY, key)):
            return Observation.done({"quarantined": held})
        if released := self._count(match(RELEASED_BY, key)):
            return Observation.done({"released": released})
        return Observation.absent("the collection holds nothing under the key")

    def check(self) -> str:
        """See `VectorsPort.check`."""
        if self._endpoint is not None:
            version = self._ask(lambda client: client.info().version)
            if older(version, (1, 16)):
                raise ConfigurationError(
                    "vectors.url",
                    f"Qdrant {version} keeps no metadata of a collection, so a re-index could not be found again",
                    "Use Qdrant 1.16 or later",
                )
        info = self._info()
        return f"{NAME}: Qdrant, collection {self._collection} is {info.status.value}, {self._count(None)} points"

    # -- how it is asked -------------------------------------------------------------------------------------------

    def _client(self) -> QdrantClient:
        if self._opened is None and self._endpoint is not None:
            try:
                from qdrant_client import QdrantClient
            except ImportError as error:
                raise ConfigurationError(
                    "vectors.kind", "qdrant needs a package that is not installed", "Install evercrew[qdrant]"
                ) from error
            token = self._endpoint.token
            self._opened = QdrantClient(
                url=self._endpoint.url,
                headers={"api-key": token.get_secret_value()} if token else None,
                timeout=max(math.ceil(self._endpoint.timeout.total_seconds()), 1),
                check_compatibility=False,
                verify=self._verify,
                trust_env=False,
            )
        if self._opened is None:
            raise DependencyUnavailable(NAME, "the connection is closed")
        return self._opened

    def _ask(self, ask: Callable[[QdrantClient], T], *, again: bool = True) -> T:
        """Ask the server; what is safe to repeat is asked again when there was no answer."""
        attempts = self._endpoint.attempts if self._endpoint is not None and again else 1
        with metered(NAME):
            for attempt in range(1, attempts + 1):
                try:
                    with guarded(self._collection):
                        return ask(self._client())
                except (DependencyTimeout, DependencyUnavailable) as error:
                    if attempt == attempts or isinstance(error, Refused):
                        raise
                self._clock.sleep(timedelta(milliseconds=200) * 2 ** (attempt - 1))
        raise DependencyUnavailable(NAME, "it was not asked")

    def _info(self) -> models.CollectionInfo:
        return self._ask(lambda client: client.get_collection(self._collection))

    def _count(self, chosen: models.Filter | models.FieldCondition | None) -> int:
        from qdrant_client import models

        wanted = models.Filter(must=[chosen]) if isinstance(chosen, models.FieldCondition) else chosen
        return self._ask(lambda client: client.count(self._collection, count_filter=wanted, exact=True).count)

    def _flag(self, chosen: models.Filter, payload: Mapping[str, Value]) -> None:
        # The same flag for the same points once more changes nothing: it may be repeated.
        self._ask(lambda client: client.set_payload(self._collection, dict(payload), points=chosen, wait=True))

    def _rebuild(self, made: Reindexed, key: str, own: Mapping[str, int]) -> None:
        from qdrant_client import models

        kept = made.model_dump(mode="json")
        vectors = {
            name: models.VectorParamsDiff(hnsw_config=models.HnswConfigDiff(ef_construct=ef ^ 1))
            for name, ef in own.items()
        }
        accepted = self._ask(
            lambda client: client.update_collection(
                self._collection,
                hnsw_config=models.HnswConfigDiff(ef_construct=made.ef_construct_after),
                vectors_config=vectors or None,
                optimizers_config=models.OptimizersConfigDiff(),
                metadata={REINDEX + key: kept},
            ),
            again=False,
        )
        if not accepted:
            raise DependencyLied(NAME, "the re-index was answered with no")

    def _kept(self, info: models.CollectionInfo, key: str) -> Reindexed | None:
        kept = (info.config.metadata or {}).get(REINDEX + key)
        try:
            return Reindexed.model_validate(kept) if kept is not None else None
        except ValueError as error:
            raise DependencyLied(
                NAME, f"metadata {REINDEX + key}: {error}", "Mend the collection's metadata"
            ) from error

    # -- probes ----------------------------------------------------------------------------------------------------

    def _probe(self) -> Probe:
        """Search for the neighbours of some points, by the index and exactly."""
        points, _ = self._ask(
            lambda client: client.scroll(self._collection, limit=PROBES, with_payload=False, with_vectors=False)
        )
        latencies, found, wanted, errors = [], 0, 0, 0
        for point in points:
            try:
                begun = self._clock.monotonic()
                near = self._neighbours(point.id, exact=False)
                latencies.append(1000 * (self._clock.monotonic() - begun))
                truth = self._neighbours(point.id, exact=True)
            except DependencyError:
                errors += 1
                continue
            found += recalled(near, truth)
            wanted += len(truth)
        return Probe(latencies, found, wanted, errors)

    def _neighbours(self, point: models.ExtendedPointId, *, exact: bool) -> list[models.ScoredPoint]:
        from qdrant_client import models

        return self._ask(
            lambda client: (
                client.query_points(
                    self._collection,
                    query=point,
                    using=self._vector,
                    limit=NEIGHBOURS,
                    # The local mode searches exactly whatever it is told, and warns when it is told anything.
                    search_params=models.SearchParams(exact=True) if exact and self._endpoint is not None else None,
                    with_payload=False,
                ).points
            ),
            again=False,
        )

    def _measured(self, value: float | None, unit: str, probe: Probe, at: datetime) -> Measurement:
        return Measurement(
            value=value, unit=unit, n=len(probe.latencies), source=f"{NAME}: probes of {self._collection}", at=at
        )
