"""The interface of a task: named splits of rows, batches of them, and predictions from logits.

A task is a value that reads nothing until `Task.load` is called. `zoo.tasks.splits` has splits for data that fit in
memory. For other data, write a class with the four members of `Split`. To add a task, write a function that
returns a `Task`; `zoo/tasks/digits.py` is the shortest example.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from zoo.class_names import match_labels
from zoo.errors import OutputsError, UsageError
from zoo.tasks.device_copies import move
from zoo.tasks.readout import Readout
from zoo.tasks.thresholds import HALF, log_odds
from zoo.text_tables import counted

Inputs = Tensor | dict[str, Tensor]
Kind = Literal["classification", "multilabel", "regression", "segmentation", "structured"]
"""How logits become predictions, see `Task.predict`. A "structured" task has a `Readout` of its own."""
CPU = torch.device("cpu")
SPLIT_NAME = re.compile(r"(?!\.)[^/\\\x00-\x1f]{1,200}")
IGNORED = 255
"""The label of pixels that losses and metrics ignore (PyTorch's `ignore_index`)."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch of B rows of a split.

    Attributes:
        inputs: The arguments of the model: one tensor `(B, ...)`, or a dict of keyword arguments, each `(B, ...)`.
        labels: By kind of task: `(B,)` int64 class numbers; `(B,)` float32 targets of a regression; `(B, C)` float32
            zeros and ones (multilabel); `(B, H, W)` int64 class numbers of pixels, 255 where a pixel is ignored;
            `(B, L)` int64 class numbers of tokens, -100 where a token has none.
        ids: The positions of the rows in the split, `(B,)` int64.
    """

    inputs: Inputs
    labels: Tensor
    ids: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        if isinstance(self.inputs, Tensor):
            inputs: Inputs = move(self.inputs, device)
        else:
            inputs = {name: move(value, device) for name, value in self.inputs.items()}
        return Batch(inputs=inputs, labels=move(self.labels, device), ids=move(self.ids, device))


class Split(Protocol):
    """One split of a data set, with its rows in a fixed order.

    A split may have these attributes as well:

    - `fixed = True`: a row is the same at every call, because no transform is random. The outputs of a teacher are then
      computed once, and batches are prepared in several threads. Without the attribute a split counts as random.
    - `classes`: the names of the classes, as the data set declares them.
    - `class_notes`: sentences about how these names were found, which zoo reports as findings.
    - `notes`: sentences about how the rows are read, which zoo reports as findings.
    - `rows_of(positions)`: what `rows` yields for some rows alone, if reading the others takes long.
    - `lengths`: the number of tokens of every row. Rows of similar length are then put into the same batch.
    - `example_count` and `of_examples(numbers)`: the number of examples, and the split of some of them, if several rows
      belong to one example, such as the parts of a long text to one question. `rows` yields the examples then.
    - `example_groups`: for each example, the number of its group, from 0. A hold-out takes whole groups, such as all
      questions about one text, because a model that learned from one of them knows the text.
    """

    @property
    def labels(self) -> Tensor:
        """The labels of all N rows, `(N,)` or `(N, C)`. A split of a segmentation task may raise UsageError."""
        ...

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        """Return the rows at `indices`, in that order. Random transforms draw from torch's global generators."""
        ...

    def rows(self) -> Iterator[bytes]:
        """Yield the content of every row in order, as bytes that are the same on every platform.

        A record of a run holds the SHA-256 of these bytes, so that two runs can be compared only on the same data.
        """
        ...


def read_batch(split: Split, indices: Sequence[int], device: torch.device = CPU) -> Batch:
    """Return the rows at `indices`. Raises UsageError if `split`, which may be a user's, returns no `Batch`."""
    batch: object = split.batch(indices, device)
    if not isinstance(batch, Batch):
        name = f"{type(split).__name__}.batch"
        raise UsageError(f"{name} returned a {type(batch).__name__}; it must return a zoo.tasks.base.Batch")
    return batch


@dataclass(frozen=True, kw_only=True)
class Task:
    """How the rows of a data set are read, batched and scored.

    Attributes:
        name: The name in messages and records.
        splits: The names of all splits, each with the function that loads it.
        scored: The splits that are evaluated. Their labels must be public.
        metrics: The metrics of every scored split, names in `harness.metrics`. The first one selects checkpoints.
        kind: How logits become predictions, see `predict`.
        batch_size: How many rows are evaluated at once.
        sources: What the splits read: pairs of a `zoo.fetch.sources.Source` and what to fetch of it, such as "data".
        label_names: The names of the classes in the order of the model's outputs. Leave it empty to use the names that
            the data declare.
        hub_type: The Hub's name for the type of the task, if neither the kind nor the inputs decide it.
        readout: For segmentations and structured predictions, what turns logits into the arrays that metrics read.
        plain: For splits with random transforms, the functions that load them without; a hold-out reads its rows so.
        threshold: Of a multilabel task, the probability above which a label is predicted; None if it is to be chosen
            by the scores on `threshold_from`.
        threshold_from: The split that the threshold was chosen on, or is to be; empty if it was not chosen by scores.
        subsets: For splits of which only some rows are read, the functions that say which: `rows`, as a recipe names
            them, or the number of `classes`, and the number of rows that the whole split has, `of`.
        located: Makes a context that adds the position in a recipe to errors about the data. Leave it out.
        loaded: Cache of `load`. Leave it out.
        contents: Cache of `content`. Leave it out.
    """

    name: str
    splits: Mapping[str, Callable[[], Split]]
    scored: tuple[str, ...]
    metrics: tuple[str, ...]
    kind: Kind = "classification"
    batch_size: int = 128
    sources: tuple[tuple[Any, str], ...] = ()
    label_names: tuple[str, ...] = ()
    hub_type: str = ""
    readout: Readout | None = None
    plain: Mapping[str, Callable[[], Split]] = field(default_factory=dict)
    threshold: float | None = HALF
    threshold_from: str = ""
    subsets: Mapping[str, Callable[[], Mapping[str, Any]]] = field(default_factory=dict)
    located: Callable[[], AbstractContextManager[None]] = field(default=nullcontext, compare=False, repr=False)
    loaded: dict[str, Split] = field(default_factory=dict, compare=False, repr=False)
    contents: dict[str, Mapping[str, Any]] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Raise UsageError for a class that is listed twice, a wrong name of a split, or a missing readout."""
        twice = next((name for name, count in Counter(self.label_names).items() if count > 1), None)
        if twice is not None:
            raise UsageError(f"{self.name}: the class {twice!r} is listed twice")
        for split in self.splits:
            if not SPLIT_NAME.fullmatch(split):
                raise UsageError(f"{split!r} cannot be the name of a split: it has no slash, and no dot at the start")
        if self.readout is None and self.kind in ("segmentation", "structured"):
            example = "zoo.tasks.pixel_counts.PixelCounts()"
            raise UsageError(f"{self.name}: a task of the kind {self.kind!r} needs a readout, such as {example}")

    def load(self, split: str) -> Split:
        """Return a split by name. The first call reads the data.

        Raises:
            UsageError: `splits` does not have this name, or its value is not a split, or has no rows, or it declares
                its classes in another order than a split that is loaded.
        """
        if split not in self.loaded:
            with self.located():
                self.loaded[split] = self._load(split)
        return self.loaded[split]

    def content(self, split: str) -> Mapping[str, Any]:
        """Return the number of rows of a split and their SHA-256, computed at the first call."""
        if split not in self.contents:
            self.contents[split] = content(self.load(split))
        return self.contents[split]

    def scoring(self, split: str) -> Mapping[str, Any]:
        """Return how a split is scored: the subset of its rows, and a multilabel task's threshold.

        It is empty for a whole split of another task.
        """
        subset = self.subsets[split]() if split in self.subsets else {}
        if self.kind != "multilabel" or self.threshold is None:
            return subset
        chosen = {"threshold_from": self.threshold_from} if self.threshold_from else {}
        return {**subset, "threshold": self.threshold, **chosen}

    @property
    def cut(self) -> float:
        """The logit above which a label of a multilabel task is predicted; 0 for any other task."""
        return log_odds(self.threshold)

    def _load(self, split: str) -> Split:
        if split not in self.splits:
            raise UsageError(f"{self.name} has no split {split!r}; it has {', '.join(self.splits)}")
        loaded = self.splits[split]()
        if not all(hasattr(loaded, member) for member in ("batch", "rows", "__len__")):
            raise UsageError(f"{self.name}: the split {split!r} is a {type(loaded).__name__}, not a Split")
        if not len(loaded):
            raise UsageError(f"{self.name}: the split {split!r} has no rows")
        self._check_order(split, tuple(getattr(loaded, "classes", ())))
        return loaded

    def _check_order(self, split: str, classes: tuple[str, ...]) -> None:
        """Raise UsageError for other classes than those of a loaded split, unless `label_names` fixes their order."""
        for name, loaded in self.loaded.items() if classes and not self.label_names else ():
            fewer, more = sorted((classes, tuple(getattr(loaded, "classes", ()) or classes)), key=len)
            match = match_labels(fewer, more, side=f"the split {split!r}", other=f"the split {name!r}")
            if match.positions != tuple(range(len(fewer))):
                listed = f"{', '.join(classes)}, but {name!r} in the order {', '.join(loaded.classes)}"  # type: ignore[attr-defined]
                raise UsageError(
                    f"{self.name}: the split {split!r} declares the classes {listed}; list them in `classes`"
                )

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes: `label_names`, or else the names that a loaded split declares, or else none."""
        declared = (getattr(split, "classes", ()) for split in self.loaded.values())
        return self.label_names or next(filter(None, declared), ())

    @property
    def class_notes(self) -> tuple[str, ...]:
        """The notes of the loaded splits on how the names of their classes were matched."""
        notes = (note for split in self.loaded.values() for note in getattr(split, "class_notes", ()))
        return tuple(dict.fromkeys(notes))

    def check(self, logits: Tensor, labels: Tensor) -> None:
        """Check that the outputs of a model fit the task and its labels.

        Args:
            logits: `(B, C)`, or `(B,)` for one output; other shapes for tasks with a readout.
            labels: The labels of the same rows.

        Raises:
            OutputsError: The number of outputs is not the number that the task or the labels need.
        """
        if self.readout is not None:
            self.readout.check(self, logits, labels)
            return
        self.check_outputs(outputs := logits.shape[1] if logits.dim() > 1 else 1, labels)
        if self.kind == "classification" and len(labels) and (label := int(labels.max())) >= outputs:
            raise OutputsError(
                f"the model has {counted(outputs, 'output')}, but {self.name} has a row with label {label};"
                f" it needs at least {label + 1} outputs"
            )

    def check_outputs(self, outputs: int, labels: Tensor) -> None:
        """Raise OutputsError if a model has another number of outputs than the task has classes or numbers."""
        expected = {"regression": 1, "multilabel": labels.shape[-1]}.get(self.kind, len(self.class_names) or outputs)
        if outputs != expected:
            raise OutputsError(f"the model has {counted(outputs, 'output')}, but {self.needs(expected)}")

    def needs(self, outputs: int) -> str:
        """Return what the task needs, and why, for a message about a model with another number of outputs."""
        if self.kind == "regression":
            return f"{self.name} needs 1, the predicted number"
        names = self.class_names
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        remedy = "change the model's number of outputs, or the task's `classes`"
        return f"{self.name} needs {outputs}, one for each class: {shown}; {remedy}"

    def predict(self, logits: Tensor) -> Tensor:
        """Turn logits into predictions.

        Args:
            logits: `(N, C)`; for a segmentation `(N, C, H, W)`.

        Returns:
            By kind: "classification" the class with the largest logit, `(N,)`; "regression" the only output, `(N,)`;
            "multilabel" `(N, C)` with 1 where the probability is above `threshold`, by default one half;
            "segmentation" the class with the largest logit of every pixel, `(N, H, W)`.
        """
        if self.kind == "multilabel":
            return (logits > logits.new_tensor(self.cut)).long()
        return logits.squeeze(-1) if self.kind == "regression" else logits.argmax(dim=1)


def content(split: Split) -> Mapping[str, Any]:
    """Return the number of examples of a split and the SHA-256 of its content."""
    return {"rows": getattr(split, "example_count", len(split)), "sha256": content_hash(split)}


def default_scored(splits: Sequence[str]) -> tuple[str, ...]:
    """Return the splits that a task scores by default: all but `train`, validation splits first, then by name.

    The order does not depend on that of `splits`, because the digest of a recipe does not either. The first one
    selects the best epoch, which should not be the test split.
    """
    others = [name for name in splits if name != "train"]
    return tuple(sorted(others, key=lambda name: (not name.lower().startswith(("val", "dev")), name)))


def content_hash(split: Split) -> str:
    """Return the SHA-256 over all rows in order, each after its length as 8 bytes."""
    digest = hashlib.sha256()
    for row in split.rows():
        if not isinstance(row, bytes):
            raise UsageError(f"{type(split).__name__}.rows must yield bytes, not {type(row).__name__}")
        digest.update(len(row).to_bytes(8, "big") + row)
    return digest.hexdigest()
