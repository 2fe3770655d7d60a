"""The configuration file of an H2O LLM Studio experiment: the keys its command line reads, typed and with defaults.

The keys are those of the example files that come with the program. A key that is not known, or a value of another type,
is refused here by its name: the program itself leaves unknown keys out without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from domain.errors import InvalidInput

NONE = "None"
"""How the file says that a column, a logger or a second data frame is not given."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Architecture(_Part):
    backbone_dtype: Literal["float32", "float16", "bfloat16", "int8", "int4"] = "float32"
    gradient_checkpointing: bool = False
    intermediate_dropout: float = Field(default=0.0, ge=0, le=0.5)
    pretrained: bool = True
    pretrained_weights: str = ""


class Augmentation(_Part):
    random_parent_probability: float = Field(default=0.0, ge=0, le=1)
    skip_parent_probability: float = Field(default=0.0, ge=0, le=1)
    token_mask_probability: float = Field(default=0.0, ge=0, le=0.9)


class Dataset(_Part):
    """`num_classes` is for classification only."""

    add_eos_token_to_answer: bool = True
    add_eos_token_to_prompt: bool = True
    add_eos_token_to_system: bool = True
    answer_column: str | list[str] = "output"
    chatbot_author: str = "H2O.ai"
    chatbot_name: str = "h2oGPT"
    data_sample: float = Field(default=1.0, gt=0, le=1)
    data_sample_choice: list[Literal["Train", "Validation"]] = ["Train", "Validation"]
    limit_chained_samples: bool = False
    mask_prompt_labels: bool = True
    num_classes: int | None = Field(default=None, ge=1)
    only_last_answer: bool | None = None
    parent_id_column: str = NONE
    personalize: bool = False
    prompt_column: list[str] = Field(default=["instruction"], min_length=1)
    system_column: str = NONE
    text_answer_separator: str = "<|answer|>"
    text_prompt_start: str = "<|prompt|>"
    text_system_start: str = "<|system|>"
    train_dataframe: str = Field(min_length=1)
    validation_dataframe: str = NONE
    validation_size: float = Field(default=0.1, gt=0, lt=1)
    validation_strategy: Literal["automatic", "custom"] = "automatic"


class Environment(_Part):
    """`gpus` are their numbers as text; an empty list trains on the processor."""

    compile_model: bool = False
    deepspeed_allgather_bucket_size: int | None = None
    deepspeed_method: str | None = None
    deepspeed_reduce_bucket_size: int | None = None
    deepspeed_stage3_param_persistence_threshold: int | None = None
    deepspeed_stage3_prefetch_bucket_size: int | None = None
    find_unused_parameters: bool = False
    gpus: list[str] = []
    huggingface_branch: str = "main"
    mixed_precision: bool = False
    mixed_precision_dtype: Literal["float16", "bfloat16"] | None = None
    number_of_workers: int = Field(default=4, ge=0, le=64)
    seed: int = Field(default=1, ge=-1)
    trust_remote_code: bool = False
    use_deepspeed: bool | None = None


class Logging(_Part):
    logger: Literal["None", "Neptune", "W&B"] = "None"
    neptune_project: str = ""


class Prediction(_Part):
    """Fields from `do_sample` on are for generated text."""

    batch_size_inference: int = Field(default=0, ge=0)
    metric: str = "BLEU"
    do_sample: bool | None = None
    max_length_inference: int | None = Field(default=None, ge=1)
    max_time: float | None = None
    metric_gpt_model: str | None = None
    metric_gpt_template: str | None = None
    min_length_inference: int | None = None
    num_beams: int | None = None
    num_history: int | None = None
    repetition_penalty: float | None = None
    stop_tokens: str | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None


class Tokenizer(_Part):
    add_prompt_answer_tokens: bool = False
    max_length: int = Field(default=512, ge=32)
    padding_quantile: float = Field(default=1.0, ge=0, le=1)
    tokenizer_kwargs: str = '{"use_fast": true, "add_prefix_space": false}'


class Training(_Part):
    batch_size: int = Field(default=2, ge=1)
    differential_learning_rate: float = Field(default=1e-5, gt=0)
    differential_learning_rate_layers: list[str] = []
    drop_last_batch: bool = True
    epochs: int = Field(default=1, ge=0)
    evaluate_before_training: bool = False
    evaluation_epochs: float = Field(default=1.0, gt=0)
    grad_accumulation: int = Field(default=1, ge=1)
    gradient_clip: float = Field(default=0.0, ge=0)
    learning_rate: float = Field(default=1e-4, gt=0, lt=1)
    lora: bool = True
    use_dora: bool = False
    lora_alpha: int = Field(default=16, ge=1)
    lora_dropout: float = Field(default=0.05, ge=0, le=0.5)
    lora_r: int = Field(default=4, ge=1)
    lora_target_modules: str = ""
    loss_function: str = "TokenAveragedCrossEntropy"
    optimizer: str = "AdamW"
    save_checkpoint: Literal["last", "best", "each_evaluation_epoch", "disable"] = "last"
    schedule: str = "Cosine"
    train_validation_data: bool = False
    warmup_epochs: float = Field(default=0.0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)


class StudioConfig(_Part):
    """The whole file. `llm_backbone` is a name on the model hub, or a folder."""

    architecture: Architecture = Architecture()
    augmentation: Augmentation = Augmentation()
    dataset: Dataset
    environment: Environment = Environment()
    experiment_name: str = Field(min_length=1)
    llm_backbone: str = Field(min_length=1)
    logging: Logging = Logging()
    output_directory: str = Field(min_length=1)
    prediction: Prediction = Prediction()
    problem_type: Literal[
        "text_causal_language_modeling",
        "text_causal_classification_modeling",
        "text_causal_regression_modeling",
        "text_sequence_to_sequence_modeling",
        "text_dpo_modeling",
    ] = "text_causal_language_modeling"
    tokenizer: Tokenizer = Tokenizer()
    training: Training = Training()

    def text(self) -> str:
        """Return the file's text; what is not given is left to the program's own default."""
        return yaml.safe_dump(self.model_dump(mode="json", exclude_none=True), sort_keys=True)


def studio_config(values: Mapping[str, Any]) -> StudioConfig:
    """Return the configuration of these values.

    Raises:
        InvalidInput: a key is unknown, missing or of another type; names it.
    """
    try:
        return StudioConfig.model_validate(dict(values))
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the configuration"
        known = "There is no such key" if first["type"] == "extra_forbidden" else first["msg"]
        raise InvalidInput(f"llm_studio.{field}", known, "Use a key and a type of H2O LLM Studio's own") from problem


def laid_over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes`, section by section."""
    merged = dict(base)
    for name, value in changes.items():
        known = merged.get(name)
        nested = isinstance(known, Mapping) and isinstance(value, Mapping)
        merged[name] = laid_over(known, value) if nested and isinstance(known, Mapping) else value
    return merged
