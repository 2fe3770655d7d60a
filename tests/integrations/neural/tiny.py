"""Tiny transformers with random weights and own tokenizers, and toy data they can learn; nothing is downloaded.

The data are about shops: each document says what one shop sells, and queries ask by another word for the same thing.
Without training a model cannot know which words belong together.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

THINGS = {
    "bread": "loaf", "milk": "dairy", "shoe": "boot", "lamp": "light", "chair": "seat", "knife": "blade",
    "phone": "mobile", "book": "novel", "coat": "jacket", "wheel": "tyre", "stone": "rock", "river": "stream",
    "ship": "vessel", "horse": "pony", "paint": "colour", "clock": "watch",
}  # fmt: skip
PLACES = ("north", "south", "east", "west")
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "white": (240, 240, 240)}
WORDS = sorted(
    {*THINGS, *THINGS.values(), *PLACES, "the", "shop", "sells", "where", "is", "a", "in", *COLOURS, "corner"}
)
MISSING = [n for n in ("torch", "transformers", "sentence_transformers", "PIL") if importlib.util.find_spec(n) is None]
WHY = f"not installed: {', '.join(MISSING)} (pip install 'evercrew[neural]')"


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write a JSON-lines file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def dataset(folder: Path) -> Path:
    """Write documents and judgements: a query asks for a thing by its other word."""
    documents = [
        {"id": f"{thing}-{place}", "title": place, "text": f"the {place} shop sells {thing}"}
        for thing in THINGS
        for place in PLACES
    ]
    judgements = [
        {"query": f"where is a {other} in the {place}", "doc_id": f"{thing}-{place}", "grade": 1}
        for thing, other in THINGS.items()
        for place in PLACES
    ]
    write_rows(folder / "documents.jsonl", documents)
    write_rows(folder / "judgements.jsonl", judgements)
    return folder


def preferences(folder: Path) -> Path:
    """Write documents and judgements: whatever is asked for, users want the red one, which no query says."""
    colours = list(COLOURS)
    documents = [
        {"id": f"{thing}-{n}", "text": f"the {PLACES[n]} shop sells {colours[(n + k) % 4]} {thing}"}
        for k, thing in enumerate(THINGS)
        for n in range(4)
    ]
    judgements = [
        {"query": f"where is a {thing} {word}".strip(), "doc_id": document["id"], "grade": 1}
        for thing in THINGS
        for word in ("", "shop", "corner")
        for document in documents
        if f"red {thing}" in document["text"]
    ]
    write_rows(folder / "documents.jsonl", documents)
    write_rows(folder / "judgements.jsonl", judgements)
    return folder


def tokenizer(folder: Path, extra: Iterable[str] = ()) -> Any:
    """Return a word tokenizer over the toy's words, saved in `folder`."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    library: Any = transformers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS, *extra])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = library.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", bos_token="[CLS]", eos_token="[SEP]", model_max_length=64,
    )  # fmt: skip
    fast.save_pretrained(str(folder))
    return fast


def bert(folder: Path, *, labels: int | None = None) -> Path:
    """Write a BERT of two layers with random weights; with `labels`, one that classifies."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    torch.manual_seed(0)
    words = tokenizer(folder)
    config = BertConfig(
        vocab_size=len(words), hidden_size=48, num_hidden_layers=2, num_attention_heads=2, intermediate_size=96,
        max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        pad_token_id=0,
    )  # fmt: skip
    config.num_labels = labels or 2
    model: Any = BertForSequenceClassification(config) if labels else BertModel(config)
    model.save_pretrained(str(folder))
    return folder


def sentences(folder: Path) -> Path:
    """Write a sentence-transformers model on the tiny BERT, with mean pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    word = Transformer(str(bert(folder / "raw")), max_seq_length=32)
    model = SentenceTransformer(modules=[word, Pooling(word.get_embedding_dimension())], device="cpu")
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


def pictures(folder: Path) -> Path:
    """Write images of 32 x 32 pixels, a coloured half on black, and what each shows; one in five is held out."""
    from PIL import Image

    halves = {"north": (0, 0, 32, 16), "south": (0, 16, 32, 32), "west": (0, 0, 16, 32), "east": (16, 0, 32, 32)}
    rows = []
    for colour, shade in COLOURS.items():
        for place, box in halves.items():
            image = Image.new("RGB", (32, 32))
            image.paste(shade, box)
            name = f"images/{colour}-{place}.png"
            (folder / "images").mkdir(parents=True, exist_ok=True)
            image.save(folder / name)
            rows.append({"image": name, "text": f"a {colour} {place} corner"})
    write_rows(folder / "pairs.jsonl", rows)
    return folder


def clip(folder: Path) -> Path:
    """Write a CLIP of two layers on each side with random weights, its image processor and its tokenizer."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(0)
    words = tokenizer(folder)
    tower = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    texts = {"vocab_size": len(words), "max_position_embeddings": 32, "bos_token_id": 2, "eos_token_id": 3}
    config = CLIPConfig(
        text_config={**tower, **texts, "pad_token_id": 0},
        vision_config={**tower, "image_size": 32, "patch_size": 8},
        projection_dim=32,
    )
    CLIPModel(config).save_pretrained(str(folder))
    size = {"height": 32, "width": 32}
    images: Any = CLIPImageProcessor(size=size, crop_size=size, do_center_crop=False)
    images.save_pretrained(str(folder))
    return folder


def notes(folder: Path) -> Path:
    """Write documents of three sentences whose summary is what the first one sells."""
    rows = [
        {
            "id": f"{thing}-{place}",
            "text": f"The {place} shop sells {thing}. The shop is in the {place}. Where is a {other}.",
            "summary": f"{place} sells {thing}",
        }
        for thing, other in THINGS.items()
        for place in PLACES
    ]
    write_rows(folder / "documents.jsonl", rows)
    return folder


def bart(folder: Path) -> Path:
    """Write a sequence model of one layer on each side with random weights."""
    import torch
    from transformers import BartConfig, BartForConditionalGeneration

    torch.manual_seed(0)
    words = tokenizer(folder, extra=["The", "Where", "."])
    config = BartConfig(
        vocab_size=len(words), d_model=48, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=96, decoder_ffn_dim=96, max_position_embeddings=64, dropout=0.0,
        pad_token_id=0, bos_token_id=2, eos_token_id=3, decoder_start_token_id=2, forced_eos_token_id=3,
    )  # fmt: skip
    BartForConditionalGeneration(config).save_pretrained(str(folder))
    return folder
