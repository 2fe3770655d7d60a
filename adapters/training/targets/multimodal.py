"""Embeddings of images and texts in one space: CLIP (Radford et al. 2021) by transformers. Extra `neural`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from adapters.training.targets import neural
from adapters.training.targets.bundle import BUNDLE, opened, seal
from adapters.training.targets.data import held_out, mean, read_rows
from adapters.training.targets.spec import Device, NeuralOptions, UseSpec, asked, checked
from domain.errors import InvalidInput

TARGET = "multimodal"
MODULES = ("torch", "transformers", "PIL")
Floats = npt.NDArray[np.float32]
Pair = tuple[Path, str]


class MultimodalOptions(NeuralOptions):
    """`max_pixels` bounds an image, so that a hostile one does not fill the memory."""

    max_pixels: int = Field(default=50_000_000, ge=1)


class ClipEncoder:
    """Embeds images and texts as unit vectors of one space."""

    def __init__(self, model: Any, images: Any, words: Any, options: MultimodalOptions) -> None:
        self.model = model
        self.images = images
        self.words = words
        self._options = options

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors (texts x dimensions)."""
        return self._unit(texts, lambda part: self.model.get_text_features(**self.read_texts(part)))

    def encode_images(self, paths: Sequence[Path]) -> Floats:
        """Return unit vectors (images x dimensions)."""
        return self._unit(paths, lambda part: self.model.get_image_features(**self.read_images(part)))

    def read_texts(self, texts: Sequence[str]) -> dict[str, Any]:
        """Return what the text tower takes."""
        length = min(self._options.max_length, self.model.config.text_config.max_position_embeddings)
        read = self.words(list(texts), padding=True, truncation=True, max_length=length, return_tensors="pt")
        return {name: read[name].to(self.model.device) for name in ("input_ids", "attention_mask")}

    def read_images(self, paths: Sequence[Path]) -> dict[str, Any]:
        """Return what the image tower takes."""
        opened_ones = [_image(path, self._options.max_pixels) for path in paths]
        read = self.images(images=opened_ones, return_tensors="pt")
        return {"pixel_values": read["pixel_values"].to(self.model.device)}

    def _unit(self, rows: Sequence[Any], tower: Any) -> Floats:
        import torch

        parts = []
        with torch.no_grad():
            for start in range(0, len(rows), self._options.batch_size):
                found = tower(rows[start : start + self._options.batch_size])
                # Some versions wrap the vectors with the tower's other outputs.
                vectors = found if isinstance(found, torch.Tensor) else found.pooler_output
                parts.append(torch.nn.functional.normalize(vectors, dim=-1).cpu().numpy())
        return np.concatenate(parts).astype(np.float32)


