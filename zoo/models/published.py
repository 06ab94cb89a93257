"""Load models that are published with a configuration of transformers, without running any code of theirs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from zoo.errors import IntegrityError, UsageError, ZooError, first_line
from zoo.fetch.offline import offline
from zoo.fetch.published_settings import code_note, read_json, verified_view
from zoo.fetch.repository_files import CONFIG
from zoo.fetch.sources import Source
from zoo.fetch.weights_index import weights_names
from zoo.models.attention import Attention, check_attention
from zoo.models.auto_classes import TEXT_CLASSIFIER
from zoo.models.size_limits import size_limits
from zoo.text_tables import counted

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_published(
    auto_class: str, folder: Path, weights: str, attention: Attention | None = None, **config_changes: Any
) -> "tuple[PreTrainedModel, list[str]]":
    """Load a published model in fp32, and the names of the weights that its files lack.

    Its attribute `code_note` says whether code of its repository was left out, or is None.

    Args:
        auto_class: The class of transformers that loads it.
        folder: A folder that transformers can load.
        weights: The name of the weights file in it, or of the index of several.
        attention: How attention is computed. Default: transformers chooses.
        **config_changes: Changes of the configuration.

    Raises:
        UsageError: The folder has no configuration of transformers.
        IntegrityError: A file is damaged or names code, or shapes differ from the configuration.
    """
    _check_configuration(folder, weights)
    import_module("transformers")  # before `offline`, which changes it
    try:
        with (
            verified_view(folder, weights_names(folder, weights)) as view,
            offline(),
            size_limits(),
            _quiet_transformers(),
        ):
            model, report = _from_pretrained(auto_class, view, weights, attention, config_changes)
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


def load_with_new_head(
    auto_class: str, init: Source, heads: tuple[str, ...], part: str, attention: Attention | None, num_labels: int
) -> "PreTrainedModel":
    """Load a published model whose head may be missing, and is then randomly initialized, in fp32.

    Args:
        auto_class: The class of transformers that loads it.
        init: The repository.
        heads: Prefixes of the weights that belong to the head.
        part: The name of the rest of the model, for messages.
        attention: How attention is computed. Default: transformers chooses.
        num_labels: The number of outputs.

    Raises:
        IntegrityError: The repository lacks weights of the rest.
        UsageError: This kind of attention cannot be used here.
    """
    check_attention(attention)
    fetched = init.fetch()
    model, missing = load_published(auto_class, fetched.path, str(fetched.weights), attention, num_labels=num_labels)
    lacking = [name for name in missing if not name.startswith(heads)]
    if lacking:
        raise IntegrityError(f"{fetched.source}: {fetched.weights} lacks {', '.join(lacking[:3])} of the {part}")
    if model.code_note:
        init.sources.report_once(f"note: {fetched.source}: {model.code_note}")
    return model


def published_classifier(
    folder: Path, weights: str, expected: Mapping[str, Any], auto_class: str = TEXT_CLASSIFIER
) -> "PreTrainedModel":
    """Load a published classifier in fp32; see `load_published`.

    Args:
        folder: A folder that `transformers` can load.
        weights: The name of the weights file in it.
        expected: The arguments of the model in the recipe. `num_labels` must fit the model, `attn_implementation` says
            how attention is computed, and the others are not used.
        auto_class: The class of transformers that loads it.

    Raises:
        IntegrityError: The file lacks weights of the model, which transformers would initialize at random, or the
            number of outputs is not the expected one.
    """
    model, missing = load_published(auto_class, folder, weights, expected.get("attn_implementation"))
    check_complete(folder / weights, missing)
    outputs = expected.get("num_labels")
    if outputs is not None and model.config.num_labels != outputs:
        raise IntegrityError(
            f"{folder}: the model has {counted(model.config.num_labels, 'output')}, but the recipe says {outputs}"
        )
    return model


def check_complete(path: Path, missing: list[str]) -> None:
    """Raise IntegrityError if a file lacks weights of its model."""
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise IntegrityError(
            f"{path} lacks {', '.join(missing[:3])}{more}: the model would be scored with random weights"
        )


def _check_configuration(folder: Path, weights: str) -> None:
    """Raise UsageError for weights without a configuration of transformers."""
    if not (folder / CONFIG).is_file():
        raise UsageError(f"{folder / weights}: there is no {CONFIG} beside it, which describes a model of transformers")
    settings = read_json(folder / CONFIG)
    if "model_type" not in settings and "architecture" in settings:
        advice = f"write model: {{use: timm.create_model, model_name: {settings['architecture']}}}"
        raise UsageError(f"{folder / CONFIG} describes a model of timm, not of transformers; {advice}")


def _from_pretrained(
    auto_class: str, folder: Path, weights: str, attention: Attention | None, config_changes: Mapping[str, Any]
) -> tuple[Any, Mapping[str, Any]]:
    transformers = import_module("transformers")  # takes seconds, and `zoo check` needs only the signatures
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False, **config_changes)
    chosen = {} if attention is None else {"attn_implementation": attention}
    loaded: tuple[Any, Mapping[str, Any]] = getattr(transformers, auto_class).from_pretrained(
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
