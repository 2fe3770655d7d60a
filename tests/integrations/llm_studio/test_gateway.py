"""The REST interface in front of H2O LLM Studio, from upload to a finished model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from adapters.audit.memory import MemoryAudit
from adapters.training.llm_studio import LlmStudio
from adapters.training.llm_studio_shell import LocalShell, ShellHost
from domain.clock import SystemClock
from domain.errors import ConfigurationError
from domain.permit import PermitOffice
from service.llm_studio_gateway import Gateway, gateway_app
from tests.stubs.llm_studio import behave, install
from tests.support.waiting import until

TOKEN = "a-token-for-tests-only"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
ASKED: dict[str, Any] = {
    "model_type": "reranker",
    "base_model": "ms-marco-MiniLM-L12-v2",
    "epochs": 2,
    "batch_size": 32,
    "learning_rate": 2e-5,
    "validation_split": 0.2,
}


def case(name: str) -> pytest.MarkDecorator:
    return pytest.mark.integration("llm_studio_gateway", name)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return install(tmp_path / "clone")


@pytest.fixture
def gateway(tmp_path: Path, program: Path) -> Gateway:
    clock = SystemClock()
    permits = PermitOffice(clock)
    host = ShellHost(LocalShell(), root=str(tmp_path / "runs"), studio=str(program), python=sys.executable)
    return Gateway(
        studio=LlmStudio(host=host, permits=permits),
        permits=permits,
        audit=MemoryAudit(clock),
        folder=tmp_path / "datasets",
        token=SecretStr(TOKEN),
        most_bytes=10_000,
    )


@pytest.fixture
def client(gateway: Gateway) -> TestClient:
    return TestClient(gateway_app(gateway), headers=HEADERS)


def uploaded(client: TestClient, content: bytes = b"instruction,binary_label\na,1\n", name: str = "d.csv") -> Any:
    return client.post("/api/datasets/upload", files={"file": (name, content)})


def train(client: TestClient, **changes: Any) -> Any:
    dataset = uploaded(client).json()["dataset_id"]
    return client.post("/api/train", json={"dataset_id": dataset, **ASKED, **changes})


def ended(client: TestClient, job: str) -> Mapping[str, Any]:
    def status() -> dict[str, Any]:
        told: dict[str, Any] = client.get(f"/api/jobs/{job}/status").json()
        return told

    until(lambda: status().get("state") not in ("queued", "running"))
    return status()


@case("works")
def test_a_data_set_becomes_a_model(client: TestClient, gateway: Gateway) -> None:
    started = train(client)
    assert started.status_code == 202
    job = started.json()["job_id"]
    status = ended(client, job)
    assert status["state"] == "completed"
    assert (Path(status["model_path"]) / "checkpoint.pth").exists()
    assert status["metrics"]["validation_AUC"] == pytest.approx(0.7)
    assert status["error"] is None
    assert [record.entry.status for record in gateway.audit.records(job)] == ["asked", "started"]


@case("works")
def test_the_same_request_twice_is_one_job(client: TestClient, tmp_path: Path) -> None:
    jobs = {train(client).json()["job_id"] for _ in range(2)}
    (job,) = jobs
    ended(client, job)
    assert len((tmp_path / "runs" / job / "starts").read_text().splitlines()) == 1
    assert train(client, epochs=3).json()["job_id"] != job


@case("refused")
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}])
@pytest.mark.parametrize("path", ["/api/train", "/api/datasets/upload", "/api/jobs/x/status"])
def test_nobody_gets_in_without_the_token(gateway: Gateway, headers: dict[str, str], path: str) -> None:
    stranger = TestClient(gateway_app(gateway), headers=headers)
    answer = stranger.get(path) if path.endswith("status") else stranger.post(path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert TOKEN not in answer.text


@case("refused")
def test_a_training_that_fails_says_why(client: TestClient, program: Path) -> None:
    behave(program, how="crash")
    status = ended(client, train(client).json()["job_id"])
    assert status["state"] == "failed"
    assert "CUDA out of memory" in status["error"]
    assert status["model_path"] is None


@case("slow")
def test_a_running_job_says_so_and_blocks_nobody(client: TestClient, program: Path, gateway: Gateway) -> None:
    behave(program, seconds=30)
    job = train(client).json()["job_id"]
    assert client.get(f"/api/jobs/{job}/status").json()["state"] == "running"
    gateway.studio.stop(job)


@case("lying")
def test_contradicting_files_are_no_success(client: TestClient, program: Path) -> None:
    behave(program, how="silent")
    job = train(client).json()["job_id"]
    until(lambda: client.get(f"/api/jobs/{job}/status").status_code != 200)
    answer = client.get(f"/api/jobs/{job}/status")
    assert answer.status_code == 502
    assert "never said finished" in answer.json()["detail"]


@case("misconfigured")
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"epochs": "2"}, "epochs"),
        ({"learning_rate": 3.0}, "learning_rate"),
        ({"model_type": "sorcerer"}, "model_type"),
        ({"base_model": "../../etc $(x)"}, "base_model"),
        ({"gpu": 1}, "gpu"),
        ({"dataset_id": "../up"}, "dataset_id"),
    ],
)
def test_a_field_that_cannot_be_is_named(client: TestClient, changes: dict[str, Any], field: str) -> None:
    answer = train(client, **changes)
    assert answer.status_code == 422
    assert field in answer.text


@case("misconfigured")
def test_what_is_not_known_is_not_found(client: TestClient) -> None:
    assert client.post("/api/train", json={"dataset_id": f"ds_{'0' * 32}", **ASKED}).status_code == 404
    assert client.get("/api/jobs/job-unknown/status").status_code == 404
    assert client.get("/api/jobs/..%2Fup/status").status_code in (404, 422)


@case("misconfigured")
def test_a_file_that_is_no_data_set_is_refused(client: TestClient, tmp_path: Path) -> None:
    assert uploaded(client, name="d.exe").status_code == 422
    assert uploaded(client, content=b"").status_code == 422
    assert uploaded(client, content=b"x" * 20_000).status_code == 413
    assert uploaded(client, content=b"x" * 2_000_000).status_code == 413
    assert not list((tmp_path / "datasets").iterdir())


@case("misconfigured")
@pytest.mark.parametrize("token", ["", "short"])
def test_it_does_not_start_without_a_token(gateway: Gateway, token: str) -> None:
    weak = Gateway(gateway.studio, gateway.permits, gateway.audit, gateway.folder, SecretStr(token))
    with pytest.raises(ConfigurationError, match="EVERCREW_LLM_STUDIO_GATEWAY_TOKEN"):
        gateway_app(weak)
