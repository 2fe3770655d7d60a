"""What only datasets in DVC have to cope with: damage, dead processes, several writers, speed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from adapters.datasets.base import EFFECT_POINT, EFFECT_VERSION
from adapters.datasets.dvc import DvcDatasets
from adapters.datasets.dvc_content import object_path
from domain.clock import FrozenClock, SystemClock
from domain.dataset import DatasetRef
from domain.errors import DependencyUnavailable, DigestMismatch, InvalidInput
from domain.observation import Seen
from domain.permit import PermitOffice
from tests.contract.datasets_contract import FILES, contents, folder_of
from tests.contract.gitremote import git
from tests.contract.permits import permit_for


@pytest.fixture
def office() -> PermitOffice:
    return PermitOffice(FrozenClock())


@pytest.fixture
def datasets(office: PermitOffice, tmp_path: Path) -> DvcDatasets:
    return open_datasets(office, tmp_path)


def open_datasets(office: PermitOffice, place: Path) -> DvcDatasets:
    (place / "remote").mkdir(exist_ok=True)
    return DvcDatasets(folder=place / "repository", remote=str(place / "remote"), permits=office, clock=SystemClock())


def version(datasets: DvcDatasets, office: PermitOffice, source: Path, key: str = "k1") -> DatasetRef:
    permit = permit_for(office, EFFECT_VERSION, key)
    return datasets.version(source=source, name="train", message="training data", key=key, permit=permit)


def test_the_repository_is_one_that_dvc_itself_understands(
    datasets: DvcDatasets, office: PermitOffice, tmp_path: Path
) -> None:
    ref = version(datasets, office, folder_of(tmp_path / "source", FILES))
    repository = tmp_path / "repository"
    script = "import sys; from dvc.cli import main; sys.exit(main(sys.argv[1:]))"
    status = subprocess.run(
        [sys.executable, "-c", script, "status", "--cloud", "--json"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (status.returncode, status.stdout.strip()) == (0, "{}"), status.stderr
    assert "verify = true" in (repository / ".dvc" / "config").read_text()
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "log", "-1", "--format=%(trailers:key=Evercrew-Key,valueonly)", ref.revision) == "k1"


def test_a_commit_of_data_carries_how_the_audit_chain_stands(office: PermitOffice, tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    said = iter(["7:0123456789abcdef", ""])
    datasets = DvcDatasets(
        folder=tmp_path / "repository",
        remote=str(tmp_path / "remote"),
        permits=office,
        clock=SystemClock(),
        anchor=lambda: next(said),
    )
    ref = version(datasets, office, folder_of(tmp_path / "source", FILES))
    datasets.point(pointer="live", ref=ref, key="k2", permit=permit_for(office, EFFECT_POINT, "k2"))
    shown = ("log", "-1", "--format=%(trailers:key=Evercrew-Audit,valueonly)")
    assert git(tmp_path / "repository", *shown, ref.revision) == "7:0123456789abcdef"
    assert git(tmp_path / "repository", *shown) == ""  # the chain could not be asked: nothing is claimed
    assert (datasets.find(ref.md5), datasets.pointed("live")) == (ref, ref)


def test_a_damaged_list_of_files_is_an_error(datasets: DvcDatasets, office: PermitOffice, tmp_path: Path) -> None:
    ref = version(datasets, office, folder_of(tmp_path / "source", FILES))
    place = object_path(tmp_path / "remote", ref.md5)
    text = place.read_text()
    place.unlink()
    with pytest.raises(DependencyUnavailable, match="file list"):
        datasets.verify(ref)
    place.write_text(text.replace("documents.jsonl", "documents.jsonx"))
    with pytest.raises(DigestMismatch, match="file list"):
        datasets.verify(ref)
    place.write_text(text.replace("documents.jsonl", "../documents"))
    with pytest.raises(DigestMismatch):
        datasets.materialise(ref, tmp_path / "out")


def test_what_the_cache_holds_does_not_hide_what_the_remote_lost(
    datasets: DvcDatasets, office: PermitOffice, tmp_path: Path
) -> None:
    ref = version(datasets, office, folder_of(tmp_path / "source", FILES))
    (tmp_path / "remote").rename(tmp_path / "away")
    with pytest.raises(DependencyUnavailable):
        datasets.verify(ref)
    with pytest.raises(DependencyUnavailable):
        datasets.check()


def test_a_pointer_changed_in_git_does_not_verify(datasets: DvcDatasets, office: PermitOffice, tmp_path: Path) -> None:
    ref = version(datasets, office, folder_of(tmp_path / "source", FILES))
    pointer = tmp_path / "repository" / "train.dvc"
    pointer.write_text(pointer.read_text().replace(ref.md5, "0" * 32 + ".dir"))
    git(tmp_path / "repository", "commit", "--quiet", "-a", "-m", "tampered")
    changed = git(tmp_path / "repository", "rev-parse", "HEAD")
    with pytest.raises(DigestMismatch, match="instead of"):
        datasets.verify(ref.model_copy(update={"revision": changed}))
    datasets.verify(ref)


def test_a_process_killed_before_its_commit_has_done_nothing(office: PermitOffice, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "source", FILES)
    datasets = open_datasets(office, tmp_path)
    datasets.check()
    hook = tmp_path / "repository" / ".git" / "hooks" / "prepare-commit-msg"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nkill -9 $(ps -o ppid= -p $PPID)\nsleep 1\nexit 1\n")
    hook.chmod(0o755)
    script = f"""
        from pathlib import Path
        from domain.clock import FrozenClock
        from domain.permit import PermitOffice
        from tests.adapters.test_dvc_datasets import open_datasets, version
        office = PermitOffice(FrozenClock())
        version(open_datasets(office, Path({str(tmp_path)!r})), office, Path({str(source)!r}))
    """
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=root, capture_output=True, check=False)
    assert done.returncode == -9, done.stderr.decode()
    hook.unlink()
    assert datasets.observe("k1").seen is Seen.ABSENT
    ref = version(datasets, office, source)
    assert datasets.observe("k1").outcome == ref.model_dump()
    assert contents(datasets.materialise(ref, tmp_path / "out")) == FILES


def test_two_objects_on_one_folder_take_turns(office: PermitOffice, tmp_path: Path) -> None:
    stores = [open_datasets(office, tmp_path) for _ in range(2)]
    refs: dict[int, DatasetRef] = {}

    def store(number: int) -> None:
        source = folder_of(tmp_path / f"source{number}", {"rows.txt": f"{number}\n"})
        refs[number] = version(stores[number], office, source, f"k{number}")

    threads = [threading.Thread(target=store, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, ref in refs.items():
        stores[0].verify(ref)
        assert stores[0].observe(f"k{number}").outcome == ref.model_dump()


def test_symbolic_links_are_no_data(datasets: DvcDatasets, office: PermitOffice, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "source", FILES)
    (source / "link").symlink_to("/etc/hostname")
    with pytest.raises(InvalidInput, match="symbolic links"):
        version(datasets, office, source)


def test_versions_are_made_and_fetched_quickly(datasets: DvcDatasets, office: PermitOffice, tmp_path: Path) -> None:
    version(datasets, office, folder_of(tmp_path / "warm", FILES), "warm")
    source = folder_of(tmp_path / "source", {"documents.jsonl": "some words of a document\n" * 200_000})
    begun = time.perf_counter()
    ref = version(datasets, office, source)
    datasets.materialise(ref, tmp_path / "out")
    assert time.perf_counter() - begun < 20  # about 0.3 s on a quiet machine
