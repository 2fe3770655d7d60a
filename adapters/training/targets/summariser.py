"""Summaries: sentences of the text itself by default, with their places; a sequence model by the extra `neural`.

What is taken from the text cannot say what the text does not say. Training fits the words' weights to the collection
and, where the documents have a `summary`, chooses method and length by it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from adapters.training.targets import neural
from adapters.training.targets.bundle import BUNDLE, opened, seal
from adapters.training.targets.data import held_out, mean, read_rows
from adapters.training.targets.sentences import Sentence, centrality, rouge_1, sentences_of, textrank
from adapters.training.targets.spec import Device, NeuralOptions, UseSpec, asked, checked
from domain.errors import DependencyLied, InvalidInput

TARGET = "summariser"
Floats = npt.NDArray[np.float64]
Pair = tuple[str, str]
_WORDS = "words.json"


class SummariserOptions(NeuralOptions):
    """`sentences` at most are taken; `method` auto takes what is nearer to the documents' own summaries."""

    engine: Literal["extractive", "transformer"] = "extractive"
    method: Literal["auto", "textrank", "centroid"] = "auto"
    sentences: int = Field(default=3, ge=1, le=50)
    max_words: int = Field(default=50_000, ge=2)
    max_new_tokens: int = Field(default=64, ge=4, le=1024)


class Taken(BaseModel):
    """A summary and what it rests on: the sentences' places in the text (none of a sequence model's)."""

    model_config = ConfigDict(frozen=True)

    text: str
    sources: tuple[tuple[int, int], ...] = ()


class Extractive:
    """Takes the sentences that say most, in the order of the text."""

    def __init__(self, idf: Mapping[str, float], method: str, sentences: int) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.idf = dict(idf)
        self.method = method
        self.sentences = sentences
        self._vectorizer: Any = TfidfVectorizer(vocabulary=list(self.idf), sublinear_tf=True)
        self._vectorizer.idf_ = np.array(list(self.idf.values()), np.float64)

    def summarise(self, text: str, sentences: int | None = None) -> Taken:
        """Return at most so many sentences; equals are decided for the earlier one."""
        there = sentences_of(text)
        count = min(sentences or self.sentences, len(there))
        if not there:
            return Taken(text="")
        best = np.argsort(-self._weights(there), kind="stable")[:count]
        chosen = [there[n] for n in sorted(best)]
        return Taken(text=" ".join(s.text for s in chosen), sources=tuple((s.start, s.end) for s in chosen))

    def _weights(self, there: Sequence[Sentence]) -> Floats:
        vectors: Floats = self._vectorizer.transform([sentence.text for sentence in there]).toarray()
        weights = textrank(vectors @ vectors.T) if self.method == "textrank" else centrality(vectors)
        return np.round(weights, 9)


class Generative:
    """Writes a summary by a sequence model."""

    def __init__(self, model: Any, words: Any, options: SummariserOptions) -> None:
        self.model = model
        self.words = words
        self._options = options

    def summarise(self, text: str, sentences: int | None = None) -> Taken:
        """Return what the model writes; it has no sources, and may say what the text does not."""
        import torch

        with torch.no_grad():
            read = self.read([text])
            told = self.model.generate(
                **read, max_new_tokens=self._options.max_new_tokens, num_beams=1, do_sample=False
            )
        whole = str(self.words.decode(told[0], skip_special_tokens=True)).strip()
        return Taken(text=" ".join(s.text for s in sentences_of(whole)[:sentences]) if sentences else whole)

    def read(self, texts: Sequence[str]) -> dict[str, Any]:
        """Return what the model takes."""
        read = self.words(
            list(texts), padding=True, truncation=True, max_length=self._options.max_length, return_tensors="pt"
        )
        return {name: read[name].to(self.model.device) for name in ("input_ids", "attention_mask")}


Summariser = Extractive | Generative


