"""A small REST interface in front of H2O LLM Studio, which has none of its own: upload a data set, train, ask.

Whoever has the token may train; each start is in the audit chain before it happens. A data set is named by its content
and a job by its data set and settings, so a repeated request starts nothing twice.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, UploadFile
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from adapters.audit.base import AuditPort
from adapters.training.base import EFFECT_TRAIN
from adapters.training.llm_studio import LlmStudio, StudioState
from domain.canonical import canonical_json
from domain.errors import (
    AuditUnavailable,
    ConfigurationError,
    DependencyError,
    DependencyLied,
    DependencyTimeout,
    EvercrewError,
    InvalidInput,
)
from domain.permit import PermitOffice
from domain.receipt import AuditEntry, RecordKind

ACTOR = "llm_studio_gateway"
SHORTEST_TOKEN = 16
_SUFFIXES = (".csv", ".pq", ".parquet")
_BLOCK = 1024 * 1024
_STATES: Mapping[StudioState, str] = {
    StudioState.QUEUED: "queued",
    StudioState.RUNNING: "running",
    StudioState.COMPLETED: "completed",
    StudioState.FAILED: "failed",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class TrainRequest(_Strict):
    """What to train: `validation_split` is a share of the data set; a re-ranker is a classifier of one probability."""

    dataset_id: str = Field(pattern=r"^ds_[0-9a-f]{32}$")
    model_type: Literal["reranker", "classifier", "text"]
    base_model: str = Field(min_length=1, max_length=200, pattern=r"^[\w./-]+$")
    epochs: int = Field(default=1, ge=1, le=100)
    batch_size: int = Field(default=2, ge=1, le=1024)
    learning_rate: float = Field(default=1e-4, gt=0, lt=1)
    validation_split: float = Field(default=0.1, gt=0, lt=1)

    def settings(self) -> dict[str, Any]:
        """Return the settings of the experiment."""
        of_kind: dict[str, Any] = {"problem_type": "text_causal_language_modeling"}
        dataset: dict[str, Any] = {"validation_size": self.validation_split}
        training: dict[str, Any] = {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
        }
        if self.model_type != "text":
            of_kind = {"problem_type": "text_causal_classification_modeling", "prediction": {"metric": "AUC"}}
            dataset |= {"num_classes": 1}
            training |= {"loss_function": "BinaryCrossEntropyLoss"}
        return {**of_kind, "llm_backbone": self.base_model, "dataset": dataset, "training": training}


class Uploaded(_Strict):
    dataset_id: str


class Started(_Strict):
    job_id: str


class JobStatus(_Strict):
    """`model_path` is where the machine that trained keeps the model."""

    state: Literal["queued", "running", "completed", "failed"]
    model_path: str | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Gateway:
    """What the interface needs: where it keeps data sets, who may ask, and how long a training may take."""

    studio: LlmStudio
    permits: PermitOffice
    audit: AuditPort
    folder: Path
    token: SecretStr
    timeout: timedelta = timedelta(hours=12)
    most_bytes: int = 512 * 1024 * 1024

    def keep(self, upload: UploadFile) -> str:
        """Store a data set and return its name."""
        suffix = Path(upload.filename or "").suffix.lower()
        if suffix not in _SUFFIXES:
            raise InvalidInput("file", f"{suffix or 'no suffix'} cannot be read", f"Use one of {', '.join(_SUFFIXES)}")
        self.folder.mkdir(parents=True, exist_ok=True)
        found, seen = hashlib.sha256(), 0
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".upload-", delete=False) as kept:
            fresh = Path(kept.name)
            try:
                while block := upload.file.read(_BLOCK):
                    seen += len(block)
                    if seen > self.most_bytes:
                        raise HTTPException(413, f"file: longer than {self.most_bytes} bytes")
                    found.update(block)
                    kept.write(block)
                kept.flush()
                name = f"ds_{found.hexdigest()[:32]}"
                shutil.move(fresh, self.folder / f"{name}{suffix}")
            finally:
                fresh.unlink(missing_ok=True)
        if not seen:
            (self.folder / f"{name}{suffix}").unlink()
            raise InvalidInput("file", "is empty", "Send a data set")
        return name

    def start(self, wanted: TrainRequest) -> str:
        """Start (or join) a training and return its job."""
        dataset = next((path for s in _SUFFIXES if (path := self.folder / f"{wanted.dataset_id}{s}").exists()), None)
        if dataset is None:
            raise HTTPException(404, f"dataset_id: {wanted.dataset_id} is not known: upload it first")
        canonical = canonical_json(wanted.model_dump(mode="json"))
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        job = f"job-{digest[:32]}"
        self._note(job, digest, "asked", wanted)
        permit = self.permits.mint(
            tool=ACTOR, effects=(EFFECT_TRAIN,), args_hash=digest, actor=ACTOR, cycle_id=job, key=job
        )
        self.studio.start(job, wanted.settings(), dataset, timeout=self.timeout, permit=permit)
        self._note(job, digest, "started", wanted)
        return job

    def status(self, job: str) -> JobStatus:
        """Return how a job stands."""
        found = self.studio.status(job)
        if found is None:
            raise HTTPException(404, f"job_id: {job} is not known")
        return JobStatus(
            state=_STATES[found.state],  # type: ignore[arg-type]  # the values are the four words
            model_path=found.model_path or None,
            metrics=dict(found.metrics),
            error=found.error or None,
        )

    def _note(self, job: str, digest: str, status: str, wanted: TrainRequest) -> None:
        entry = AuditEntry(
            kind=RecordKind.NOTE,
            cycle_id=job,
            tool=ACTOR,
            actor=ACTOR,
            key=job,
            args_hash=digest,
            status=status,
            body=wanted.model_dump(mode="json"),
        )
        self.audit.append(entry)


def gateway_app(gateway: Gateway) -> FastAPI:
    """Return the application.

    Raises:
        ConfigurationError: the token is too short to be one.
    """
    if len(gateway.token.get_secret_value()) < SHORTEST_TOKEN:
        raise ConfigurationError(
            "EVERCREW_LLM_STUDIO_GATEWAY_TOKEN", "is missing or too short", f"Set at least {SHORTEST_TOKEN} characters"
        )
    app = FastAPI(title="H2O LLM Studio gateway", docs_url=None, redoc_url=None)
    router = APIRouter(prefix="/api", dependencies=[Depends(_only(gateway.token))])

    @router.post("/datasets/upload")
    def upload(file: UploadFile) -> Uploaded:
        return Uploaded(dataset_id=gateway.keep(file))

    @router.post("/train", status_code=202)
    def train(wanted: TrainRequest) -> Started:
        return Started(job_id=gateway.start(wanted))

    @router.get("/jobs/{job_id}/status")
    def status(job_id: str) -> JobStatus:
        return gateway.status(job_id)

    app.include_router(router)
    app.add_exception_handler(EvercrewError, _answered)
    app.middleware("http")(_bounded(gateway.most_bytes))
    return app


_bearer = HTTPBearer(auto_error=False)


def _only(token: SecretStr) -> Callable[[HTTPAuthorizationCredentials | None], None]:
    def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
        said = given.credentials if given is not None else ""
        if not secrets.compare_digest(said.encode(), token.get_secret_value().encode()):
            raise HTTPException(401, "a bearer token is needed", headers={"WWW-Authenticate": "Bearer"})

    return check


def _bounded(most: int) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    """Refuse what says that it is too long before it is read."""

    async def bounded(request: Request, following: Callable[[Request], Awaitable[Response]]) -> Response:
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > most + _BLOCK:
            return JSONResponse({"detail": f"longer than {most} bytes"}, 413)
        return await following(request)

    return bounded


def _answered(_request: Request, problem: Exception) -> JSONResponse:
    codes: tuple[tuple[type[Exception], int], ...] = (
        (ConfigurationError, 500),
        (InvalidInput, 422),
        (AuditUnavailable, 503),
        (DependencyTimeout, 504),
        (DependencyLied, 502),
        (DependencyError, 503),
    )
    code = next((code for kind, code in codes if isinstance(problem, kind)), 500)
    return JSONResponse({"detail": str(problem)}, code)
