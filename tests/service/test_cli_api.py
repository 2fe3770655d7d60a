"""`evercrew api`, as it is typed: a document of everything, without anything to connect to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from domain.errors import InvalidInput
from service.cli import app
from service.cli_api import document


def test_the_document_is_printed_and_valid() -> None:
    from openapi_spec_validator import validate

    done = CliRunner().invoke(app, ["api", "schema"])
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    validate(made)
    assert {"/api/v1/optimizer/stop", "/api/v1/events", "/healthz"} <= set(made["paths"])
    assert made == document()


def test_it_is_written_to_a_file(tmp_path: Path) -> None:
    out = tmp_path / "openapi.json"
    done = CliRunner().invoke(app, ["api", "schema", "--out", str(out), "--json"])
    assert json.loads(done.stdout) == {"written": str(out)}
    assert json.loads(out.read_text())["openapi"].startswith("3.")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="out"):
        CliRunner().invoke(app, ["api", "schema", "--out", str(tmp_path / "no" / "f")], catch_exceptions=False)
