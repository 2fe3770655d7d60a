"""What the transformer targets share: the extra, weights from a folder or the hub, the device, and one training loop.

Runs on one CPU thread unless a GPU is there: training shares its machine with a platform that serves.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from adapters.training.targets.spec import Device, NeuralOptions
from domain.errors import ConfigurationError, DependencyError, DependencyUnavailable, InvalidInput

EXTRA = "neural"
MODULES = ("torch", "transformers", "sentence_transformers")
T = TypeVar("T")


def missing(modules: Sequence[str] = MODULES) -> list[str]:
    """Return which of the extra's packages are not installed."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


def require(target: str, modules: Sequence[str] = MODULES) -> None:
    """Return when the extra is installed.

    Raises:
        ConfigurationError: it is not; says what to install.
    """
    absent = missing(modules)
    if absent:
        raise ConfigurationError(
            f"jobs.targets.{target}", f"needs {', '.join(absent)}", f"Install them: pip install 'evercrew[{EXTRA}]'"
        )


def prepared(target: str, seed: int, device: Device) -> str:
    """Set threads and seeds, and return the device to work on.

    Raises:
        ConfigurationError: the extra is missing, or ``cuda`` is asked for and not there.
    """
    require(target)
    import torch
    import transformers

    words: Any = transformers.utils.logging
    words.disable_progress_bar()
    words.set_verbosity_error()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ConfigurationError("params.device", "there is no CUDA device", "Use auto or cpu")
    return "cuda" if there and device != "cpu" else "cpu"


def weights(options: NeuralOptions, target: str) -> str:
    """Return what to load weights from: a folder that is there, or a name on the hub.

    Raises:
        InvalidInput: none is named, or the folder is not there.
    """
    named = options.base_model.strip()
    if not named:
        raise InvalidInput(
            "params.base_model", f"{target} has no weights of its own", "Name a folder with weights, or a hub name"
        )
    place = Path(named).expanduser()
    if place.is_dir():
        return str(place)
    if place.is_absolute() or named.startswith((".", "~")) or named.count("/") > 1:
        raise InvalidInput("params.base_model", f"there is no folder {place.name}", "Name a folder with weights")
    return named


@contextmanager
def loading(what: str) -> Iterator[None]:
    """Turn what the libraries raise over weights into one error that says what to do.

    Raises:
        DependencyUnavailable: they are not in the folder, or the hub cannot be reached or has none of that name.
    """
    try:
        yield
    except DependencyError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        problem = f"{what} cannot be loaded: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        remedy = "Name a folder with weights in params.base_model, or a hub name that can be reached from the worker"
        raise DependencyUnavailable("hub", problem, remedy) from error


def tuned(
    parameters: Any,
    rows: Sequence[T],
    loss_of: Callable[[Sequence[T]], Any],
    *,
    options: NeuralOptions,
    seed: int,
    epochs: int | None = None,
) -> list[float]:
    """Tune by AdamW over batches of rows, shuffled anew in each epoch, and return the mean loss of each epoch.

    Raises:
        DependencyUnavailable: the loss is no finite number any more.
    """
    import torch

    trained = list(parameters)
    optimiser = torch.optim.AdamW(trained, lr=options.learning_rate)
    order = torch.Generator().manual_seed(seed)
    means = []
    for _ in range(options.epochs if epochs is None else epochs):
        shuffled = [rows[place] for place in torch.randperm(len(rows), generator=order).tolist()]
        losses = []
        for batch in _batched(shuffled, options.batch_size):
            optimiser.zero_grad()
            loss = loss_of(batch)
            if not torch.isfinite(loss):
                raise DependencyUnavailable("training", "the loss is no number any more", "Lower params.learning_rate")
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            losses.append(float(loss.detach()))
        means.append(sum(losses) / len(losses))
    return means


def _batched(rows: Sequence[T], size: int) -> list[Sequence[T]]:
    """Rows in batches of `size`; a last batch of one joins the one before: it has no in-batch negative."""
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    if len(parts) > 1 and len(parts[-1]) < 2:
        parts[-2:] = [[*parts[-2], *parts[-1]]]
    return parts
