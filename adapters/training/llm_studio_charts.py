"""What H2O LLM Studio writes about an experiment: ``flags.json`` and the charts, a SQLite file of pickled values.

A pickle can run code when it is read, and these files come from other machines: only plain numbers, texts, lists and
dictionaries are read; anything that names a class is refused.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from domain.errors import DependencyLied

NAME = "llm_studio"
_SUBSETS = ("train", "validation", "internal")


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is no plain value")


def read_flags(text: str) -> dict[str, str]:
    """Return the flags of the text of ``flags.json``; none of an empty one.

    Raises:
        DependencyLied: it is no object of texts.
    """
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DependencyLied(NAME, "flags.json is no JSON", "Look at the experiment's folder") from error
    if not isinstance(found, dict) or not isinstance(found.get("status", ""), str):
        raise DependencyLied(NAME, "flags.json has no readable status", "Look at the experiment's folder")
    return {str(name): str(value) for name, value in found.items()}


def read_charts(data: bytes) -> dict[str, float]:
    """Return the last value of each curve, as ``validation_BLEU``, ``train_loss`` and ``progress`` (0 to 1).

    Raises:
        DependencyLied: it is no such file, or holds more than plain values.
    """
    if not data:
        return {}
    with tempfile.TemporaryDirectory(prefix="evercrew-charts-") as scratch:
        path = Path(scratch) / "charts.db"
        path.write_bytes(data)
        try:
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            try:
                rows = connection.execute("SELECT key, value FROM unnamed").fetchall()
            finally:
                connection.close()
            curves = {key: _Plain(io.BytesIO(value)).load() for key, value in rows if key in _SUBSETS}
        except (sqlite3.Error, pickle.UnpicklingError, EOFError, AttributeError, ValueError, TypeError) as error:
            raise DependencyLied(NAME, f"charts.db cannot be read: {error}", "Look at the experiment") from error
    return _last_values(curves)


def _last_values(curves: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for subset, named in curves.items():
        for name, curve in named.items() if isinstance(named, Mapping) else ():
            values = curve.get("values") if isinstance(curve, Mapping) else None
            last = values[-1] if isinstance(values, list) and values else None
            if isinstance(last, int | float) and math.isfinite(last):
                found[f"{subset}_{name}"] = float(last)
    internal = {name: found.pop(name) for name in list(found) if name.startswith("internal_")}
    total, done = internal.get("internal_total_training_steps"), internal.get("internal_current_step")
    if total and done is not None:
        found["progress"] = min(1.0, done / total)
    return found
