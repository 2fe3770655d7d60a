"""Light classifiers of texts, as the processing of new documents needs them: scikit-learn by default, H2O by extra.

The default is logistic regression over tf-idf; `h2o` fits AutoML, a forest or a linear model over latent semantic
features, and hands over a model that numpy alone scores.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from adapters.training.targets.bundle import BUNDLE, opened, seal
from adapters.training.targets.data import held_out, mean, read_rows
from adapters.training.targets.lsa import LatentSemantic
from adapters.training.targets.spec import Options, UseSpec, asked, checked
from domain.errors import ConfigurationError, DependencyLied, DependencyUnavailable, InvalidInput

TARGET = "classifier"
Floats = npt.NDArray[np.float64]
_WORDS, _ARRAYS = "words.json", "weights.npz"


class ClassifierOptions(Options):
    """`label` is the field of the rows that is learnt; `strength` of regularisation is C of scikit-learn."""

    engine: Literal["sklearn", "h2o"] = "sklearn"
    label: str = Field(default="label", min_length=1)
    strength: float = Field(default=4.0, gt=0)
    max_words: int = Field(default=50_000, ge=2)
    min_df: int = Field(default=1, ge=1)
    dimensions: int = Field(default=64, ge=2, le=512)
    algorithm: Literal["automl", "gbm", "drf", "glm"] = "gbm"
    max_models: int = Field(default=4, ge=1, le=100)
    max_runtime_s: int = Field(default=120, ge=1)
    cluster: Mapping[str, Any] = Field(default_factory=dict)


class Classifier(Protocol):
    """Tells the class of texts."""

    @property
    def classes(self) -> Sequence[str]: ...

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return probabilities (texts x classes)."""
        ...


class WordClassifier:
    """Logistic regression over tf-idf, as plain arrays."""

    def __init__(self, words: Sequence[str], classes: Sequence[str], idf: Floats, coef: Floats, bias: Floats) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.classes = list(classes)
        self._words = list(words)
        self._idf, self._coef, self._bias = idf, coef, bias
        self._vectorizer: Any = TfidfVectorizer(vocabulary=self._words, sublinear_tf=True)
        self._vectorizer.idf_ = idf

    @classmethod
    def fitted(cls, texts: Sequence[str], labels: Sequence[str], options: ClassifierOptions) -> WordClassifier:
        """Learn from texts and their labels."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=options.min_df, max_features=options.max_words)
        try:
            matrix = vectorizer.fit_transform(texts)
        except ValueError as error:
            raise InvalidInput("examples.jsonl", f"no words to learn from: {error}", "Lower params.min_df") from error
        model = LogisticRegression(C=options.strength, max_iter=1000).fit(matrix, labels)
        words = [str(word) for word in vectorizer.get_feature_names_out()]
        return cls(words, [str(c) for c in model.classes_], vectorizer.idf_, model.coef_, model.intercept_)

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """See `Classifier.probabilities`."""
        totals = np.asarray(self._vectorizer.transform(texts) @ self._coef.T + self._bias)
        if len(self.classes) == 2:
            second = 1 / (1 + np.exp(-totals[:, 0]))
            return np.column_stack([1 - second, second])
        powers = np.exp(totals - totals.max(axis=1, keepdims=True))
        shares: Floats = powers / powers.sum(axis=1, keepdims=True)
        return shares

    def save(self, folder: Path) -> None:
        """Write the classifier into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"words": self._words, "classes": self.classes}, ensure_ascii=False)
        (folder / _WORDS).write_text(text, encoding="utf-8")
        np.savez(folder / _ARRAYS, idf=self._idf, coef=self._coef, bias=self._bias)

    @classmethod
    def load(cls, folder: Path) -> WordClassifier:
        """Read a classifier; raises DependencyLied when its parts are not there or do not fit together."""
        try:
            told = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
            with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
                idf, coef, bias = arrays["idf"], arrays["coef"], arrays["bias"]
            words, classes = told["words"], told["classes"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DependencyLied("training", f"{folder.name} holds no classifier: {error}") from error
        rows = 1 if len(classes) == 2 else len(classes)
        if not len(words) == len(idf) == coef.shape[1] or not coef.shape[0] == len(bias) == rows:
            raise DependencyLied("training", f"the parts of {folder.name} do not fit together", "Train it again")
        return cls(words, classes, idf, coef, bias)


class LatentClassifier:
    """A portable model over latent semantic features."""

    def __init__(self, space: LatentSemantic, model: Any) -> None:
        self._space = space
        self._model = model

    @property
    def classes(self) -> Sequence[str]:
        return list(self._model.classes)

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """See `Classifier.probabilities`."""
        found: Floats = self._model.predict(self._space.encode(texts))
        return found


def train(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Train on ``examples.jsonl`` (`text` and the label) of a dataset folder, or ``documents.jsonl`` by its `subject`.

    Raises:
        InvalidInput: a field of the specification or a line of the data is wrong, or there is one class only.
        ConfigurationError: `h2o` is asked for and not installed.
    """
    job, options = asked(spec, ClassifierOptions)
    texts, labels = _examples(job.dataset, options.label)
    held = [held_out(text) for text in texts]
    learn = [(text, label) for text, label, out_ in zip(texts, labels, held, strict=True) if not out_]
    test = [(text, label) for text, label, out_ in zip(texts, labels, held, strict=True) if out_]
    if len({label for _, label in learn}) < 2:
        raise InvalidInput("examples.jsonl", "all rows to learn from have one label", "At least two are needed")
    folder = Path(out) / BUNDLE
    if options.engine == "h2o":
        classifier: Classifier = _by_h2o(texts, labels, held, options, job.seed, folder)
    else:
        fitted = WordClassifier.fitted([t for t, _ in learn], [label for _, label in learn], options)
        fitted.save(folder)
        classifier = fitted
    digest = seal(folder, target=TARGET, engine=options.engine, options=options.model_dump(exclude={"cluster"}))
    metrics = {
        "train_accuracy": accuracy(classifier, learn),
        "valid_accuracy": accuracy(classifier, test),
        "valid_macro_f1": macro_f1(classifier, test),
        "majority_accuracy": _majority(learn, test),
    }
    return {"bundle": BUNDLE, "digest": digest, "metrics": metrics, "examples": len(learn)}


def load(bundle: Path) -> Classifier:
    """Return the classifier of a bundle, verified; raises as `text_embeddings.load`."""
    if opened(bundle, TARGET).engine == "sklearn":
        return WordClassifier.load(bundle)
    from adapters.training.portable import PortableModel

    return LatentClassifier(LatentSemantic.load(bundle / "space"), PortableModel.read(bundle / "model.json"))


def classify(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Tell the class of the `text` of each row of a JSON-lines file; ``labels.json`` in `out` has the label and its
    probability.
    """
    job = checked(UseSpec, spec, "spec")
    classifier = load(job.bundle)
    texts = [str(row["text"]) for row in read_rows(job.input, ("text",))]
    found = classifier.probabilities(texts)
    rows = [[classifier.classes[row.argmax()], round(float(row.max()), 6)] for row in found]
    (Path(out) / "labels.json").write_text(json.dumps(rows), encoding="utf-8")
    return {"labels": "labels.json", "rows": len(rows)}


def accuracy(classifier: Classifier, rows: Sequence[tuple[str, str]]) -> float:
    """Return the share of rows whose label is the likeliest."""
    return mean([float(told == label) for told, (_, label) in zip(_told(classifier, rows), rows, strict=True)])


def macro_f1(classifier: Classifier, rows: Sequence[tuple[str, str]]) -> float:
    """Return the mean over the labels of the harmonic mean of precision and recall."""
    told = _told(classifier, rows)
    scores = []
    for name in sorted({label for _, label in rows}):
        hits = sum(t == name == label for t, (_, label) in zip(told, rows, strict=True))
        both = sum(t == name for t in told) + sum(label == name for _, label in rows)
        scores.append(2 * hits / both)
    return mean(scores)


def _told(classifier: Classifier, rows: Sequence[tuple[str, str]]) -> list[str]:
    if not rows:
        return []
    return [classifier.classes[n] for n in classifier.probabilities([text for text, _ in rows]).argmax(axis=1)]


def _majority(learn: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]]) -> float:
    """The honest baseline: always the commonest label."""
    labels = [label for _, label in learn]
    commonest = max(sorted(set(labels)), key=labels.count)
    return mean([float(label == commonest) for _, label in test])


