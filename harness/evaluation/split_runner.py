"""Run a model over whole splits of a task, in batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor, nn

from harness.evaluation.batch_limits import AdaptiveLimits, BatchLimits
from harness.evaluation.batched_inference import in_order, limits_for, map_batches, map_shares, threads_for
from harness.evaluation.batching import lengths_of
from harness.evaluation.fast_path import disagreements, near_ties, sample_rows
from harness.evaluation.strict import FixedBatchWork, fixed_batches, padded_length_for, relative_work, strict_limits
from harness.metrics import Array
from harness.models.detector_classes import check_classes
from harness.models.environment import autocast
from harness.models.memory_format import place_model
from harness.models.outputs import run_model
from harness.models.text_inputs import depends_on_padding, fit_to_texts
from zoo.progress import Step, ignore_step
from zoo.recipes.claim import Precision
from zoo.tasks.base import Batch, Split, Task
from zoo.tasks.readout import Readout

MOST_ON_DEVICE = 2**26
"""With more logits than this, 256 MiB, those of a finished batch are moved to the CPU."""
Inference = Mapping[str, Any]
"""How outputs were computed, as plain data for the record of a run."""


@dataclass(frozen=True)
class SplitRunner:
    """Runs a model over whole splits of a task, in `eval()` mode unless `train_mode` is set."""

    model: nn.Module
    task: Task
    accelerator: Accelerator
    precision: Precision = "fp32"
    progress: Step = ignore_step
    learning: bool = False
    """Whether the model is trained further. If so, `no_grad` replaces `inference_mode`, because tensors that the model
    stores during a forward pass may take part in the next training step."""
    rows: str = "the split"
    """Describes the rows in messages."""
    strict: bool = False
    """Whether the results of a row must not depend on other rows, to the last bit; see `harness.evaluation.strict`."""
    limits: BatchLimits | None = None
    """The most rows and tokens of a batch; None to choose them by the task and the device."""
    train_mode: bool = False
    """Whether dropout and the statistics of batches are active, which no evaluation wants; see `zoo explain`."""

    def outputs(self, split: Split) -> Tensor:
        """Return the logits `(N, C)` for all rows of a split. Raises UsageError if they do not fit the task."""
        return self._outputs(split)[0]

    def checked_outputs(self, split: Split) -> tuple[Tensor, Inference]:
        """Return the logits of `outputs` and how they were computed, after a comparison with a strict evaluation.

        They are compared on devices other than the CPU. If predictions differ that are no near-ties, all logits are
        those of a strict evaluation.
        """
        logits, inference = self._outputs(split)
        cut = self.task.cut
        ties = near_ties(logits - cut, self.task.kind, self.precision)
        if self.task.kind != "regression":
            inference = {**inference, "near_ties": int(ties.sum())}
        if self.strict or self.learning or not needs_check(self.accelerator.device):
            return logits, inference
        strictly, rows = replace(self, strict=True), sample_rows(ties)
        strict_logits, _ = replace(strictly, progress=ignore_step)._run(split, self._logits, rows)
        differing = disagreements(logits[rows] - cut, strict_logits - cut, self.task.kind, self.precision)
        compared = {"compared": len(rows), "differing": differing}
        if not differing:
            return logits, {**inference, **compared}
        logits, inference = strictly.checked_outputs(split)
        return logits, {**inference, **compared}

    def arrays(self, split: Split, readout: Readout) -> tuple[dict[str, Array], Inference]:
        """Return the arrays that a task's readout makes of all rows of a split, and how they were computed.

        `not_finite` `(N,)` marks examples whose outputs are NaN or infinite, if there are any. Raises UsageError if the
        outputs do not fit the task.
        """

        def read(logits: Tensor, batch: Batch) -> Tensor:
            readout.check(self.task, logits, batch.labels)
            values = readout.read(logits, batch)
            is_finite = torch.isfinite(logits.reshape(len(logits), -1)).all(dim=1)
            marks = is_finite.reshape(-1, *[1] * (values.dim() - 1)).expand_as(values)
            return torch.stack([values, marks.to(values.dtype)], dim=1)

        pairs, inference = self._run(split, read)
        rows, is_finite = pairs[:, 0].numpy(), pairs[:, 1].reshape(len(pairs), -1)[:, 0].bool().numpy()
        arrays = dict(readout.arrays(rows, split))
        return arrays | marked(readout.examples_of(~is_finite, split)), inference

    def _outputs(self, split: Split) -> tuple[Tensor, Inference]:
        logits, inference = self._run(split, self._logits)
        self.task.check(logits, split.labels)
        return logits, inference

    def _logits(self, logits: Tensor, batch: Batch) -> Tensor:
        return logits

    def _run(
        self, split: Split, function: Callable[[Tensor, Batch], Tensor], rows: Sequence[int] | None = None
    ) -> tuple[Tensor, Inference]:
        """Return the function of logits and batch for all rows of a split, on the CPU, and how it was computed.

        Args:
            split: The split.
            function: Returns one tensor `(B, ...)` for a batch.
            rows: The rows of a strict evaluation; None for all of them.
        """
        device, processes = self.accelerator.device, self.accelerator.num_processes
        place_model(self.model, device, self.precision).train(self.train_mode)
        fit_to_texts(self.model, split, self.rows)
        check_classes(self.model, split, self.rows)

        def run_batch(batch: Batch) -> Tensor:
            with torch.no_grad() if self.learning else torch.inference_mode():
                with autocast(device, self.precision):
                    logits = run_model(self.model, batch.inputs).logits.float()
                result = function(logits, batch)
            # without a copy for each batch, the CPU prepares the next one while the GPU computes
            stays = processes == 1 and result[:1].numel() * len(split) <= MOST_ON_DEVICE
            return result if stays else result.cpu()

        if self.strict:
            return self._run_strictly(split, run_batch, range(len(split)) if rows is None else rows)
        limits = limits_for(split, self.task.batch_size, self.accelerator, fixed=self.learning)
        if self.limits is not None:
            limits = AdaptiveLimits(self.limits, lengths_of(split))
        results = map_batches(
            split,
            run_batch,
            self.accelerator,
            self.progress,
            limits,
            1 if self.train_mode else threads_for(self.model, device),
            equal_lengths=depends_on_padding(self.model),
        )
        return in_order(results), {"batch": limits.limits.data(of_texts=lengths_of(split) is not None)}

    def _run_strictly(
        self, split: Split, function: Callable[[Batch], Tensor], rows: Sequence[int]
    ) -> tuple[Tensor, Inference]:
        """Compute rows in batches of fixed shapes. If one does not fit in memory, all are computed with half its rows.

        The number of threads does not depend on the number of batches, because the last digits depend on it.
        """
        device, padded_length = self.accelerator.device, padded_length_for(self.model, split)
        work, limits = FixedBatchWork(split, function, device, Lock()), strict_limits(device, self.task, split)
        threads = threads_for(self.model, device) if getattr(split, "fixed", False) else 1
        while True:
            batches = fixed_batches(split, rows, padded_length, limits)
            try:
                results = map_shares(batches, work, self.accelerator, self.progress, threads, total=len(rows))
                break
            except RuntimeError as error:
                is_smallest = all(batch.size == 1 for batch in batches) or self.accelerator.num_processes > 1
                if is_smallest or not should_reduce_batch_size(error):
                    raise
            clear_device_cache(garbage_collection=True)
            limits = BatchLimits(rows=max(limits.rows // 2, 1), tokens=max(limits.tokens // 2, 1))
        place = {row: position for position, row in enumerate(rows)}
        in_place = in_order(([place[row] for row in batch_rows], value) for batch_rows, value in results)
        limit = limits.data(of_texts=lengths_of(split) is not None)
        return in_place, {"batch": limit, "strict": True, "computed": relative_work(split, batches)}


def marked(not_finite: Array) -> dict[str, Array]:
    """Return the array that marks examples whose outputs are not finite, or nothing if there are none."""
    return {"not_finite": not_finite} if not_finite.any() else {}


def needs_check(device: torch.device) -> bool:
    """Return whether fast evaluations on a device are compared with strict ones."""
    return device.type != "cpu"
