"""What a task is: splits of examples, how they are batched, and how predictions are read off logits.

A task is a frozen value that reads nothing until `load` is called. Two kinds of split cover what is in memory: tensors
(images, features) and texts. Anything else need only offer the same four members.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from zoo.errors import UsageError
from zoo.tasks.tokens import Tokens, tokenised

Inputs = Tensor | dict[str, Tensor]
Kind = Literal["classification", "multilabel", "regression", "segmentation"]
CPU = torch.device("cpu")
IGNORED = 255
"""The label of pixels that count for nothing."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some examples of a split.

    `inputs` is what the model is called with: one tensor `(B, ...)`, or keyword arguments of tensors `(B, ...)`.
    `labels` is `(B,)`: int64 classes or float32 targets; or `(B, C)`, float32, one for each class that a row has; or
    `(B, H, W)`, int64, the class of every pixel, 255 where none counts. `ids` is `(B,)` int64, the positions in the
    split.
    """

    inputs: Inputs
    labels: Tensor
    ids: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        if isinstance(self.inputs, Tensor):
            inputs: Inputs = self.inputs.to(device)
        else:
            inputs = {name: value.to(device) for name, value in self.inputs.items()}
        return Batch(inputs=inputs, labels=self.labels.to(device), ids=self.ids.to(device))


class Split(Protocol):
    """One split of a task's data, in a fixed order.

    One whose rows are the same at every call, with no random transform, may say so by an attribute `fixed = True`:
    what a teacher makes of them is then computed once.
    """

    @property
    def labels(self) -> Tensor:
        """Labels of all rows, `(N,)` or `(N, C)`; of a segmentation nobody asks for them."""
        ...

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        """The rows at `indices`, in that order, on a device; random transforms draw from the global generators."""
        ...

    def rows(self) -> Iterator[bytes]:
        """Every row's content in order, as bytes that do not depend on the platform: what a record hashes."""
        ...


@dataclass(frozen=True, kw_only=True)
class Task:
    """How examples are read, batched and scored.

    `splits` names every split and how to load it. `scored` names those whose labels are public: a record holds the
    `metrics` (names in `harness.metrics`) of each of them. `kind` says how logits become predictions.
    """

    name: str
    splits: Mapping[str, Callable[[], Split]]
    scored: tuple[str, ...]
    metrics: tuple[str, ...]
    kind: Kind = "classification"
    batch_size: int = 128
    """How many rows are scored at once."""
    sources: tuple[tuple[Any, str], ...] = ()
    """What the splits read from elsewhere: each a `zoo.fetch.sources.Source`, and what is wanted of it."""
    label_names: tuple[str, ...] = ()
    loaded: dict[str, Split] = field(default_factory=dict, compare=False, repr=False)
    contents: dict[str, Mapping[str, Any]] = field(default_factory=dict, compare=False, repr=False)

    def load(self, split: str) -> Split:
        """The split of that name, read at the first call.

        Raises UsageError for a name that is not in `splits`, and for a split without rows.
        """
        if split not in self.splits:
            raise UsageError(f"{self.name} has no split {split!r}; it has {', '.join(self.splits)}")
        if split not in self.loaded:
            found = self.splits[split]()
            if not len(found):
                raise UsageError(f"{self.name}: the split {split!r} has no rows")
            self.loaded[split] = found
        return self.loaded[split]

    def content(self, split: str) -> Mapping[str, Any]:
        """How many rows a split has, and the SHA-256 of them; read once."""
        if split not in self.contents:
            self.contents[split] = content(self.load(split))
        return self.contents[split]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes: `label_names`, else those that the data which were loaded declare."""
        declared = (getattr(split, "classes", ()) for split in self.loaded.values())
        return self.label_names or next(filter(None, declared), ())

    def check(self, logits: Tensor, labels: Tensor) -> None:
        """Raise UsageError for logits `(B, C)` that have not as many outputs as the task, or its labels, need."""
        outputs = logits.shape[1] if logits.dim() > 1 else 1
        expected = {"regression": 1, "multilabel": labels.shape[-1]}.get(self.kind, len(self.class_names) or outputs)
        if outputs != expected:
            raise UsageError(f"the model has {outputs} outputs, {self.name} needs {expected}")
        if self.kind == "classification" and len(labels) and int(labels.max()) >= outputs:
            raise UsageError(f"the model has {outputs} outputs, and {self.name} a label {int(labels.max())}")

    def predict(self, logits: Tensor) -> Tensor:
        """Predictions `(N,)` from logits `(N, C)`: the largest class, or the one value of a regression.

        Of a segmentation `(N, H, W)` from `(N, C, H, W)`. Of several labels `(N, C)`: those whose logits are above
        zero, that is whose probability is above one half.
        """
        if self.kind == "multilabel":
            return (logits > 0).long()
        return logits.squeeze(-1) if self.kind == "regression" else logits.argmax(dim=1)


@dataclass(frozen=True)
class TensorSplit:
    """A split held as one tensor of inputs `(N, ...)` and one of labels `(N,)`."""

    fixed: ClassVar[bool] = True
    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        at = torch.as_tensor(indices, dtype=torch.int64)
        return Batch(inputs=self.inputs[at], labels=self.labels[at], ids=at).to(device)

    def rows(self) -> Iterator[bytes]:
        for row, label in zip(self.inputs, self.labels, strict=True):
            yield row.contiguous().numpy().tobytes() + label.numpy().tobytes()


class TextSplit:
    """One text or a pair of texts a row, tokenised once and padded batch by batch to their longest row.

    `tokenizer` is a transformers tokenizer; rows longer than `max_length` tokens are cut, the longer text of a pair
    first. `labels` is `(N,)`, or `(N, C)` where a row has any number of C classes; `classes` are their names, where the
    data declare them.
    """

    fixed = True

    def __init__(
        self,
        texts: Sequence[tuple[str, ...]],
        labels: Tensor,
        *,
        tokenizer: Any,
        max_length: int = 128,
        classes: tuple[str, ...] = (),
    ) -> None:
        self.texts, self.labels, self.tokenizer, self.max_length = texts, labels, tokenizer, max_length
        self.classes = classes

    @cached_property
    def tokens(self) -> Tokens:
        """What the tokenizer makes of all rows, when it is first needed."""
        return tokenised(self.tokenizer, self.texts, self.max_length)

    @property
    def lengths(self) -> list[int]:
        """The number of tokens of every row."""
        return self.tokens.lengths

    def __len__(self) -> int:
        return len(self.texts)

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        at = torch.as_tensor(indices, dtype=torch.int64)
        return Batch(inputs=self.tokens.padded(at), labels=self.labels[at], ids=at).to(device)

    def rows(self) -> Iterator[bytes]:
        for texts, label in zip(self.texts, self.labels.tolist(), strict=True):
            yield "\t".join([*map(_escaped, texts), str(label)]).encode()


def _escaped(text: str) -> str:
    """Without tabs, so that those between texts are told from those within."""
    return text.replace("\\", "\\\\").replace("\t", "\\t")


def content(split: Split) -> Mapping[str, Any]:
    """How many rows a split has, and the SHA-256 of them."""
    return {"rows": len(split), "sha256": content_hash(split)}


def content_hash(split: Split) -> str:
    """SHA-256 over the split's rows in order, each preceded by its length."""
    digest = hashlib.sha256()
    for row in split.rows():
        digest.update(len(row).to_bytes(8, "big") + row)
    return digest.hexdigest()
