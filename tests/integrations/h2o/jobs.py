"""Entry points for worker processes: they ask a cluster what the adapters are compared with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adapters.training.h2o_cluster import ClusterSpec, session


def score_mojo(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """{"cluster", "mojo": FILE, "features": FILE, "names"} -> {"predictions": rows x columns} as the MOJO has them."""
    import pandas

    with session(ClusterSpec.model_validate(spec["cluster"]), out / ".java") as h2o:
        model = h2o.upload_mojo(spec["mojo"])
        path = out / "asked.csv"
        names = [f"f{place}" for place in range(len(spec["names"]))]
        pandas.DataFrame(np.load(spec["features"]).astype(np.float64), columns=names).to_csv(path, index=False)
        frame = h2o.upload_file(str(path), col_types=["numeric"] * len(names))
        predictions = model.predict(frame)
        found = predictions.as_data_frame(use_pandas=True)
        for key in (frame.frame_id, model.model_id, predictions.frame_id):
            h2o.remove(key)
    numbers = found.drop(columns="predict") if found.shape[1] > 1 else found
    return {"predictions": numbers.to_numpy(dtype=float).tolist(), "columns": list(numbers.columns)}


def kept(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """{"cluster"} -> {"frames", "models"}: the names of what the cluster holds."""
    with session(ClusterSpec.model_validate(spec["cluster"]), out / ".java") as h2o:
        frames, models = h2o.api("GET /3/Frames")["frames"], h2o.api("GET /3/Models")["models"]
    return {
        "frames": sorted(frame["frame_id"]["name"] for frame in frames),
        "models": sorted(model["model_id"]["name"] for model in models),
    }


def dawdle(_spec: Mapping[str, Any], _out: Path) -> dict[str, Any]:
    """Take longer than anybody waits."""
    time.sleep(600)
    return {}