def train(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Tune on a dataset folder with ``pairs.jsonl`` (`image`: a path in the folder, `text`) and write a bundle.

    Raises:
        InvalidInput: a field of the specification, a line of the data or an image is wrong.
        ConfigurationError: the extra is missing. DependencyUnavailable: the weights cannot be had.
    """
    job, options = asked(spec, MultimodalOptions)
    pairs = _pairs(job.dataset)[: options.max_examples]
    learn = [pair for pair in pairs if not held_out(pair[1])]
    held = [pair for pair in pairs if held_out(pair[1])]
    if len(learn) < 2:
        raise InvalidInput("pairs.jsonl", f"{len(learn)} pairs to learn from", "At least two are needed")
    encoder = _loaded(neural.weights(options, TARGET), options, job.seed)
    before = evaluated(encoder, pairs, held)
    losses = _tuned(encoder, learn, options, job.seed)
    folder = Path(out) / BUNDLE
    for part in (encoder.model, encoder.images, encoder.words):
        part.save_pretrained(str(folder))
    kept = options.model_dump(mode="json", exclude={"base_model", "device", "local_only"})
    digest = seal(folder, target=TARGET, engine="clip", options=kept)
    metrics = {
        "train_recall_at_1": evaluated(encoder, pairs, learn),
        "valid_recall_at_1": evaluated(encoder, pairs, held),
        "valid_recall_at_1_before": before,
        "first_loss": losses[0] if losses else 0.0,
        "last_loss": losses[-1] if losses else 0.0,
    }
    return {"bundle": BUNDLE, "digest": digest, "metrics": metrics, "examples": len(learn)}


def load(bundle: Path, device: Device = "auto") -> ClipEncoder:
    """Return the encoder of a bundle, verified; raises as `text_embeddings.load`."""
    opened(bundle, TARGET)
    return _loaded(str(bundle), MultimodalOptions(device=device, local_only=True), 0)


def encode(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Embed the rows of a JSON-lines file by their `image` (a path beside the file), or by their `text`.

    The vectors go to ``vectors.npy`` in `out`.
    """
    job = checked(UseSpec, spec, "spec")
    encoder = load(job.bundle, job.device)
    by_image = "image" in read_rows(job.input, ())[0]
    rows = [
        str(row["image" if by_image else "text"]) for row in read_rows(job.input, ("image" if by_image else "text",))
    ]
    vectors = (
        encoder.encode_images([_inside(job.input.parent, r) for r in rows]) if by_image else encoder.encode_texts(rows)
    )
    np.save(Path(out) / "vectors.npy", vectors)
    return {"vectors": "vectors.npy", "rows": len(rows), "dimensions": int(vectors.shape[1])}


def evaluated(encoder: ClipEncoder, pairs: Sequence[Pair], asked_for: Sequence[Pair]) -> float:
    """Return the share of texts whose own image is the nearest of all images."""
    if not asked_for:
        return 0.0
    images = encoder.encode_images([image for image, _ in pairs])
    nearest = (encoder.encode_texts([text for _, text in asked_for]) @ images.T).argmax(axis=1)
    return mean([float(pairs[n][0] == image) for n, (image, _) in zip(nearest, asked_for, strict=True)])


def _pairs(dataset: Path) -> list[Pair]:
    rows = read_rows(dataset / "pairs.jsonl", ("image", "text"))
    return [(_inside(dataset, str(row["image"])), str(row["text"])) for row in rows]


def _inside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise InvalidInput(
            "pairs.jsonl image", f"{name!r} is not a file of the dataset", "Name a file inside its folder"
        )
    return path


def _image(path: Path, most: int) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.width * image.height > most:
                raise InvalidInput(path.name, f"has {image.width * image.height} pixels", "Raise params.max_pixels")
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InvalidInput(path.name, f"is no image that can be read: {error}", "Mend or drop it") from error


def _loaded(source: str, options: MultimodalOptions, seed: int) -> ClipEncoder:
    neural.require(TARGET, MODULES)
    device = neural.prepared(TARGET, seed, options.device)
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    kind, images, words = (_untyped(name) for name in (CLIPModel, AutoImageProcessor, AutoTokenizer))
    with neural.loading(f"the CLIP model {source!r}"):
        model = kind.from_pretrained(source, local_files_only=options.local_only).to(device).eval()
        return ClipEncoder(
            model,
            images.from_pretrained(source, local_files_only=options.local_only),
            words.from_pretrained(source, local_files_only=options.local_only),
            options,
        )


def _untyped(kind: Any) -> Any:
    return kind


def _tuned(encoder: ClipEncoder, pairs: Sequence[Pair], options: MultimodalOptions, seed: int) -> list[float]:
    """The symmetric contrastive loss over the pairs of a batch."""

    def loss_of(batch: Sequence[Pair]) -> Any:
        read = {
            **encoder.read_texts([text for _, text in batch]),
            **encoder.read_images([image for image, _ in batch]),
        }
        return encoder.model(**read, return_loss=True).loss

    encoder.model.train()
    losses = neural.tuned(
        encoder.model.parameters(),
        pairs,
        loss_of,
        options=options,
        seed=seed,
    )
    encoder.model.eval()
    return losses
