"""Datasets in DVC with an S3 remote, its pipelines run again by DVC's own command, and a remote that misbehaves."""

from __future__ import annotations

import itertools
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.datasets.base import EFFECT_PIPELINE, EFFECT_TAG, EFFECT_VERSION, DatasetsPort, Pipeline
from adapters.datasets.dvc import DvcDatasets
from adapters.datasets.dvc_content import object_path
from adapters.s3 import S3Location
from domain.clock import FrozenClock, SystemClock
from domain.dataset import DatasetRef
from domain.errors import (
    ConfigurationError,
    DependencyError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    DigestMismatch,
)
from domain.permit import PermitOffice
from evals import simulated_jobs as small
from evals.simulated_jobs import SCORE, TRAIN
from testbed.servers.moto import Moto
from tests.contract.datasets_contract import FILES, Damage, DatasetsContract, contents, folder_of
from tests.contract.gitremote import git
from tests.contract.permits import permit_for
from tests.integrations.stores import silence
from tests.stubs.small_server import Said, SmallServer

pytest.importorskip("dvc_s3", reason="dvc-s3 is not installed: pip install 'evercrew[s3]'")

ROOT = Path(__file__).resolve().parents[3]
_numbers = itertools.count()
JUDGED = "".join(json.dumps({"query": f"q{n} words", "doc_id": f"d{n}", "grade": 1}) + "\n" for n in range(30))
DATA = {"documents.jsonl": '{"id": "d1", "title": "t", "text": "x"}\n', "judgements.jsonl": JUDGED}


@pytest.fixture
def office() -> PermitOffice:
    return PermitOffice(FrozenClock())


def datasets_at(url: str, office: PermitOffice, folder: Path, *, bucket: str = "data", **more: Any) -> DvcDatasets:
    """Return the datasets of a repository whose remote is a bucket of the store at `url`."""
    location = S3Location(url=f"s3://{bucket}/dvc", endpoint_url=url, region="us-east-1", **more)
    return DvcDatasets(
        folder=folder / "repository", remote=location.url, permits=office, clock=SystemClock(), s3=location
    )


def local_datasets(office: PermitOffice, folder: Path) -> DvcDatasets:
    """Return the datasets of a repository whose remote is a folder."""
    (folder / "remote").mkdir()
    return DvcDatasets(folder=folder / "repository", remote=str(folder / "remote"), permits=office, clock=SystemClock())


@pytest.fixture
def bucket(s3: Moto) -> str:
    name = f"data-{next(_numbers)}"
    s3.bucket(name)
    return name


def stored(
    datasets: DvcDatasets, office: PermitOffice, place: Path, files: Mapping[str, str] = DATA, *, name: str = "train"
) -> DatasetRef:
    """Version the files as a dataset."""
    key = f"k{next(_numbers)}"
    return datasets.version(
        source=folder_of(place / f"source-{key}", dict(files)),
        name=name,
        message="data",
        key=key,
        permit=permit_for(office, EFFECT_VERSION, key),
    )


@pytest.mark.slow
@pytest.mark.integration("dvc", "works")
class TestDvcOnS3(DatasetsContract):
    @pytest.fixture
    def datasets(self, office: PermitOffice, tmp_path: Path, s3: Moto, bucket: str) -> DatasetsPort:
        return datasets_at(s3.url, office, tmp_path, bucket=bucket)

    @pytest.fixture
    def damage(self, s3: Moto, bucket: str) -> Damage:
        def change(address: str, data: bytes | None) -> None:
            key = f"dvc/files/md5/{address[:2]}/{address[2:]}"
            if data is None:
                s3.remove(bucket, key)
            else:
                s3.write(bucket, key, data)

        return change


@pytest.mark.integration("dvc", "works")
def test_a_clone_finds_the_remote_and_holds_no_secret(
    s3: Moto, bucket: str, office: PermitOffice, tmp_path: Path
) -> None:
    stored(datasets_at(s3.url, office, tmp_path, bucket=bucket), office, tmp_path)
    config = git(tmp_path / "repository", "show", "HEAD:.dvc/config")
    assert f"url = s3://{bucket}/dvc" in config
    assert f"endpointurl = {s3.url}" in config
    assert "verify = true" in config
    everything = "".join(p.read_text(errors="replace") for p in (tmp_path / "repository" / ".dvc").glob("config*"))
    assert "testing" not in everything
    assert "access_key" not in everything


