"""Make a run's folder useful without this project: configuration and tokenizer, or code, beside the weights."""

import copy
import inspect
import shutil
from pathlib import Path
from typing import Any

from torch import nn

from harness.models.text_inputs import position_count
from zoo.tasks.base import Task
from zoo.tasks.splits import TextSplit
from zoo.tasks.tagged_words import TaggedWords
from zoo.tasks.word_tokens import with_prefix_space
from zoo.trusted_code import STANDALONE_FILES, comes_from

PROBLEM_TYPES = {
    "classification": "single_label_classification",
    "multilabel": "multi_label_classification",
    "regression": "regression",
}
"""The names of transformers for the kinds of tasks."""


def export(model: nn.Module, task: Task, tokenizer: Any, folder: Path) -> None:
    """Write the files into a run's folder that load the model without this project.

    For a model of transformers, these are the configuration, with the classes of the task, and the tokenizer, which
    `from_pretrained` reads. For another model of this project it is the file with its code, which imports only torch.

    Args:
        model: The trained model.
        task: The task that it was trained for.
        tokenizer: The recipe's tokenizer, or None.
        folder: The run's folder.
    """
    if not hasattr(getattr(model, "config", None), "save_pretrained"):
        if comes_from(model, STANDALONE_FILES):
            shutil.copy(str(inspect.getsourcefile(type(model))), folder)
        return
    config: Any = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    names = task.class_names or [f"LABEL_{number}" for number in range(config.num_labels)]
    if len(names) == config.num_labels:  # the names of a model that the training started from are wrong now
        config.id2label = dict(enumerate(names))
        config.label2id = {name: number for number, name in enumerate(names)}
    config.problem_type = PROBLEM_TYPES.get(task.kind)
    config.save_pretrained(folder)
    if hasattr(tokenizer, "save_pretrained"):
        tokenizer = copy.deepcopy(tokenizer)
        if any(isinstance(split, TaggedWords) for split in task.loaded.values()):
            tokenizer, _ = with_prefix_space(tokenizer)
        tokenizer.model_max_length = _longest_row(model, task, tokenizer)
        tokenizer.save_pretrained(folder)


def _longest_row(model: nn.Module, task: Task, tokenizer: Any) -> int:
    """Return the number of tokens that longer texts must be cut to: that of the task, or the model's positions."""
    lengths = [split.max_length for split in task.loaded.values() if isinstance(split, TextSplit)]
    return min(filter(None, [*lengths, position_count(model)]), default=tokenizer.model_max_length)
