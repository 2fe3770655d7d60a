"""`.env.example` and the documents name the settings that exist, all of them and no other."""

import importlib
import re
import subprocess
import sys
from typing import Any

import pytest
from pydantic import BaseModel

from tests.layout.tree import ROOT, files, text

EXAMPLE = ROOT / ".env.example"
# Before a secret that one of several targets has for itself.
OF_TARGET = re.compile(r"^EVERCREW_TARGETS__[A-Z0-9_]+?__")
NAME = re.compile(r"\bEVERCREW_[A-Z0-9_]*[A-Z0-9]\b")


@pytest.fixture
def settings() -> type[BaseModel]:
    if not (ROOT / "service" / "settings.py").is_file():
        pytest.skip("service/settings.py does not exist yet")
    model: object = importlib.import_module("service.settings").Settings
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return model


def _names(model: type[BaseModel]) -> set[str]:
    config: dict[str, Any] = dict(model.model_config)
    prefix = str(config.get("env_prefix") or "EVERCREW_")
    aliases = {name: field.validation_alias for name, field in model.model_fields.items()}
    return {alias if isinstance(alias, str) else f"{prefix}{name}".upper() for name, alias in aliases.items()}


def test_the_example_lists_exactly_the_settings(settings: type[BaseModel]) -> None:
    listed = re.findall(r"^#?\s?([A-Z][A-Z0-9_]+)=", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(_names(settings))


def test_the_example_is_what_the_settings_print(settings: type[BaseModel]) -> None:
    assert settings.model_fields
    printed = subprocess.run(
        [sys.executable, "-m", "service.settings"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert printed.stdout == EXAMPLE.read_text(encoding="utf-8"), "run: make env-example"


def test_documents_name_settings_that_exist(settings: type[BaseModel]) -> None:
    documents = [name for name in files() if name.endswith((".md", ".yaml", ".yml")) or name == "Makefile"]
    known = _names(settings)
    named = {(name, word) for name in documents for word in NAME.findall(text(name) or "")}
    unknown = {f"{name}: {word}" for name, word in named if OF_TARGET.sub("EVERCREW_", word) not in known}
    assert unknown == set()
