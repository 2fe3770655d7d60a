"""H2O LLM Studio by its command line: on this machine and over SSH, against a program that keeps its contract."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.training.base import EFFECT_TRAIN, TrainingJob
from adapters.training.llm_studio import ENTRY, LlmStudio, LlmStudioTraining, StudioState
from adapters.training.llm_studio_charts import read_charts, read_flags
from adapters.training.llm_studio_config import studio_config
from adapters.training.llm_studio_shell import LocalShell, Shell, ShellHost, SshShell
from domain.clock import SystemClock
from domain.errors import (
    ConfigurationError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    InvalidInput,
    PermitMissing,
)
from domain.observation import Seen
from domain.permit import PermitOffice
from tests.contract.permits import permit_for
from tests.integrations.llm_studio.sshd import CommandSshd
from tests.stubs.llm_studio import behave, install
from tests.stubs.small_server import NOBODY
from tests.support.waiting import gone, until

EXAMPLES = Path(__file__).resolve().parents[4] / "shared" / "contracts" / "h2o-llmstudio"
SETTINGS: dict[str, Any] = {"llm_backbone": "folder/tiny", "training": {"epochs": 2}}
MINUTE = timedelta(minutes=1)
needs_ssh = pytest.mark.skipif(
    not (shutil.which("sshd", path="/usr/sbin:/usr/bin") and shutil.which("ssh")),
    reason="sshd is not installed: apt-get install openssh-server openssh-client",
)


def case(name: str) -> pytest.MarkDecorator:
    return pytest.mark.integration("llm_studio", name)


@pytest.fixture
def office() -> PermitOffice:
    return PermitOffice(SystemClock())


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return install(tmp_path / "clone")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    file = tmp_path / "train.csv"
    file.write_text("instruction,output\nsay hi,hi\n")
    return file


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandSshd]:
    with CommandSshd(tmp_path_factory.mktemp("sshd") / "server") as server:
        yield server


def ssh(server: CommandSshd, **changes: Any) -> SshShell:
    fields: dict[str, Any] = {"host": server.host, "key": server.key, "known_hosts": server.known_hosts}
    return SshShell(**{**fields, "port": server.port, **changes})


def host(shell: Shell, program: Path, tmp_path: Path) -> ShellHost:
    return ShellHost(shell, root=str(tmp_path / "experiments"), studio=str(program), python=sys.executable)


@pytest.fixture(params=["local", pytest.param("ssh", marks=needs_ssh)])
def studio(request: pytest.FixtureRequest, program: Path, tmp_path: Path, office: PermitOffice) -> LlmStudio:
    shell: Shell = LocalShell() if request.param == "local" else ssh(request.getfixturevalue("sshd"))
    return LlmStudio(host=host(shell, program, tmp_path), permits=office)


@pytest.fixture
def local(program: Path, tmp_path: Path, office: PermitOffice) -> LlmStudio:
    return LlmStudio(host=host(LocalShell(), program, tmp_path), permits=office)


def training(studio: LlmStudio, office: PermitOffice, tmp_path: Path) -> LlmStudioTraining:
    return LlmStudioTraining(
        studio=studio,
        folder=tmp_path / "results",
        permits=office,
        clock=SystemClock(),
        poll=timedelta(milliseconds=30),
    )


def job(dataset: Path, seconds: float = 60, **settings: Any) -> TrainingJob:
    spec = {"dataset": str(dataset), "settings": {**SETTINGS, **settings}}
    return TrainingJob(entry=ENTRY, spec=spec, timeout=timedelta(seconds=seconds))


def ran(studio: LlmStudio, office: PermitOffice, tmp_path: Path, work: TrainingJob, key: str = "k1") -> Any:
    permit = permit_for(office, EFFECT_TRAIN, key)
    return training(studio, office, tmp_path).run(work, key=key, permit=permit)


def starts(tmp_path: Path, key: str = "k1") -> list[int]:
    return [int(line) for line in (tmp_path / "experiments" / key / "starts").read_text().splitlines()]


def comes_to(studio: LlmStudio, state: StudioState) -> None:
    until(lambda: (status := studio.status("k1")) is not None and status.state is state)


@case("works")
def test_an_experiment_runs_to_its_end_and_its_model_comes_back(
    studio: LlmStudio, office: PermitOffice, tmp_path: Path, dataset: Path
) -> None:
    result = ran(studio, office, tmp_path, job(dataset))
    assert (result.folder / "checkpoint.pth").read_bytes() == b"weights"
    assert result.output["metrics"] == pytest.approx({"validation_BLEU": 0.7, "train_loss": 0.5})
    assert result.output["model_path"].endswith("/k1/output")
    assert ran(studio, office, tmp_path, job(dataset)) == result
    assert training(studio, office, tmp_path).observe("k1").seen is Seen.DONE
    assert len(starts(tmp_path)) == 1


@case("works")
def test_the_same_key_joins_the_experiment_that_runs(
    local: LlmStudio, office: PermitOffice, tmp_path: Path, dataset: Path, program: Path
) -> None:
    gate = tmp_path / "gate"
    behave(program, gate=str(gate))
    for _ in range(3):
        permit = permit_for(office, EFFECT_TRAIN, "k1")
        local.start("k1", SETTINGS, dataset, timeout=MINUTE, permit=permit)
    comes_to(local, StudioState.RUNNING)
    assert training(local, office, tmp_path).observe("k1").seen is Seen.ABSENT
    gate.touch()
    assert ran(local, office, tmp_path, job(dataset)).output["metrics"]["validation_BLEU"] == pytest.approx(0.7)
    assert len(starts(tmp_path)) == 1


@case("works")
def test_a_failed_experiment_leaves_no_result_and_is_started_anew(
    local: LlmStudio, office: PermitOffice, tmp_path: Path, dataset: Path, program: Path
) -> None:
    behave(program, how="crash")
    with pytest.raises(DependencyUnavailable, match="CUDA out of memory"):
        ran(local, office, tmp_path, job(dataset))
    assert training(local, office, tmp_path).observe("k1").seen is Seen.ABSENT
    behave(program)
    assert ran(local, office, tmp_path, job(dataset)).output["metrics"]


@case("works")
def test_nothing_starts_without_a_permit(local: LlmStudio, office: PermitOffice, tmp_path: Path, dataset: Path) -> None:
    with pytest.raises(PermitMissing):
        local.start("k1", SETTINGS, dataset, timeout=MINUTE, permit=None)
    with pytest.raises(PermitMissing):
        training(local, office, tmp_path).run(job(dataset), key="k1", permit=None)
    assert not (tmp_path / "experiments").exists()
    assert local.status("k1") is None


@case("works")
def test_the_configuration_has_the_documented_keys(local: LlmStudio, tmp_path: Path, dataset: Path) -> None:
    local.begin("k1", SETTINGS, dataset, timeout=MINUTE)
    written = yaml.safe_load((tmp_path / "experiments" / "k1" / "cfg.yaml").read_text())
    comes_to(local, StudioState.COMPLETED)
    if not EXAMPLES.is_dir():
        pytest.skip("the example configurations are not beside the checkout")
    documented = yaml.safe_load((EXAMPLES / "causal_language_modeling_cpu.yaml").read_text())
    assert set(written) == set(documented)
    for section, values in written.items():
        if isinstance(values, dict):
            assert set(values) <= set(documented[section]), section


@case("works")
@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the example configurations are not beside the checkout")
@pytest.mark.parametrize("name", ["causal_language_modeling_cpu", "causal_binary_classification_cpu", "example_oasst2"])
def test_the_public_examples_are_valid_and_survive_the_way_out_and_back(name: str) -> None:
    given = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    assert yaml.safe_load(studio_config(given).text()) == given


@case("works")
@pytest.mark.parametrize("shell", ["local", pytest.param("ssh", marks=needs_ssh)])
def test_the_check_names_the_program_and_the_machine(
    request: pytest.FixtureRequest, program: Path, tmp_path: Path, shell: str
) -> None:
    there: Shell = LocalShell() if shell == "local" else ssh(request.getfixturevalue("sshd"))
    assert str(program) in host(there, program, tmp_path).check()


@case("refused")
@needs_ssh
def test_a_key_that_may_not_log_in_is_refused(sshd: CommandSshd, program: Path, tmp_path: Path) -> None:
    with pytest.raises(DependencyUnavailable, match=r"refused the key.*llm_studio\.ssh_key"):
        host(ssh(sshd, key=sshd.stranger), program, tmp_path).check()


@case("refused")
@needs_ssh
def test_a_machine_that_is_not_there_is_named(sshd: CommandSshd, program: Path, tmp_path: Path) -> None:
    with pytest.raises(DependencyUnavailable, match=r"cannot be reached.*llm_studio\.host"):
        host(ssh(sshd, port=int(NOBODY.rsplit(":", 1)[1])), program, tmp_path).check()


@case("refused")
def test_a_data_set_the_program_refuses_is_told_in_its_words(
    local: LlmStudio, office: PermitOffice, tmp_path: Path, dataset: Path, program: Path
) -> None:
    (program / "llm_studio" / "train.py").write_text("raise ValueError('column instruction is missing')\n")
    with pytest.raises(DependencyUnavailable, match=r"exit status 1.*column instruction is missing"):
        ran(local, office, tmp_path, job(dataset))


@case("slow")
def test_an_experiment_that_takes_too_long_is_ended(
    local: LlmStudio, office: PermitOffice, tmp_path: Path, dataset: Path, program: Path
) -> None:
    behave(program, seconds=600)
    local.begin("k1", SETTINGS, dataset, timeout=MINUTE)
    until((tmp_path / "experiments" / "k1" / "starts").exists)
    with pytest.raises(DependencyTimeout, match=r"longer than 0\.8 s and was ended"):
        ran(local, office, tmp_path, job(dataset, seconds=0.8))
    (pid,) = starts(tmp_path)
    until(lambda: gone(pid))


@case("slow")
def test_an_experiment_nobody_waits_for_ends_at_its_time(local: LlmStudio, dataset: Path, program: Path) -> None:
    behave(program, seconds=600)
    local.begin("k1", SETTINGS, dataset, timeout=timedelta(seconds=1))
    comes_to(local, StudioState.FAILED)
    status = local.status("k1")
    assert status is not None
    assert "ran out of its time" in status.error


@case("slow")
def test_a_command_that_hangs_is_given_up() -> None:
    with pytest.raises(DependencyTimeout, match=r"longer than 0\.2 s"):
        LocalShell().run("sleep 30", timeout=timedelta(seconds=0.2))


@case("lying")
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("silent", "never said finished"),
        ("liar", "says finished, but the program ended with 1"),
        ("half", r"flags\.json is no JSON"),
        ("evil", r"charts\.db cannot be read"),
    ],
)
def test_files_that_contradict_the_program_are_a_lie(
    local: LlmStudio, office: PermitOffice, tmp_path: Path, dataset: Path, program: Path, how: str, words: str
) -> None:
    behave(program, how=how)
    with pytest.raises(DependencyLied, match=words):
        ran(local, office, tmp_path, job(dataset))
    assert training(local, office, tmp_path).observe("k1").seen is Seen.ABSENT


@case("lying")
def test_a_program_that_vanished_is_no_running_one(
    local: LlmStudio, tmp_path: Path, dataset: Path, program: Path
) -> None:
    behave(program, seconds=600)
    local.begin("k1", SETTINGS, dataset, timeout=MINUTE)
    comes_to(local, StudioState.RUNNING)
    for name in ("pid", "child"):
        os.killpg(int((tmp_path / "experiments" / "k1" / name).read_text()), signal.SIGKILL)
    comes_to(local, StudioState.FAILED)
    status = local.status("k1")
    assert status is not None
    assert "vanished" in status.error


@case("lying")
@pytest.mark.parametrize("text", ["[]", "{", '{"status": 3}'])
def test_flags_that_are_no_flags_are_refused(text: str) -> None:
    with pytest.raises(DependencyLied, match="flags"):
        read_flags(text)
    assert read_flags("") == {}
    assert read_flags(json.dumps({"status": "finished"})) == {"status": "finished"}


@case("lying")
def test_charts_that_are_no_charts_are_refused() -> None:
    with pytest.raises(DependencyLied, match="charts"):
        read_charts(b"no database")
    assert read_charts(b"") == {}


@case("misconfigured")
@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"training": {"epochz": 2}}, r"llm_studio\.training\.epochz: There is no such key"),
        ({"training": {"epochs": "2"}}, r"llm_studio\.training\.epochs"),
        ({"training": {"learning_rate": float("nan")}}, r"llm_studio\.training\.learning_rate"),
        ({"llm_backbone": ""}, r"llm_studio\.llm_backbone"),
        ({"output_directory": "elsewhere"}, r"llm_studio\.output_directory"),
        ({"dataset": {"train_dataframe": "else.csv"}}, r"llm_studio\.dataset\.train_dataframe"),
        ({"tokenizer": 3}, r"llm_studio\.tokenizer"),
    ],
)
def test_a_setting_that_cannot_be_is_named(
    local: LlmStudio, tmp_path: Path, dataset: Path, settings: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput, match=field):
        local.begin("k1", {**SETTINGS, **settings}, dataset, timeout=MINUTE)
    assert not (tmp_path / "experiments").exists()


@case("misconfigured")
@pytest.mark.parametrize("name", ["data.txt", "missing.csv", "-rf.csv"])
def test_a_data_set_that_cannot_be_read_is_named(local: LlmStudio, tmp_path: Path, name: str) -> None:
    if name != "missing.csv":
        (tmp_path / name).write_text("x")
    with pytest.raises(InvalidInput, match="dataset"):
        local.begin("k1", SETTINGS, tmp_path / name, timeout=MINUTE)


@case("misconfigured")
@pytest.mark.parametrize("key", ["", "../up", "a b", "x" * 80, "$(reboot)"])
def test_a_key_that_cannot_name_an_experiment_is_refused(local: LlmStudio, dataset: Path, key: str) -> None:
    with pytest.raises(InvalidInput, match="key"):
        local.begin(key, SETTINGS, dataset, timeout=MINUTE)


@case("misconfigured")
def test_each_wrong_setting_of_the_host_has_its_remedy(program: Path, tmp_path: Path) -> None:
    def checked(studio: str = str(program), python: str = sys.executable, root: str = str(tmp_path / "r")) -> None:
        ShellHost(LocalShell(), root=root, studio=studio, python=python).check()

    with pytest.raises(ConfigurationError, match=r"llm_studio\.folder.*no llm_studio/train\.py"):
        checked(studio=str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"llm_studio\.python.*does not start"):
        checked(python="no-such-python")
    with pytest.raises(ConfigurationError, match=r"llm_studio\.root"):
        checked(root=str(program / "llm_studio" / "train.py" / "below"))
    with pytest.raises(ConfigurationError, match=r"llm_studio\.folder.*absolute"):
        checked(studio="relative")


@case("misconfigured")
@needs_ssh
def test_a_server_with_another_key_is_not_talked_to(sshd: CommandSshd, program: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"llm_studio\.known_hosts"):
        host(ssh(sshd, known_hosts=sshd.other_hosts), program, tmp_path).check()
    with pytest.raises(ConfigurationError, match=r"llm_studio\.host"):
        ssh(sshd, host="-oProxyCommand=reboot")
    with pytest.raises(ConfigurationError, match=r"llm_studio\.ssh_key"):
        ssh(sshd, key=tmp_path / "missing")


@case("misconfigured")
def test_a_job_of_another_kind_is_refused(
    local: LlmStudio, office: PermitOffice, tmp_path: Path, dataset: Path
) -> None:
    other = TrainingJob(entry="testbed.jobs:train", spec={})
    with pytest.raises(InvalidInput, match="entry"):
        ran(local, office, tmp_path, other)
    with pytest.raises(InvalidInput, match="spec"):
        ran(local, office, tmp_path, TrainingJob(entry=ENTRY, spec={"dataset": str(dataset)}))
