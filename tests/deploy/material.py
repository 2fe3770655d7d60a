"""What the tests of `deploy/` share: its files, and tools that may be missing."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES = tuple(path for path in sorted(DEPLOY.glob("prometheus/*.yml")) if not path.stem.endswith("_test"))
DASHBOARDS = tuple(sorted(DEPLOY.glob("grafana/*.json")))


# An index that cannot be reached is given up soon: the test is skipped then.
QUICK = ("--fetch-retries=0", "--fetch-timeout=20000")


def program(name: str) -> str:
    """Return the path of a program, or skip the test and say which is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str, folder: Path | None = None, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a program and return how it ended."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=seconds)


def from_npm(cache: Path, *packages: str) -> Path:
    """Return a folder with packages of npm, kept between runs; skip, and say why, where they cannot be had."""
    npm = program("npm")
    modules = cache / "node_modules"
    if all((modules / package).is_dir() for package in packages):
        return modules
    cache.mkdir(parents=True, exist_ok=True)
    try:
        done = run(
            npm, "install", "--prefix", str(cache), "--no-audit", "--no-fund", "--ignore-scripts", *QUICK, *packages
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm could not fetch {', '.join(packages)} in time")
    if done.returncode != 0:
        pytest.skip(f"npm cannot fetch {', '.join(packages)}: {done.stderr.strip().splitlines()[-1:]}")
    return modules


def rules() -> list[dict[str, Any]]:
    """Return the alert rules of all files."""
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def dashboard(path: Path) -> dict[str, Any]:
    """Return a dashboard."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def queries(path: Path) -> list[tuple[str, str]]:
    """Return the title and the expression of every query of a dashboard."""
    panels = dashboard(path)["panels"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", ())]
