"""Text classifiers of transformers: a published encoder with a new head, or a published classifier as it is."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging

from zoo.errors import IntegrityError, UsageError, first_line
from zoo.fetch.sources import Source

HEADS = ("classifier.", "score.", "pre_classifier.", "classification_head.", "dropout.")


def sequence_classifier(*, init: Source, num_labels: int, layers: Sequence[int] | None = None) -> PreTrainedModel:
    """The encoder at `init` under a classifier of `num_labels` outputs that is drawn anew; fp32 whatever it is kept in.

    `layers` keeps only these of the encoder's layers, numbered from 0: a smaller student that starts from its teacher's
    encoder (Sanh et al., DistilBERT, 2019, section 2). Raises IntegrityError where the encoder is not complete.
    """
    fetched = init.fetch()
    model, missing = _load(fetched.path, str(fetched.weights), num_labels=num_labels)
    lacks = [name for name in missing if not name.startswith(HEADS)]
    if lacks:
        raise IntegrityError(f"{fetched.source}: {fetched.weights} lacks {', '.join(lacks[:3])} of the encoder")
    if layers is not None:
        _keep_layers(model, layers)
    return model


def published_classifier(folder: Path, weights: str, expected: Mapping[str, Any]) -> PreTrainedModel:
    """The classifier in a folder of transformers, in fp32; `expected` are the arguments of `sequence_classifier`.

    Raises IntegrityError where weights of the model are missing (they would be drawn at random), or where it has
    another number of outputs than the recipe says.
    """
    model, missing = _load(folder, weights)
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise IntegrityError(
            f"{folder / weights} lacks {', '.join(missing[:3])}{more}: it would be scored with random weights"
        )
    outputs = expected.get("num_labels")
    if outputs is not None and model.config.num_labels != outputs:
        raise IntegrityError(f"{folder}: the model has {model.config.num_labels} outputs, the recipe says {outputs}")
    return model


def _load(folder: Path, weights: str, **changed: Any) -> tuple[PreTrainedModel, list[str]]:
    """The model and the names of its weights that the file lacks. No code of a repository is run, nothing unpickled."""
    try:
        with _quiet():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False, **changed)
            model, report = AutoModelForSequenceClassification.from_pretrained(
                folder, config=config, dtype=torch.float32, output_loading_info=True, trust_remote_code=False,
                use_safetensors=".safetensors" in weights, weights_only=True, local_files_only=True,
            )  # fmt: skip
    except Exception as error:  # safetensors and pickle raise errors of their own for a damaged or a malicious file
        said = first_line(error)
        raise IntegrityError(
            f"{folder}: {weights} is no model that can be loaded: {type(error).__name__}: {said}"
        ) from error
    faults = sorted(map(str, report["mismatched_keys"]))
    if faults:
        raise IntegrityError(f"{folder / weights}: {faults[0]} has another shape than the configuration says")
    return model, sorted(report["missing_keys"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's report on missing weights, which is ours to make, and its progress bar."""
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def _keep_layers(model: PreTrainedModel, layers: Sequence[int]) -> None:
    """Leave only these layers of the encoder, in this order."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == model.config.num_hidden_layers:
                if not layers or not all(0 <= layer < len(child) for layer in layers):
                    raise UsageError(f"layers must be of 0 to {len(child) - 1}, not {list(layers)}")
                setattr(module, name, nn.ModuleList(child[layer] for layer in layers))
                model.config.num_hidden_layers = len(layers)
                return
    raise UsageError(f"{type(model).__name__} has no list of {model.config.num_hidden_layers} layers to choose from")