def train(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Train on ``documents.jsonl`` of a dataset folder (`text`, and `summary` where there is one).

    Raises:
        InvalidInput: a field of the specification or a line of the data is wrong, or the transformer has no summaries.
        ConfigurationError: the extra is missing. DependencyUnavailable: the weights cannot be had.
    """
    job, options = asked(spec, SummariserOptions)
    rows = read_rows(job.dataset / "documents.jsonl", ("text",))[: options.max_examples]
    pairs = [(str(row["text"]), str(row["summary"])) for row in rows if str(row.get("summary") or "").strip()]
    learn = [pair for pair in pairs if not held_out(pair[0])]
    held = [pair for pair in pairs if held_out(pair[0])]
    folder = Path(out) / BUNDLE
    metrics: dict[str, float] = {}
    if options.engine == "extractive":
        extractive = _chosen(_idf([str(row["text"]) for row in rows], options), learn, options)
        _write(extractive, folder)
        summariser: Summariser = extractive
    else:
        if len(learn) < 2:
            raise InvalidInput("documents.jsonl summary", f"{len(learn)} rows have one", "At least two are needed")
        written = _loaded(neural.weights(options, TARGET), options, job.seed)
        metrics["valid_rouge_1_before"] = evaluated(written, held)
        losses = _tuned(written, learn, options, job.seed)
        metrics |= {"first_loss": losses[0] if losses else 0.0, "last_loss": losses[-1] if losses else 0.0}
        for part in (written.model, written.words):
            part.save_pretrained(str(folder))
        summariser = written
    kept = options.model_dump(mode="json", exclude={"base_model", "device", "local_only"})
    digest = seal(folder, target=TARGET, engine=options.engine, options=kept)
    metrics |= {"train_rouge_1": evaluated(summariser, learn), "valid_rouge_1": evaluated(summariser, held)}
    metrics["valid_rouge_1_first_sentences"] = mean(
        [rouge_1(" ".join(s.text for s in sentences_of(text)[: options.sentences]), wanted) for text, wanted in held]
    )
    return {"bundle": BUNDLE, "digest": digest, "metrics": metrics, "examples": len(rows)}


def load(bundle: Path, device: Device = "auto") -> Summariser:
    """Return the summariser of a bundle, verified; raises as `text_embeddings.load`."""
    manifest = opened(bundle, TARGET)
    if manifest.engine == "transformer":
        options = {**manifest.options, "device": device, "local_only": True}
        return _loaded(str(bundle), checked(SummariserOptions, options, "manifest"), 0)
    try:
        told = json.loads((bundle / _WORDS).read_text(encoding="utf-8"))
        return Extractive({str(k): float(v) for k, v in told["idf"].items()}, told["method"], int(told["sentences"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DependencyLied("training", f"{bundle.name} holds no summariser: {error}", "Train it again") from error


def summarise(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Summarise the `text` of each row of a JSON-lines file; ``summaries.json`` in `out` has text and sources."""
    job = checked(UseSpec, spec, "spec")
    summariser = load(job.bundle, job.device)
    texts = [str(row["text"]) for row in read_rows(job.input, ("text",))]
    taken = [summariser.summarise(text, job.sentences).model_dump(mode="json") for text in texts]
    (Path(out) / "summaries.json").write_text(json.dumps(taken, ensure_ascii=False), encoding="utf-8")
    return {"summaries": "summaries.json", "rows": len(texts)}


def evaluated(summariser: Summariser, pairs: Sequence[Pair]) -> float:
    """Return the mean ROUGE-1 of the summaries against the documents' own."""
    return mean([rouge_1(summariser.summarise(text).text, wanted) for text, wanted in pairs])


def _idf(texts: Sequence[str], options: SummariserOptions) -> dict[str, float]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(max_features=options.max_words)
    try:
        vectorizer.fit([sentence.text for text in texts for sentence in sentences_of(text)])
    except ValueError as error:
        raise InvalidInput("documents.jsonl", f"no words to learn from: {error}", "Give texts with words") from error
    words = (str(word) for word in vectorizer.get_feature_names_out())
    return {word: round(float(weight), 6) for word, weight in zip(words, vectorizer.idf_, strict=True)}


def _chosen(idf: Mapping[str, float], learn: Sequence[Pair], options: SummariserOptions) -> Extractive:
    if options.method != "auto":
        return Extractive(idf, options.method, options.sentences)
    both = [Extractive(idf, method, options.sentences) for method in ("textrank", "centroid")]
    return max(both, key=lambda one: evaluated(one, learn))


def _write(summariser: Extractive, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    told = {"idf": summariser.idf, "method": summariser.method, "sentences": summariser.sentences}
    (folder / _WORDS).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")


def _loaded(source: str, options: SummariserOptions, seed: int) -> Generative:
    device = neural.prepared(TARGET, seed, options.device)
    import transformers

    library: Any = transformers
    with neural.loading(f"the sequence model {source!r}"):
        model = library.AutoModelForSeq2SeqLM.from_pretrained(source, local_files_only=options.local_only)
        words = library.AutoTokenizer.from_pretrained(source, local_files_only=options.local_only)
    return Generative(model.to(device).eval(), words, options)


def _tuned(written: Generative, pairs: Sequence[Pair], options: SummariserOptions, seed: int) -> list[float]:
    def loss_of(batch: Sequence[Pair]) -> Any:
        wanted = written.words(
            text_target=[summary for _, summary in batch],
            padding=True,
            truncation=True,
            max_length=options.max_new_tokens,
            return_tensors="pt",
        )["input_ids"].to(written.model.device)
        # What only fills up a batch is not learnt.
        labels = wanted.masked_fill(wanted == written.words.pad_token_id, -100)
        return written.model(**written.read([text for text, _ in batch]), labels=labels).loss

    written.model.train()
    losses = neural.tuned(
        written.model.parameters(),
        pairs,
        loss_of,
        options=options,
        seed=seed,
    )
    written.model.eval()
    return losses
