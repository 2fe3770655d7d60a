"""The wheel is whole, the locks are in step, and every dependency has its reason written down."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.layout.tree import ROOMS, ROOT, files, project

LOCKS = ("runtime", "image", "dev", "integration")
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==(\S+)", flags=re.MULTILINE)


def _lock(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")


def _pins(name: str) -> dict[str, str]:
    return {canonicalize_name(package): version for package, version in PIN.findall(_lock(name))}


def _base() -> list[Requirement]:
    return [Requirement(line) for line in project()["project"]["dependencies"]]


def _extras() -> list[Requirement]:
    groups: dict[str, list[str]] = project()["project"]["optional-dependencies"]
    return [Requirement(line) for lines in groups.values() for line in lines]


def _dev(*names: str) -> list[Requirement]:
    groups = project()["dependency-groups"]
    return [Requirement(line) for name in names or groups for line in groups[name] if isinstance(line, str)]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_answers_every_requirement(name: str) -> None:
    pins = _pins(name)
    groups = {"dev": ("build", "dev"), "integration": ("build", "dev", "schemas")}
    wanted = [*_base(), *_dev(*groups.get(name, ("build",)))]
    unmet = [
        str(need)
        for need in wanted
        if not need.specifier.contains(pins.get(canonicalize_name(need.name), "0"), prereleases=True)
    ]
    assert unmet == [], "run: make lock"


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_carries_hashes_and_no_place(name: str) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", _lock(name))
    assert [entry.split()[0] for entry in entries if PIN.match(entry) and "--hash=sha256:" not in entry] == []
    assert re.findall(r"https?://|file:|--(?:index|extra-index|find-links)\S*", _lock(name)) == []


def test_running_and_developing_use_the_same_versions() -> None:
    fullest = _pins("integration")
    assert [
        (lock, name, version)
        for lock in LOCKS
        for name, version in _pins(lock).items()
        if fullest.get(name, version) != version
    ] == []


def test_every_dependency_is_explained_once() -> None:
    document = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    packages, _, _ = document.partition("## System packages")
    explained = re.findall(r"^\| `([^`]+)` \|", packages, flags=re.MULTILINE)
    wanted = {canonicalize_name(need.name) for need in [*_base(), *_extras(), *_dev()]}
    assert sorted(canonicalize_name(name) for name in explained) == sorted(wanted)


def test_the_wheel_carries_every_file_of_every_room(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = set(archive.namelist())
    assert {name for name in files() if name.split("/")[0] in ROOMS} - carried == set()
    assert [name for name in carried if name.startswith(("tests/", "docs/", "requirements/"))] == []