def _examples(dataset: Path, label: str) -> tuple[list[str], list[str]]:
    own = dataset / "examples.jsonl"
    name = label if own.exists() else "subject"
    rows = read_rows(own if own.exists() else dataset / "documents.jsonl", ("text", name))
    texts = [f"{row.get('title') or ''} {row['text']}".strip() for row in rows]
    return texts, [str(row[name]) for row in rows]


def _by_h2o(
    texts: Sequence[str],
    labels: Sequence[str],
    held: Sequence[bool],
    options: ClassifierOptions,
    seed: int,
    folder: Path,
) -> Classifier:
    if importlib.util.find_spec("h2o") is None:
        raise ConfigurationError("params.engine", "h2o is not installed", "Install it: pip install 'evercrew[h2o]'")
    from adapters.training.h2o_job import learn
    from adapters.training.portable import PortableModel
    from adapters.training.table import write_classes

    fit = [text for text, out_ in zip(texts, held, strict=True) if not out_]
    space = LatentSemantic.fitted(
        fit, dimensions=options.dimensions, min_df=options.min_df, max_words=options.max_words, seed=seed
    )
    space.save(folder / "space")
    scratch = folder.parent / ".h2o"
    names = [f"latent_{n}" for n in range(space.dimensions)]
    write_classes(scratch / "table", names=names, features=space.encode(texts), labels=labels, held=held, seed=seed)
    asked_for = {
        "table": str(scratch / "table"),
        "cluster": dict(options.cluster),
        "algorithm": options.algorithm,
        "max_models": options.max_models,
        "max_runtime_s": options.max_runtime_s,
    }
    told = learn(asked_for, scratch)
    failure = told.get("failure")
    if failure is not None:
        raise DependencyUnavailable(str(failure["name"]), str(failure["problem"]), str(failure["remedy"]))
    for name in ("model.json", "mojo.zip", "leaderboard.json"):
        (scratch / name).replace(folder / name)
    shutil.rmtree(scratch, ignore_errors=True)
    return LatentClassifier(space, PortableModel.read(folder / "model.json"))
