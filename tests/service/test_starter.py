"""What `evercrew init` writes is a configuration, with its comments taken away too."""

from __future__ import annotations

import re

import yaml

from service.config import Config
from service.starter import starter

TEXT = starter("http://search.example:8080/")


def test_what_is_written_is_accepted_as_it_stands() -> None:
    config = Config.model_validate(yaml.safe_load(TEXT))
    assert config.platform.url == "http://search.example:8080"
    assert config.costs is None


def test_every_section_that_is_only_a_comment_is_accepted_too() -> None:
    shown = re.sub(r"^# (?=[a-z_]+:|  )", "", TEXT, flags=re.MULTILINE)
    config = Config.model_validate(yaml.safe_load(shown))
    assert config.delivery.application == "{target}-{environment}"
    assert config.logs.selector == '{app="search"}'
    assert None not in (config.alertmanager, config.grafana, config.costs, config.vectors, config.search, config.backup)
