"""Trained models as plain numbers, scored by numpy alone: what a learner hands over besides its own format.

``model.json`` is an object: ``kind`` (trees, linear), ``link``, ``features`` (names, in order), ``classes`` (empty for
a regression) and ``outputs``, one for a number or a probability of two classes, else one a class. An output is
``{"bias", "average", "trees": [{"feature", "threshold", "left", "right", "value"}]}``, where node 0 is the root, a
value below the threshold goes left, a leaf's feature is -1 and the trees are added up or averaged, or ``{"bias",
"weights"}``.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from domain.errors import DependencyLied, InvalidInput

Floats = npt.NDArray[np.float64]
FILE = "model.json"


class Link(StrEnum):
    """How totals become predictions; `second` and `first` are probabilities of the class at that place."""

    IDENTITY = "identity"
    LOGISTIC_SECOND = "logistic_second"
    PROBABILITY_FIRST = "probability_first"
    SOFTMAX = "softmax"
    SHARE = "share"


class Tree(BaseModel):
    """One tree, its nodes side by side."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]
    value: list[float]

    @model_validator(mode="after")
    def _sound(self) -> Tree:
        nodes = len(self.feature)
        if not nodes or {len(self.threshold), len(self.left), len(self.right), len(self.value)} != {nodes}:
            raise ValueError("the columns of a tree have different lengths")
        for node, (feature, left, right) in enumerate(zip(self.feature, self.left, self.right, strict=True)):
            if feature >= 0 and not (node < left < nodes and node < right < nodes):
                raise ValueError(f"node {node} has a child that is not below it")
        return self

    def totals(self, matrix: Floats) -> Floats:
        """The values (rows,) of the leaves that the rows fall into."""
        feature, threshold = np.array(self.feature), np.array(self.threshold)
        left, right, value = np.array(self.left), np.array(self.right), np.array(self.value)
        node = np.zeros(len(matrix), np.int64)
        rows = np.arange(len(matrix))
        while (inner := feature[node] >= 0).any():
            below = matrix[rows, np.maximum(feature[node], 0)] < threshold[node]
            node = np.where(inner, np.where(below, left[node], right[node]), node)
        reached: Floats = value[node]
        return reached


class Output(BaseModel):
    """What one total is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bias: float = 0.0
    average: bool = False
    trees: list[Tree] = Field(default_factory=list)
    weights: list[float] = Field(default_factory=list)

    def total(self, matrix: Floats) -> Floats:
        """Bias, trees and weights added up, by row."""
        total = np.zeros(len(matrix))
        for tree in self.trees:
            total += tree.totals(matrix)
        if self.average and self.trees:
            total /= len(self.trees)
        if self.weights:
            total += matrix @ np.array(self.weights)
        summed: Floats = total + self.bias
        return summed


class PortableModel(BaseModel):
    """A model that needs nothing but numpy; features may not be missing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(pattern=r"^(trees|linear)$")
    link: Link
    features: list[str] = Field(min_length=1)
    classes: list[str] = Field(default_factory=list)
    outputs: list[Output] = Field(min_length=1)

    @model_validator(mode="after")
    def _sound(self) -> PortableModel:
        wanted = len(self.classes) if self.link in (Link.SOFTMAX, Link.SHARE) else 1
        if len(self.outputs) != wanted:
            raise ValueError(f"{len(self.outputs)} outputs where {wanted} are needed")
        if self.link in (Link.LOGISTIC_SECOND, Link.PROBABILITY_FIRST) and len(self.classes) != 2:
            raise ValueError(f"{len(self.classes)} classes where two are needed")
        width = len(self.features)
        for output in self.outputs:
            if output.weights and len(output.weights) != width:
                raise ValueError(f"{len(output.weights)} weights for {width} features")
            if any(feature >= width for tree in output.trees for feature in tree.feature):
                raise ValueError("a tree splits on a feature that is not there")
        return self

    @classmethod
    def read(cls, path: Path) -> PortableModel:
        """Read a model's file.

        Raises:
            DependencyLied: it is not there, or no sound model.
        """
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            raise DependencyLied("training", f"{path.name} is no portable model: {error}") from error

    def write(self, path: Path) -> None:
        """Write the model's file."""
        path.write_text(json.dumps(self.model_dump(mode="json"), sort_keys=True), encoding="utf-8")

    def predict(self, features: npt.ArrayLike) -> Floats:
        """Return predictions (rows,) of a regression, or probabilities (rows x classes), of (rows x features).

        Raises:
            InvalidInput: another number of features, or a value that is missing or infinite.
        """
        matrix = np.asarray(features, np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != len(self.features):
            raise InvalidInput("features", f"of shape {matrix.shape}", f"Hand over {len(self.features)} a row")
        if not np.isfinite(matrix).all():
            raise InvalidInput("features", "hold a missing or infinite value", "Fill it before scoring")
        totals = np.column_stack([output.total(matrix) for output in self.outputs])
        return _linked(self.link, totals)

    def labels(self, features: npt.ArrayLike) -> list[str]:
        """Return the likeliest class of each row, the first of equals."""
        return [self.classes[place] for place in self.predict(features).argmax(axis=1)]


def _linked(link: Link, totals: Floats) -> Floats:
    first = totals[:, 0]
    match link:
        case Link.IDENTITY:
            return first
        case Link.LOGISTIC_SECOND:
            second = 1 / (1 + np.exp(-first))
            return np.column_stack([1 - second, second])
        case Link.PROBABILITY_FIRST:
            return np.column_stack([first, 1 - first])
        case Link.SOFTMAX:
            powers = np.exp(totals - totals.max(axis=1, keepdims=True))
            shares: Floats = powers / powers.sum(axis=1, keepdims=True)
            return shares
        case Link.SHARE:
            sums = totals.sum(axis=1, keepdims=True)
            even: Floats = np.divide(totals, sums, out=np.full_like(totals, 1 / totals.shape[1]), where=sums > 0)
            return even
