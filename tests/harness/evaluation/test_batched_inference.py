"""Batches, threads and processes change the speed of an evaluation and none of its results."""

import time
from threading import Lock, get_ident
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.evaluation.batch_limits import AdaptiveLimits, BatchLimits
from harness.evaluation.batched_inference import map_batches, threads_for
from harness.evaluation.split_runner import SplitRunner
from harness.models.environment import accelerator_on
from harness.models.rounding import rounding_tolerance, terms_of
from harness.runs.experiment import Experiment
from tests.helpers.device import device
from zoo.models import cifar_resnet
from zoo.tasks.splits import TensorSplit, TextSplit


@pytest.mark.parametrize(("tokens", "threads"), [(1, 1), (300, 1), (300, 3), (10**6, 2)])
def test_evaluation_does_not_depend_on_batches_and_threads(
    tokens: int, threads: int, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_split = experiment.task.load("test")
    assert isinstance(test_split, TextSplit)
    split = TextSplit(test_split.texts[:150], test_split.labels[:150], tokenizer=test_split.tokenizer)
    model, accelerator = experiment.published_model()[0].eval(), experiment.context.accelerator
    model.to(accelerator.device)
    with torch.no_grad():
        rows = [split.batch([row], accelerator.device) for row in range(len(split))]
        row_by_row = torch.cat([model(**row.inputs).logits for row in rows]).cpu()  # type: ignore[arg-type]
    monkeypatch.setattr("harness.evaluation.split_runner.threads_for", lambda model, device: threads)
    threads_before = torch.get_num_threads()
    limits = BatchLimits(rows=128, tokens=tokens)
    outputs = SplitRunner(model, experiment.task, accelerator, limits=limits).outputs(split)
    assert torch.get_num_threads() == threads_before
    allowed = rounding_tolerance(torch.float32, terms_of(model), float(row_by_row.abs().max()))
    torch.testing.assert_close(outputs, row_by_row, rtol=0, atol=allowed)
    assert torch.equal(outputs.argmax(1), row_by_row.argmax(1))


def test_only_models_of_known_packages_run_in_several_threads(experiment: Experiment) -> None:
    cpu = torch.device("cpu")
    assert threads_for(cifar_resnet(depth=8, width=16, num_classes=10), cpu) == torch.get_num_threads()
    assert threads_for(experiment.published_model()[0], cpu) == torch.get_num_threads()
    assert threads_for(nn.Flatten(), cpu) == 1
    assert threads_for(experiment.published_model()[0], torch.device("cuda")) == 1


def test_an_error_in_a_thread_is_raised_and_the_number_of_threads_is_restored() -> None:
    def fail(batch: Any) -> Tensor:
        raise ValueError("no such row")

    before, split = torch.get_num_threads(), TensorSplit(torch.zeros(9, 1), torch.zeros(9))
    with pytest.raises(ValueError, match="no such row"):
        map_batches(split, fail, accelerator_on(device()), limits=AdaptiveLimits(BatchLimits(rows=2)), threads=2)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("fixed", [True, False])
def test_one_thread_at_a_time_reads_a_split_and_random_splits_are_read_in_order(fixed: bool) -> None:
    read_lock, order = Lock(), []

    class WatchedSplit(TensorSplit):
        def batch(self, rows: Any, device: Any = None) -> Any:
            assert read_lock.acquire(blocking=False), "another thread is reading"
            time.sleep(0.002)
            order.append(rows[0])
            read_lock.release()
            return super().batch(rows)

    split, thread_ids = WatchedSplit(torch.zeros(40, 1), torch.zeros(40)), set()
    split.fixed = fixed
    map_batches(
        split,
        lambda batch: thread_ids.add(get_ident()),
        accelerator_on(device()),
        limits=AdaptiveLimits(BatchLimits(rows=2)),
        threads=3,
    )
    assert sorted(order) == list(range(0, 40, 2))
    assert fixed or (order == sorted(order) and thread_ids == {get_ident()})
