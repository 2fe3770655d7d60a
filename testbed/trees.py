"""Scores of a LightGBM model read from its text form, by numpy alone: a serving process need not load the trainer."""

from __future__ import annotations

import numpy as np

from testbed.errors import BundleError
from testbed.lexical import Floats

__all__ = ["Forest"]


class Forest:
    """All trees side by side: arrays (trees x nodes); leaves are negative child numbers, as in the text form.

    Only what training here produces is read: numerical splits and no missing values; or, where the text begins with
    ``linear``, `weights` of the features and a bias instead of trees. Trees are added up, or averaged: `share` is what
    each counts.

    Raises:
        BundleError: when the text holds no trees or categorical splits.
    """

    def __init__(self, text: str) -> None:
        self.weights: np.ndarray | None = None
        self.bias, self.share = 0.0, 1.0
        if text.startswith("linear\n"):
            self._read_linear(_fields(text))
            return
        blocks = [_fields(block) for block in text.split("\nTree=")[1:]]
        if not blocks:
            raise BundleError("booster.txt holds no trees: train the model again")
        self.share = 1 / len(blocks) if "\naverage_output\n" in text.split("\nTree=", 1)[0] else 1.0
        if any(int(block.get("num_cat", "0")) for block in blocks):
            raise BundleError("booster.txt holds categorical splits, which the serving side does not read")
        nodes = max(1, max(int(block["num_leaves"]) for block in blocks) - 1)
        shape = (len(blocks), nodes)
        self.feature = np.zeros(shape, np.int64)
        self.threshold = np.zeros(shape)
        self.children = np.full((len(blocks), nodes, 2), -1, np.int64)
        self.value = np.zeros((len(blocks), nodes + 1))
        for tree, block in enumerate(blocks):
            leaves = np.array(block["leaf_value"].split(), float)
            self.value[tree, : len(leaves)] = leaves
            inner = len(leaves) - 1
            if inner:
                self.feature[tree, :inner] = np.array(block["split_feature"].split(), int)
                self.threshold[tree, :inner] = np.array(block["threshold"].split(), float)
                self.children[tree, :inner, 0] = np.array(block["left_child"].split(), int)
                self.children[tree, :inner, 1] = np.array(block["right_child"].split(), int)
        offsets = np.arange(len(blocks))[None, :]
        self._node_base, self._leaf_base, self._nodes = offsets * nodes, offsets * (nodes + 1), nodes
        self._flat = (self.feature.ravel(), self.threshold.ravel(), self.children.reshape(-1), self.value.ravel())

    def _read_linear(self, fields: dict[str, str]) -> None:
        try:
            self.weights = np.array(fields["weights"].split(), float)
            self.bias = float(fields["bias"])
        except (KeyError, ValueError) as error:
            raise BundleError(f"booster.txt is damaged: {error!r}: fetch the model again") from error

    def predict(self, features: Floats) -> np.ndarray:
        """Raw scores (rows,) of features (rows x features)."""
        matrix = np.asarray(features, np.float64)
        if self.weights is not None:
            linear: np.ndarray = (matrix * self.weights).sum(axis=1) + self.bias
            return linear
        feature, threshold, children, value = self._flat
        flat, width = matrix.ravel(), matrix.shape[1]
        start = (np.arange(matrix.shape[0]) * width)[:, None]
        node = np.zeros((matrix.shape[0], self._node_base.shape[1]), np.int64)
        while True:
            place = self._node_base + np.maximum(node, 0)
            right = flat[start + feature[place]] > threshold[place]
            step = children[place * 2 + right]
            node = np.where(node >= 0, step, node)
            if (node < 0).all():
                break
        scores: np.ndarray = value[self._leaf_base + ~node].sum(axis=1)
        return scores if self.share == 1.0 else scores / len(self._node_base[0])


def _fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
