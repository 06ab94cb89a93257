"""A batch of made rows for the task of a recipe, and small models for texts, whose published ones are too large."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from zoo.importers.torchdistill.model import Model
from zoo.recipes.schema import Recipe
from zoo.tasks.base import IGNORED, Batch

ROWS, TOKENS, VOCABULARY = 4, 12, 64
CIFAR_SIDE, IMAGE_SIDE = 32, 224
SEED = 20260101


@dataclass(frozen=True, kw_only=True)
class MadeBatch:
    """One batch, as zoo's objective and torchdistill's loops take it."""

    batch: Batch
    their_inputs: Any
    """A tensor of images, or the arguments of a model of texts, with the labels."""
    their_targets: Tensor | None
    """The labels that the losses get; None for texts."""

    def to(self, dtype: torch.dtype) -> "MadeBatch":
        """Return the batch with all floating-point tensors in a dtype."""
        theirs = self.their_inputs
        return MadeBatch(
            batch=Batch(inputs=_cast(self.batch.inputs, dtype), labels=_cast(self.batch.labels, dtype),
                        ids=self.batch.ids),
            their_inputs=_cast(theirs, dtype),
            their_targets=None if self.their_targets is None else _cast(self.their_targets, dtype),
        )  # fmt: skip


def make_batch(recipe: Recipe, student: Model, *, rotations: int = 1) -> MadeBatch:
    """Return a batch of `ROWS` rows: images in the size of the transforms, or token ids.

    Args:
        recipe: The recipe.
        student: Its student.
        rotations: The images of a row, for losses that compare rotated images.
    """
    generator = torch.Generator().manual_seed(SEED)
    labels = _labels(student, generator)
    ids = torch.arange(ROWS)
    if student.family == "text":
        tokens = torch.randint(1, VOCABULARY, (ROWS, TOKENS), generator=generator)
        inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
        inputs["attention_mask"][0, TOKENS // 2 :] = 0
        batch = Batch(inputs=inputs, labels=labels, ids=ids)
        return MadeBatch(batch=batch, their_inputs={**inputs, "labels": labels}, their_targets=None)
    side = CIFAR_SIDE if student.family == "cifar" else _side(recipe)
    images = torch.randn(ROWS * rotations, 3, side, side, generator=generator)
    if student.family == "segmentation":
        labels = torch.randint(0, student.num_classes, (ROWS, side, side), generator=generator)
        labels[:, :2] = IGNORED
    theirs = images.reshape(ROWS, rotations, *images.shape[1:]) if rotations > 1 else images
    return MadeBatch(batch=Batch(inputs=images, labels=labels, ids=ids), their_inputs=theirs, their_targets=labels)


def _labels(student: Model, generator: torch.Generator) -> Tensor:
    if student.problem_type:
        return torch.randint(0, 2, (ROWS, student.num_classes), generator=generator).float()
    if student.num_classes == 1:
        return torch.rand(ROWS, generator=generator) * 5
    return torch.randint(0, student.num_classes, (ROWS,), generator=generator)


def _side(recipe: Recipe) -> int:
    """Return the side to which the transforms crop images."""
    sizes = [call.args["size"] for call in recipe.task.args.get("train_transforms", ()) if "size" in call.args]
    size = sizes[-1] if sizes else IMAGE_SIDE
    return int(size[0] if isinstance(size, list) else size)


def small_text_model(model: Model) -> nn.Module:
    """Return a small BERT with random weights and the outputs of a model: the losses read nothing else of it."""
    transformers: Any = import_module("transformers")
    config = transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=TOKENS, num_labels=model.num_classes, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, initializer_range=0.5, problem_type=model.problem_type or None,
    )  # fmt: skip
    made: nn.Module = transformers.BertForSequenceClassification(config)
    return made


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, dict):
        return {name: _cast(part, dtype) for name, part in value.items()}
    return value.to(dtype) if value.is_floating_point() else value
