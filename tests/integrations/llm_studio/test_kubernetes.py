"""H2O LLM Studio as Jobs of a Kubernetes cluster, against a small API server."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.rest import Refused
from adapters.training.llm_studio import LlmStudio, StudioState
from adapters.training.llm_studio_kubernetes import KubernetesHost
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable, InvalidInput
from domain.permit import PermitOffice
from tests.stubs.kubernetes_jobs import JobsApi
from tests.stubs.small_server import NOBODY, Said, SmallServer, endpoint, said

SETTINGS: dict[str, Any] = {"llm_backbone": "folder/tiny"}
HOUR = timedelta(hours=1)
TOKEN = "service-account"
FINISHED = '{"status": "finished", "info": "Runtime: 00:10:00"}'


def case(name: str) -> pytest.MarkDecorator:
    return pytest.mark.integration("llm_studio", name)


@pytest.fixture
def api() -> JobsApi:
    return JobsApi()


@pytest.fixture
def server(api: JobsApi) -> Iterator[SmallServer]:
    with SmallServer(api, header=("Authorization", f"Bearer {TOKEN}")) as running:
        yield running


def host(url: str, *, token: str = TOKEN, image: str = "llm-studio:1", **fields: Any) -> KubernetesHost:
    given = endpoint(url, token=token, **fields)
    return KubernetesHost(endpoint=given, clock=FrozenClock(), namespace="test", image=image, gpus=2)


@pytest.fixture
def studio(server: SmallServer) -> LlmStudio:
    return LlmStudio(host=host(server.url), permits=PermitOffice(FrozenClock()))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    file = tmp_path / "train.csv"
    file.write_text("instruction,output\nsay hi,hi\n")
    return file


@case("works")
def test_a_job_carries_configuration_data_and_limits(studio: LlmStudio, api: JobsApi, dataset: Path) -> None:
    studio.begin("run-1", SETTINGS, dataset, timeout=HOUR)
    given = api.objects["configmaps"]["studio-run-1"]["binaryData"]
    config = yaml.safe_load(base64.b64decode(given["cfg.yaml"]))
    assert base64.b64decode(given["train.csv"]) == dataset.read_bytes()
    assert (config["output_directory"], config["dataset"]["train_dataframe"]) == ("/mount/run-1", "/given/train.csv")
    job = api.objects["jobs"]["studio-run-1"]["spec"]
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (0, 3600)
    (container,) = job["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert job["template"]["spec"]["automountServiceAccountToken"] is False
    studio.begin("run-1", SETTINGS, dataset, timeout=HOUR)
    assert len(api.objects["jobs"]) == 1


@case("works")
def test_a_job_is_told_from_its_conditions_and_its_log(
    studio: LlmStudio, api: JobsApi, dataset: Path, tmp_path: Path
) -> None:
    assert studio.status("run-1") is None
    studio.begin("run-1", SETTINGS, dataset, timeout=HOUR)
    api.logs["studio-run-1"] = "2026-01-01 - INFO: Validation BLEU: 12.50000\n"
    running = studio.status("run-1")
    assert running is not None
    assert (running.state, running.metrics) == (StudioState.RUNNING, {"validation_BLEU": 12.5})
    api.finish("studio-run-1", FINISHED, "2026-01-01 - INFO: Validation BLEU: 20.00000")
    done = studio.status("run-1")
    assert done is not None
    assert (done.state, done.model_path, done.metrics["validation_BLEU"]) == ("completed", "/mount/run-1", 20.0)
    studio.fetch("run-1", tmp_path)
    assert (tmp_path / "model_path").read_text() == "llm-studio:/mount/run-1\n"


@case("works")
def test_a_failed_job_is_started_anew(studio: LlmStudio, api: JobsApi, dataset: Path) -> None:
    studio.begin("run-1", SETTINGS, dataset, timeout=HOUR)
    api.fail("studio-run-1", "BackoffLimitExceeded", "ERROR: CUDA out of memory")
    failed = studio.status("run-1")
    assert failed is not None
    assert "BackoffLimitExceeded" in failed.error
    assert "CUDA out of memory" in failed.error
    studio.begin("run-1", SETTINGS, dataset, timeout=HOUR)
    again = studio.status("run-1")
    assert again is not None
    assert again.state is StudioState.RUNNING


@case("works")
def test_keys_that_look_alike_are_different_jobs(studio: LlmStudio, api: JobsApi, dataset: Path) -> None:
    for key in ("Run.1", "run_1", "run-1"):
        studio.begin(key, SETTINGS, dataset, timeout=HOUR)
    assert len(api.objects["jobs"]) == 3
    assert all(len(name) <= 63 for name in api.objects["jobs"])


@case("works")
def test_the_check_names_image_and_namespace(server: SmallServer) -> None:
    assert "llm-studio:1 in test" in host(server.url).check()


@case("refused")
def test_a_wrong_token_is_refused(server: SmallServer) -> None:
    with pytest.raises(Refused, match=r"llm_studio\.kubernetes"):
        host(server.url, token="wrong").check()


@case("refused")
def test_an_api_server_that_is_down_is_named() -> None:
    with pytest.raises(DependencyUnavailable, match=r"llm_studio\.kubernetes\.url"):
        host(NOBODY).check()


@case("slow")
def test_an_api_server_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DependencyTimeout):
            host(url, timeout=timedelta(seconds=0.2)).check()


@case("slow")
def test_a_job_past_its_deadline_has_failed(studio: LlmStudio, api: JobsApi, dataset: Path) -> None:
    studio.begin("run-1", SETTINGS, dataset, timeout=HOUR)
    api.fail("studio-run-1", "DeadlineExceeded")
    status = studio.status("run-1")
    assert status is not None
    assert (status.state, "DeadlineExceeded" in status.error) == (StudioState.FAILED, True)


@case("lying")
@pytest.mark.parametrize("flags", ["", '{"status": "running"}', "{half"])
def test_a_job_that_completed_without_finishing_lied(
    studio: LlmStudio, api: JobsApi, dataset: Path, flags: str
) -> None:
    studio.begin("run-1", SETTINGS, dataset, timeout=HOUR)
    api.finish("studio-run-1", flags)
    with pytest.raises(DependencyLied):
        studio.status("run-1")


@case("lying")
@pytest.mark.parametrize("lie", [said({"kind": "Else"}), said([]), Said(body=b"<html>")])
def test_another_product_at_the_address_is_told(server: SmallServer, lie: Said) -> None:
    server.lie = lie
    with pytest.raises(DependencyLied, match=r"llm_studio\.kubernetes\.url"):
        host(server.url).check()


@case("misconfigured")
def test_a_missing_claim_or_image_is_named() -> None:
    with SmallServer(JobsApi(claim="")) as running, pytest.raises(ConfigurationError, match=r"llm_studio\.claim"):
        host(running.url).check()
    with pytest.raises(ConfigurationError, match=r"llm_studio\.image"):
        host(NOBODY, image="")


@case("misconfigured")
def test_a_data_set_too_large_for_a_job_is_refused(studio: LlmStudio, api: JobsApi, tmp_path: Path) -> None:
    large = tmp_path / "large.csv"
    large.write_bytes(b"x" * 1_000_000)
    with pytest.raises(InvalidInput, match="dataset"):
        studio.begin("run-1", SETTINGS, large, timeout=HOUR)
    assert not api.objects["jobs"]