def dvc(folder: Path, *arguments: str, store: Moto | None = None) -> str:
    """Run DVC's own command, as a person would, and return what it says."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder.parent),
        "OMP_NUM_THREADS": "1",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder.parent / "site"),
        **(store.environment if store else {}),
    }
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-1500:]
    return done.stdout


def trained(
    datasets: DvcDatasets, office: PermitOffice, ref: DatasetRef, place: Path, *, seed: int = 1
) -> tuple[str, str]:
    """Train as a cycle does, record the pipeline, and return the digest and the revision."""
    number = next(_numbers)
    data, out = datasets.materialise(ref, place / f"data-{number}"), place / f"job-{number}"
    output = small.train({"dataset": str(data), "seed": seed}, out)
    pipeline = Pipeline(
        dataset=ref, train=TRAIN, score=SCORE, spec={"seed": seed}, model=out / "bundle", output=output, queries=20
    )
    key = f"p{number}"
    revision = datasets.record(
        pipeline, message="how the model was made", key=key, permit=permit_for(office, EFFECT_PIPELINE, key)
    )
    return str(output["digest"]), revision


@pytest.mark.slow
@pytest.mark.integration("dvc", "works")
def test_a_person_makes_the_same_model_again_in_a_fresh_clone(
    s3: Moto, bucket: str, office: PermitOffice, tmp_path: Path
) -> None:
    datasets = datasets_at(s3.url, office, tmp_path, bucket=bucket)
    ref = stored(datasets, office, tmp_path)
    digest, revision = trained(datasets, office, ref, tmp_path)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(tmp_path / "repository"), str(clone))
    assert git(clone, "rev-parse", "HEAD") == revision
    dvc(clone, "pull", store=s3)
    assert small.digest_of(clone / "work" / "model") == digest
    assert "up to date" in dvc(clone, "status") + dvc(clone, "repro")
    dvc(clone, "repro", "--force")
    assert git(clone, "status", "--porcelain") == ""
    assert small.digest_of(clone / "work" / "model") == digest
    told = json.loads((clone / "work" / "evaluation.json").read_text())
    assert told["queries"] == 20
    assert 0.5 < told["ndcg_at_10"] <= 1.0
    assert json.loads((clone / "work" / "train.json").read_text())["digest"] == digest


@pytest.mark.slow
@pytest.mark.integration("dvc", "works")
def test_the_re_ranker_of_the_platform_comes_out_the_same_in_a_fresh_clone(
    office: PermitOffice, tmp_path: Path
) -> None:
    from testbed import jobs
    from testbed.corpus import load_docstrings
    from testbed.population import Population
    from testbed.search import Searcher
    from tests.testbed.science import dataset, judged

    documents = load_docstrings(300, tmp_path / "cache")
    population = Population(documents, 1)
    rows = judged(population, population.mix(population.subjects), Searcher(documents, None), range(200))
    source = dataset(tmp_path / "made", documents, rows)
    datasets = local_datasets(office, tmp_path)
    permit = permit_for(office, EFFECT_VERSION, "d")
    ref = datasets.version(source=source, name="aug_1", message="data", key="d", permit=permit)
    spec = {"seed": 3, "params": {"iterations": 20}}
    data = datasets.materialise(ref, tmp_path / "data")
    output = jobs.train({**spec, "dataset": str(data)}, tmp_path / "job")
    pipeline = Pipeline(
        dataset=ref,
        train="testbed.jobs:train",
        score="testbed.jobs:score",
        spec=spec,
        model=tmp_path / "job" / str(output["bundle"]),
        output=output,
        queries=30,
    )
    datasets.record(pipeline, message="m", key="p", permit=permit_for(office, EFFECT_PIPELINE, "p"))
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(tmp_path / "repository"), str(clone))
    dvc(clone, "remote", "modify", "--local", "store", "url", str(tmp_path / "remote"))
    dvc(clone, "pull")
    dvc(clone, "repro", "--force")
    assert git(clone, "status", "--porcelain") == ""
    assert json.loads((clone / "work" / "train.json").read_text())["digest"] == output["digest"]
    told = json.loads((clone / "work" / "evaluation.json").read_text())
    assert (told["queries"], told["ndcg_at_10"] > 0.2) == (30, True)


def lock_at(repository: Path, revision: str) -> dict[str, Any]:
    """Return the stages of the lock at a revision."""
    stages: dict[str, Any] = yaml.safe_load(git(repository, "show", f"{revision}:dvc.lock"))["stages"]
    return stages


@pytest.mark.integration("dvc", "works")
def test_every_cycle_changes_the_lock_and_another_dataset_changes_what_came_out(
    office: PermitOffice, tmp_path: Path
) -> None:
    datasets = local_datasets(office, tmp_path)
    first = stored(datasets, office, tmp_path, name="aug_one")
    second = stored(datasets, office, tmp_path, {**DATA, "judgements.jsonl": JUDGED * 2}, name="aug_two")
    digests, revisions = zip(*(trained(datasets, office, ref, tmp_path) for ref in (first, second)), strict=True)
    old, new = (lock_at(tmp_path / "repository", revision) for revision in revisions)
    assert digests[0] != digests[1]
    assert [list(lock) for lock in (old, new)] == [["prepare", "train", "evaluate"]] * 2
    assert (old["train"]["deps"][0]["md5"], new["train"]["deps"][0]["md5"]) == (first.md5, second.md5)
    assert old["train"]["outs"][0]["md5"] != new["train"]["outs"][0]["md5"]
    assert old["train"]["cmd"] == new["train"]["cmd"] == "python -P -m adapters.datasets.stage train"
    assert lock_at(tmp_path / "repository", trained(datasets, office, second, tmp_path)[1]) == new
    reseeded = lock_at(tmp_path / "repository", trained(datasets, office, second, tmp_path, seed=2)[1])
    assert reseeded["train"]["params"]["params.yaml"]["train"]["spec"] == {"seed": 2}
    assert reseeded["train"]["outs"] != new["train"]["outs"]
    assert datasets.find(first.md5) == first


@pytest.mark.integration("dvc", "works")
def test_dvc_does_not_tell_its_steps_on_the_terminal(office: PermitOffice, tmp_path: Path) -> None:
    stored(local_datasets(office, tmp_path), office, tmp_path)
    assert not logging.getLogger("dvc").isEnabledFor(logging.INFO)


@pytest.mark.integration("dvc", "works")
def test_the_model_of_a_gold_baseline_outlives_a_collection(office: PermitOffice, tmp_path: Path) -> None:
    datasets = local_datasets(office, tmp_path)
    refs = [stored(datasets, office, tmp_path, {**DATA, "n.txt": f"{n}"}, name=f"aug_{n}") for n in range(3)]
    locks = [
        lock_at(tmp_path / "repository", trained(datasets, office, ref, tmp_path, seed=number)[1])
        for number, ref in enumerate(refs)
    ]
    datasets.tag(ref=refs[0], tag="gold/2026-01-31-1", key="t", permit=permit_for(office, EFFECT_TAG, "t"))
    models = [lock["train"]["outs"][0]["md5"] for lock in locks]
    assert len(set(models)) == 3
    told = datasets.collectable([])
    assert told.datasets == (refs[1],)
    datasets.collect(keep=[], key="c", permit=permit_for(office, "datasets.collect", "c"))

    assert [object_path(tmp_path / "remote", model).exists() for model in models] == [True, False, True]
    datasets.verify(refs[0])


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with Moto(tmp_path_factory.mktemp("strict"), asks_who=True) as store:
        yield store


@pytest.mark.integration("dvc", "refused")
def test_a_store_that_is_down_or_refuses_is_told_apart(
    strict: Moto, s3: Moto, office: PermitOffice, tmp_path: Path
) -> None:
    down = datasets_at("http://127.0.0.1:9", office, tmp_path / "a")
    with pytest.raises(DependencyUnavailable, match=r"no connection.*datasets\.s3\.endpoint_url"):
        down.check()
    with pytest.raises(DependencyUnavailable, match="no connection"):
        stored(down, office, tmp_path)
    with pytest.raises(DependencyUnavailable, match=r"credentials are refused.*AWS_ACCESS_KEY_ID"):
        datasets_at(strict.url, office, tmp_path / "b").check()


@pytest.mark.integration("dvc", "refused")
def test_a_version_that_could_not_be_pushed_was_not_made(
    s3: Moto, bucket: str, office: PermitOffice, tmp_path: Path
) -> None:
    down = datasets_at("http://127.0.0.1:9", office, tmp_path)
    with pytest.raises(DependencyUnavailable):
        stored(down, office, tmp_path, FILES)
    ref = stored(datasets_at(s3.url, office, tmp_path, bucket=bucket), office, tmp_path, FILES)
    assert git(tmp_path / "repository", "rev-list", "--count", "HEAD") == "2"
    assert contents(datasets_at(s3.url, office, tmp_path, bucket=bucket).materialise(ref, tmp_path / "out")) == FILES


@pytest.mark.integration("dvc", "slow")
def test_a_store_that_does_not_answer_is_given_up(s3: Moto, office: PermitOffice, tmp_path: Path) -> None:
    with silence() as url, pytest.raises(DependencyTimeout, match=r"within 0\.3 s.*datasets\.s3"):
        datasets_at(url, office, tmp_path, timeout=timedelta(milliseconds=300)).check()


@pytest.mark.integration("dvc", "lying")
def test_an_object_altered_in_the_bucket_is_caught_with_a_warm_cache_too(
    s3: Moto, bucket: str, office: PermitOffice, tmp_path: Path
) -> None:
    datasets = datasets_at(s3.url, office, tmp_path, bucket=bucket)
    ref = stored(datasets, office, tmp_path, {"a.txt": "hello"})
    address = "5d41402abc4b2a76b9719d911017c592"
    key = f"dvc/files/md5/{address[:2]}/{address[2:]}"
    assert s3.read(bucket, key) == b"hello"
    s3.write(bucket, key, b"hallo")
    with pytest.raises(DigestMismatch, match=r"a\.txt"):
        datasets.verify(ref)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(tmp_path / "repository"), str(clone))
    with pytest.raises(AssertionError, match=r"(?s)corrupt|failed|missing|unable"):
        dvc(clone, "pull", store=s3)


@pytest.mark.integration("dvc", "lying")
def test_another_product_at_the_address_is_told(s3: Moto, office: PermitOffice, tmp_path: Path) -> None:
    with (
        SmallServer(lambda request: Said(200, b"<html>hi</html>", kind="text/html")) as stub,
        pytest.raises(DependencyLied, match=r"no S3 store.*datasets\.s3\.endpoint_url"),
    ):
        datasets_at(stub.url, office, tmp_path).check()


@pytest.mark.integration("dvc", "misconfigured")
def test_each_way_to_misconfigure_it_has_its_own_remedy(
    s3: Moto, office: PermitOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def check(kind: type[Exception], remedy: str, **more: Any) -> None:
        with pytest.raises(kind, match=remedy) as told:
            datasets_at(s3.url, office, tmp_path / f"r{len(said)}", **more).check()
        said.append(str(told.value))

    check(DependencyUnavailable, "no bucket never-made.*Create it", bucket="never-made")
    check(ConfigurationError, r"datasets\.s3\.profile", bucket="data", profile="nobody")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    check(ConfigurationError, "Set AWS_ACCESS_KEY_ID", bucket="data")
    with pytest.raises(ConfigurationError, match=r"datasets\.remote"):
        DvcDatasets(
            folder=tmp_path,
            remote="s3://one",
            permits=office,
            clock=SystemClock(),
            s3=S3Location(url="s3://another", endpoint_url=s3.url),
        )
    assert len(set(said)) == 3


@pytest.mark.integration("dvc", "misconfigured")
def test_a_job_that_is_not_there_is_told_by_its_stage(office: PermitOffice, tmp_path: Path) -> None:
    datasets = local_datasets(office, tmp_path)
    ref = stored(datasets, office, tmp_path)
    model = folder_of(tmp_path / "model", {"model.json": "{}"})
    pipeline = Pipeline(dataset=ref, train=TRAIN, score="nowhere.jobs:score", spec={}, model=model, output={})
    with pytest.raises(DependencyError, match=r"stage evaluate failed.*nowhere"):
        datasets.record(pipeline, message="m", key="p", permit=permit_for(office, EFFECT_PIPELINE, "p"))
    assert stored(datasets, office, tmp_path, FILES, name="next").name == "next"
    assert "dvc.lock" not in git(tmp_path / "repository", "ls-files")
