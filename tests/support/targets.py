"""A file of several targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from service.config import Config, load_config

ADS: dict[str, Any] = {
    "platform": {"url": "http://127.0.0.1:9/ads"},
    "metrics": {"labels": {"service": "ads"}},
    "values": {"path": "ads.yaml"},
    "tracking": {"model": "ads-ranker"},
    "datasets": {"repository": "ads-datasets"},
    "evaluation": {"sealed": "ads-sealed.jsonl"},
}


OTHER: dict[str, Any] = {
    "platform": {"url": "http://127.0.0.1:9/other"},
    "metrics": {"labels": {"service": "other"}},
    "values": {"path": "other.yaml"},
    "tracking": {"model": "other-ranker"},
    "datasets": {"repository": "other-datasets"},
    "evaluation": {"sealed": "other-sealed.jsonl"},
}


def written(folder: Path, further: Any, **sections: Any) -> Path:
    """Write the file of a first target and of what is given of further ones."""
    content = {
        "state": "state",
        "platform": {"url": "http://127.0.0.1:9"},
        "metrics": {"kind": "prometheus", "url": "http://127.0.0.1:9", "labels": {"service": "search"}},
        "values": {"remote": "values.git"},
        "tracking": {"uri": "sqlite:///mlflow.db"},
        "datasets": {"repository": "datasets", "remote": "dvc-remote"},
        "evaluation": {"sealed": "sealed.jsonl"},
        "targets": further,
        **sections,
    }
    path = folder / "evercrew.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def two(folder: Path, **sections: Any) -> Config:
    """Return the configuration of two targets."""
    return load_config(written(folder, {"ads": ADS}, **sections))
