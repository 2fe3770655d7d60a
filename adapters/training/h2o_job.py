"""What learns by H2O, inside a worker process: a table in, a portable model, a MOJO and the leaderboard out.

``learn(spec, out)`` is an entry point. spec: ``{"table": DIR, "cluster": {...}, "algorithm": "automl" | "gbm" | "drf" |
"glm", "max_models", "max_runtime_s", "params"?: {"trees", "leaves", "learning_rate"}}``. It writes ``model.json``,
``mojo.zip`` and ``leaderboard.json`` and returns ``{"leader", "algorithm", "version", "metrics", "leaderboard"}``, or
``{"failure": {...}}`` with an error of ours in fields: a traceback would lose what to do about it.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.training.failures import told
from adapters.training.h2o_cluster import NAME, ClusterSpec, session
from adapters.training.h2o_convert import ALGORITHMS, convert
from adapters.training.portable import FILE
from adapters.training.table import FIT, HELD, Floats, Table, read_table
from domain.errors import DependencyError, DependencyLied, DependencyTimeout, InvalidInput

LABEL, WEIGHT = "evercrew_label", "evercrew_weight"


class LearnSpec(BaseModel):
    """What `learn` is asked for; times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Path
    cluster: ClusterSpec = ClusterSpec()
    algorithm: Literal["automl", "gbm", "drf", "glm"] = "automl"
    max_models: int = Field(default=6, ge=1, le=100)
    max_runtime_s: int = Field(default=300, ge=1)
    params: Mapping[str, float] = Field(default_factory=dict)


def learn(spec: Mapping[str, Any], out: str | Path) -> dict[str, Any]:
    """See the module's text."""
    folder = Path(out)
    try:
        wanted = _spec(spec)
        table = read_table(wanted.table)
        _check(table)
        with session(wanted.cluster, folder / ".java") as h2o:
            return _learnt(h2o, wanted, table, folder)
    except (DependencyError, InvalidInput) as error:
        return told(error)


def _spec(spec: Mapping[str, Any]) -> LearnSpec:
    try:
        return LearnSpec.model_validate(spec)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(field or "spec", first["msg"], "Mend the job's specification") from error


def _check(table: Table) -> None:
    fitted = table.parts == FIT
    if fitted.sum() < 20 or not (table.parts == HELD).any():
        raise InvalidInput("table", f"{fitted.sum()} rows to fit", "At least 20, and some held out, are needed")
    if table.labels is not None and len({table.labels[row] for row in np.flatnonzero(fitted)}) < 2:
        raise InvalidInput("table", "all rows to fit have one label", "At least two classes are needed")


