"""A step of a training whose kernels are repeated with new rows, in place of the Python code that launches them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from zoo.tasks.base import Batch

Capture = Callable[[Callable[[], None]], Callable[[], None]]
"""Records the kernels that a function launches, and returns a function that launches them again."""


class StepGraph:
    """The kernels of a step, as two graphs: the gradients of a batch, and the optimizer's step.

    They read and write tensors with fixed addresses: the batch, the learning rates, the losses, the gradients, and all
    that `Snapshot` restores. Between the two graphs the losses can be read.

    Args:
        batch: A batch of the shapes that all batches of the graph have.
        optimizer: The optimizer. Its learning rates may change, its other settings may not.
        rates: The learning rate of each parameter group, as a tensor.
        compute: Computes the losses of a batch by term, and its gradients, which are None before.
        apply: Takes the step of the optimizer, and sets the gradients to None.
        capture: Records both.
    """

    def __init__(
        self,
        batch: Batch,
        optimizer: Optimizer,
        rates: Sequence[Tensor],
        compute: Callable[[Batch], dict[str, Tensor]],
        apply: Callable[[], None],
        capture: Capture,
    ) -> None:
        self.optimizer, self.rates, self._settings = optimizer, rates, _settings_of(optimizer)
        self._batch, self._names, self._losses = _copy_of(batch), list[str](), torch.empty(0)
        self.is_pending = False
        """Whether gradients are computed that the optimizer has not yet used."""

        def record_losses() -> None:
            losses = compute(self._batch)
            self._names, self._losses = list(losses), torch.stack(list(losses.values()))

        optimizer.zero_grad()
        self._compute = capture(record_losses)
        with tensor_rates(optimizer, rates, capturable=True):
            self._apply = capture(apply)

    def fits(self, batch: Batch) -> bool:
        """Return whether a batch has the shapes of the graph, and the optimizer its settings."""
        pairs = list(zip(_tensors_of(batch), _tensors_of(self._batch), strict=False))
        is_same = len(_tensors_of(batch)) == len(pairs) and all(
            new.shape == old.shape and new.dtype == old.dtype for new, old in pairs
        )
        return is_same and _settings_of(self.optimizer) == self._settings

    def compute(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of a batch that fits, and its gradients."""
        for new, old in zip(_tensors_of(batch), _tensors_of(self._batch), strict=True):
            old.copy_(new)
        self._compute()
        self.is_pending = True
        return dict(zip(self._names, self._losses.clone(), strict=True))

    def apply(self) -> None:
        """Let the optimizer take its step with the gradients of the last batch."""
        with tensor_rates(self.optimizer, self.rates, capturable=True):
            self._apply()
        self.is_pending = False


@contextmanager
def tensor_rates(optimizer: Optimizer, rates: Sequence[Tensor], *, capturable: bool = False) -> Iterator[None]:
    """Let an optimizer read its learning rates from tensors inside the `with` block, as graphs do.

    The kernels may round differently from those for a number, so a stage reads all its rates in the same way.

    Args:
        optimizer: The optimizer.
        rates: A tensor for each parameter group, which is filled with the group's learning rate.
        capturable: Whether the optimizer may assume that its step is captured.
    """
    groups = optimizer.param_groups
    before: list[dict[str, Any]] = [
        {name: group[name] for name in ("lr", "capturable") if name in group} for group in groups
    ]
    for group, rate in zip(groups, rates, strict=True):
        rate.fill_(group["lr"])
        group.update({"lr": rate} | ({"capturable": True} if capturable and "capturable" in group else {}))
    try:
        yield
    finally:
        for group, values in zip(groups, before, strict=True):
            group.update(values)


def _settings_of(optimizer: Optimizer) -> list[dict[str, Any]]:
    """Return the settings that a graph contains as numbers: all but the learning rates."""
    return [
        {name: value for name, value in group.items() if name not in ("params", "lr", "initial_lr")}
        for group in optimizer.param_groups
    ]


def _tensors_of(batch: Batch) -> list[Tensor]:
    inputs = [batch.inputs] if isinstance(batch.inputs, Tensor) else [*batch.inputs.values()]
    return [*inputs, batch.labels, batch.ids]


def _copy_of(batch: Batch) -> Batch:
    inputs = batch.inputs
    copied = inputs.clone() if isinstance(inputs, Tensor) else {name: value.clone() for name, value in inputs.items()}
    return Batch(inputs=copied, labels=batch.labels.clone(), ids=batch.ids.clone())
