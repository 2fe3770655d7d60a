"""The command answers `--help` without loading what it does not need."""

import re
import subprocess
import sys

import pytest

from tests.layout.tree import ROOT

HEAVY = {
    "bm25s",
    "crewai",
    "dbos",
    "dvc",
    "fastapi",
    "git",
    "langchain",
    "langchain_core",
    "langsmith",
    "lightgbm",
    "matplotlib",
    "mlflow",
    "numpy",
    "openai",
    "pandas",
    "scipy",
    "shap",
    "sklearn",
    "sqlalchemy",
}
HELP = "import sys; sys.argv = ['evercrew', '--help']; from service.cli import main; main()"


def test_help_imports_no_heavy_package() -> None:
    if not (ROOT / "service" / "cli.py").is_file():
        pytest.skip("service/cli.py does not exist yet")
    shown = subprocess.run([sys.executable, "-X", "importtime", "-c", HELP], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr[-2000:]
    assert "demo" in shown.stdout
    loaded = set(re.findall(r"^import time:.*\|\s+([A-Za-z0-9_]+)", shown.stderr, flags=re.MULTILINE))
    assert loaded & HEAVY == set()