def _learnt(h2o: Any, spec: LearnSpec, table: Table, folder: Path) -> dict[str, Any]:
    names = [f"f{place}" for place in range(len(table.names))]
    with _kept(h2o) as keys:
        fit, held = (_frame(h2o, table, part, names, folder, keys) for part in (FIT, HELD))
        models = _models(h2o, spec, table, names, fit, held, keys)
        if not models:
            raise DependencyTimeout(
                NAME, f"no model was ready within {spec.max_runtime_s} s", "Raise h2o.max_runtime_s or lower the rows"
            )
        board = [_row(h2o, model, table, held) for model in models]
        if table.queries:  # rank by what counts here, not by the error of single grades
            board.sort(key=lambda row: (-row["metrics"]["held_ndcg_at_10"], row["model"]))
        leader = next(model for model in models if model.model_id == board[0]["model"])
        portable = convert(h2o, leader, names).model_copy(update={"features": table.names})
        portable.write(folder / FILE)
        _save_mojo(leader, folder / "mojo.zip")
        (folder / "leaderboard.json").write_text(json.dumps(board, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return {
        "leader": board[0]["model"],
        "algorithm": board[0]["algorithm"],
        "version": str(h2o.__version__),
        "metrics": board[0]["metrics"],
        "leaderboard": board,
    }


def _models(
    h2o: Any, spec: LearnSpec, table: Table, names: list[str], fit: Any, held: Any, keys: list[str]
) -> list[Any]:
    """The models, best first by H2O's own measure."""
    asked = {"x": names, "y": LABEL, "training_frame": fit, "validation_frame": held}
    if spec.algorithm != "automl":
        model = _estimator(spec, table.seed)
        model.train(**asked, weights_column=WEIGHT)
        keys.append(model.model_id)
        return [model]
    from h2o.automl import H2OAutoML

    search = H2OAutoML(
        max_models=spec.max_models,
        max_runtime_secs=spec.max_runtime_s,
        seed=table.seed,
        nfolds=0,
        include_algos=list(ALGORITHMS),
        verbosity=None,
    )
    search.train(**asked, weights_column=WEIGHT, leaderboard_frame=held)
    found = [str(name) for name in search.leaderboard.as_data_frame()["model_id"]] if search.leaderboard.nrow else []
    keys += [*found, *(f"{search.project_name}_{kind}" for kind in ("eventlog", "leaderboard"))]
    return [h2o.get_model(name) for name in found]


def _estimator(spec: LearnSpec, seed: int) -> Any:
    from h2o.estimators import (
        H2OGeneralizedLinearEstimator,
        H2OGradientBoostingEstimator,
        H2ORandomForestEstimator,
    )

    limits = {"seed": seed, "max_runtime_secs": spec.max_runtime_s}
    if spec.algorithm == "glm":
        return H2OGeneralizedLinearEstimator(lambda_search=True, **limits)
    leaves = max(2, int(spec.params.get("leaves", 32)))
    shape = {"ntrees": int(spec.params.get("trees", 100)), "max_depth": max(2, math.ceil(math.log2(leaves)) + 1)}
    if spec.algorithm == "drf":
        return H2ORandomForestEstimator(**shape, **limits)
    return H2OGradientBoostingEstimator(learn_rate=float(spec.params.get("learning_rate", 0.1)), **shape, **limits)


def _row(h2o: Any, model: Any, table: Table, held: Any) -> dict[str, Any]:
    """One line of the leaderboard: the model's measures on what was held out."""
    found = model.model_performance(valid=True)
    measures = {name: found._metric_json.get(key) for name, key in _MEASURES.items()}
    metrics = {f"held_{name}": float(value) for name, value in measures.items() if isinstance(value, int | float)}
    if table.queries:
        scores = np.zeros(len(table.features))
        predictions = model.predict(held)
        scores[table.parts == HELD] = _column(predictions, "predict")
        h2o.remove(predictions.frame_id)
        metrics["held_ndcg_at_10"] = table.ndcg(scores, HELD)
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    return {"model": str(model.model_id), "algorithm": str(model.algo), "metrics": finite}


_MEASURES = {"rmse": "RMSE", "logloss": "logloss", "auc": "AUC", "mean_per_class_error": "mean_per_class_error"}


def _column(frame: Any, name: str) -> Floats:
    return np.asarray(frame[name].as_data_frame(use_pandas=True)[name], np.float64)


def _frame(h2o: Any, table: Table, part: str, names: list[str], folder: Path, keys: list[str]) -> Any:
    """Upload the rows of a part, in full precision."""
    import pandas

    rows = table.parts == part
    data = pandas.DataFrame(table.features[rows], columns=names)
    data[WEIGHT] = table.weights[rows]
    kinds = ["numeric"] * (len(names) + 1)
    if table.labels is not None:
        data[LABEL], kinds = [table.labels[row] for row in np.flatnonzero(rows)], [*kinds, "enum"]
    elif table.grades is not None:
        data[LABEL], kinds = table.grades[rows], [*kinds, "numeric"]
    path = folder / f"{part}.csv"
    data.to_csv(path, index=False)
    frame = h2o.upload_file(str(path), header=1, sep=",", col_types=kinds)
    path.unlink()
    keys.append(frame.frame_id)
    if frame.nrow != int(rows.sum()):
        raise DependencyLied(NAME, f"it read {frame.nrow} of {int(rows.sum())} rows", "Look at the cluster's own log")
    return frame


def _save_mojo(model: Any, path: Path) -> None:
    saved = Path(model.download_mojo(path=str(path.parent)))
    saved.replace(path)


@contextlib.contextmanager
def _kept(h2o: Any) -> Iterator[list[str]]:
    """Give a list for the names of what is made on the cluster, which others share: all of it is removed again."""
    from h2o.exceptions import H2OError

    keys: list[str] = []
    try:
        yield keys
    finally:
        for key in keys:
            with contextlib.suppress(H2OError, OSError):
                h2o.remove(key)
