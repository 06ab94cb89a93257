"""Text classifiers of transformers: a published encoder with a new head, or a published classifier as it is."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from zoo.errors import IntegrityError, UsageError, ZooError, first_line
from zoo.fetch.offline import offline
from zoo.fetch.published_settings import CONFIG, code_note, verified_view, weights_names
from zoo.fetch.sources import Source
from zoo.models.attention import Attention, check_attention
from zoo.models.size_limits import size_limits
from zoo.text_tables import counted

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEADS = ("classifier.", "score.", "pre_classifier.", "classification_head.", "dropout.")
"""Prefixes of the weights that belong to the head in the architectures of transformers."""


def sequence_classifier(
    *,
    init: Source,
    num_labels: int,
    layers: Sequence[int] | None = None,
    attn_implementation: Attention | None = None,
) -> "PreTrainedModel":
    """Return a published encoder with a new, randomly initialized classification head, in fp32.

    Args:
        init: The repository of the encoder. Its weights are converted to fp32.
        num_labels: The number of outputs.
        layers: Keep only these layers of the encoder, numbered from 0. A student can so start from some layers of its
            teacher's encoder (Sanh et al., DistilBERT, 2019, section 2). Default: all layers.
        attn_implementation: How attention is computed. Default: transformers chooses, usually `sdpa`.

    Raises:
        IntegrityError: The repository lacks weights of the encoder.
        UsageError: The encoder does not have one of `layers`, or this kind of attention cannot be used here.
    """
    check_attention(attn_implementation)
    fetched = init.fetch()
    model, missing = _load(fetched.path, str(fetched.weights), attn_implementation, num_labels=num_labels)
    missing_in_encoder = [name for name in missing if not name.startswith(HEADS)]
    if missing_in_encoder:
        names = ", ".join(missing_in_encoder[:3])
        raise IntegrityError(f"{fetched.source}: {fetched.weights} lacks {names} of the encoder")
    if model.code_note:
        init.sources.report_once(f"note: {fetched.source}: {model.code_note}")
    if layers is not None:
        _keep_layers(model, layers)
    return model


def published_classifier(folder: Path, weights: str, expected: Mapping[str, Any]) -> "PreTrainedModel":
    """Load a published classifier in fp32.

    Its attribute `code_note` says whether code of its repository was left out, or is None.

    Args:
        folder: A folder that `transformers` can load.
        weights: The name of the weights file in it.
        expected: The arguments of the model in the recipe. `num_labels` must fit the model, `attn_implementation` says
            how attention is computed, and the others are not used.

    Raises:
        IntegrityError: The file lacks weights of the model, which transformers would initialize at random, or the
            number of outputs is not the expected one.
    """
    model, missing = _load(folder, weights, expected.get("attn_implementation"))
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise IntegrityError(
            f"{folder / weights} lacks {', '.join(missing[:3])}{more}: the model would be scored with random weights"
        )
    outputs = expected.get("num_labels")
    if outputs is not None and model.config.num_labels != outputs:
        raise IntegrityError(
            f"{folder}: the model has {counted(model.config.num_labels, 'output')}, but the recipe says {outputs}"
        )
    return model


def _load(
    folder: Path, weights: str, attention: Attention | None, **config_changes: Any
) -> "tuple[PreTrainedModel, list[str]]":
    """Load a model and the names of the weights that the file lacks. Runs no code of the repository or of a pickle."""
    try:
        with (
            verified_view(folder, weights_names(folder, weights)) as view,
            offline(),
            size_limits(),
            _quiet_transformers(),
        ):
            model, report = _from_pretrained(view, weights, attention, config_changes)
    except ZooError:
        raise
    except Exception as error:  # a damaged or malicious file makes safetensors and pickle raise any exception
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise IntegrityError(f"{folder}: {weights} cannot be loaded as a model: {reason}") from error
    model.config.name_or_path = model.name_or_path = str(folder)
    model.code_note = code_note(folder, [CONFIG])
    mismatched = sorted(map(str, report["mismatched_keys"]))
    if mismatched:
        raise IntegrityError(f"{folder / weights}: {mismatched[0]} has another shape than config.json says")
    return model, sorted(report["missing_keys"])


def _from_pretrained(
    folder: Path, weights: str, attention: Attention | None, config_changes: Mapping[str, Any]
) -> tuple[Any, Mapping[str, Any]]:
    transformers = import_module("transformers")  # takes seconds, and `zoo check` needs only the signatures
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False, **config_changes)
    chosen = {} if attention is None else {"attn_implementation": attention}
    loaded: tuple[Any, Mapping[str, Any]] = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, config=config, dtype=torch.float32, output_loading_info=True, trust_remote_code=False,
        use_safetensors=".safetensors" in weights, weights_only=True, local_files_only=True, **chosen,
    )  # fmt: skip
    return loaded


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Turn off the progress bar and the warning about missing weights, because missing weights raise an error here."""
    logging = import_module("transformers.utils.logging")
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def _keep_layers(model: "PreTrainedModel", layers: Sequence[int]) -> None:
    """Remove all other layers from the encoder. The layers stay in the order of `layers`."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == model.config.num_hidden_layers:
                if not layers or not all(0 <= layer < len(child) for layer in layers):
                    raise UsageError(f"layers must be numbers from 0 to {len(child) - 1}, not {list(layers)}")
                setattr(module, name, nn.ModuleList(child[layer] for layer in layers))
                model.config.num_hidden_layers = len(layers)
                return
    count = model.config.num_hidden_layers
    raise UsageError(f"{type(model).__name__} has no list of {count} layers; leave out the argument 'layers'")
