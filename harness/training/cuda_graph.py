"""Capture the steps of a stage as CUDA graphs, where that is possible and changes no bit.

Why: a small model has hundreds of short kernels in a step, and a GPU waits for the Python code that launches them.

When: with `ZOO_CUDA_GRAPHS=1` on a CUDA device, in one process, for batches of one shape, a fused optimizer, and models
and losses of packages whose code keeps no state in Python. A few steps are tried first: without waiting for the device,
which a capture does not allow, and then as graphs. The graphs are used only if both ways end with the same bits, in
losses, parameters, optimizer and random generators. Then everything returns to where it was before the trial.

Effect: fewer launches. Such a stage reads its learning rates from tensors in fp32, also in steps without graphs.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from harness.training.batch_parts import labels_of
from harness.training.gradients import apply_gradients, gradients_of, update_parameters
from harness.training.snapshot import Snapshot
from harness.training.stage import ActiveStage
from harness.training.step_graph import Capture, StepGraph
from harness.training.teacher import LiveTeachers
from harness.training.training_run import TrainingRun
from zoo.device_memory import free_memory
from zoo.errors import first_line
from zoo.tasks.base import Batch, read_batch
from zoo.trusted_code import VERSION_TELLS_OUTPUTS, comes_from

STEPS = 3
"""The steps of a trial."""
FEWEST_STEPS = 50
"""A stage with fewer steps left is not worth a trial."""
SWITCH = "ZOO_CUDA_GRAPHS"
"""The environment variable that turns graphs on if it is 1. They are off by default until they have run on a card."""
WITHOUT_STATE = (*VERSION_TELLS_OUTPUTS, "harness")
"""Modules of these packages keep no state in Python that a step changes, and read none but their settings."""


def capture_on_cuda(function: Callable[[], None]) -> Callable[[], None]:
    """Return a function that launches the kernels of another one as a graph, as `torch.cuda.graph` documents."""
    graph, pool, stream = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph, pool=pool):
            function()
    except BaseException:
        _undo_capture(graph, pool, stream)
        raise
    return graph.replay


def _undo_capture(graph: torch.cuda.CUDAGraph, pool: Any, stream: torch.cuda.Stream) -> None:
    """Undo what versions of torch leave behind if a capture fails: its stream, memory and random generator.

    Otherwise later random numbers raise an error, and cached memory is never returned to the device.
    """
    torch.cuda.set_stream(stream)
    index = torch.cuda.current_device()
    with suppress(RuntimeError):
        graph.reset()
    with suppress(RuntimeError):  # raised if the capture has ended, or `reset` has ended it
        torch._C._cuda_endAllocateToPool(index, pool)
        torch._C._cuda_releasePool(index, pool)
    generator = torch.cuda.default_generators[index]
    generator.graphsafe_set_state(generator.clone_state())


CAPTURES: dict[str, Capture] = {"cuda": capture_on_cuda}
"""How kernels are captured, by the type of the device; other devices have no graphs."""


def is_capturable(run: TrainingRun, stage: ActiveStage) -> bool:
    """Return whether the steps of a stage can be tried as graphs. The answer is the same when a run is resumed."""
    live = stage.teachers if isinstance(stage.teachers, LiveTeachers) else None
    models = (stage.objective, *(live.models.values() if live else ()))
    return (
        run.device.type in CAPTURES
        and run.accelerator.num_processes == 1
        and run.options.micro_batch is None
        and stage.lengths is None
        and len(set(getattr(stage.split, "lengths", (0,)))) == 1  # texts of several lengths are padded to many shapes
        and labels_of(stage.split) is not None  # the images of a segmentation have several sizes
        and type(stage.optimizer) in (SGD, Adam, AdamW)
        and all(group["fused"] for group in stage.optimizer.param_groups)
        and not (live and live.splits)
        and all(map(_keeps_no_state, chain.from_iterable(model.modules() for model in models)))
    )


def rates_of(stage: ActiveStage, device: torch.device) -> list[Tensor]:
    """Return a tensor for the learning rate of each parameter group."""
    return [torch.zeros((), device=device) for _ in stage.optimizer.param_groups]


def can_try(run: TrainingRun, stage: ActiveStage, step: int) -> bool:
    """Return whether enough full batches follow in the epoch, and steps in the stage, and memory is left."""
    full_steps = len(stage.split) // stage.recipe.batch_size
    enough_steps = step % stage.steps_per_epoch + STEPS <= full_steps and step + FEWEST_STEPS <= stage.steps
    is_wanted = os.environ.get(SWITCH) == "1"
    return (
        is_wanted
        and enough_steps
        and stage.micro_batch is None
        and _peak_memory(run.device) <= free_memory(run.device) // 2
    )


def capture_step(run: TrainingRun, stage: ActiveStage, step: int) -> StepGraph | None:
    """Return the graphs of a step of the stage, or None, and a note, if they fail or give other bits than the step.

    Call it after some steps, when the optimizer has its state. The stage is not changed.

    Args:
        run: The training.
        stage: The stage; its learning rates are read from tensors.
        step: The next step, which starts the trial.
    """
    before, graph, problem = Snapshot(stage, run.device), None, ""
    try:
        with _side_stream(run.device):
            losses = _trial(run, stage, step, None)
        after = Snapshot(stage, run.device)
        before.restore()
        graph = _graph_of(run, stage, step)
        before.restore()
        if not (all(map(torch.equal, losses, _trial(run, stage, step, graph))) and after.is_current()):
            problem = "their results differ"
    except Exception as error:  # the steps without graphs follow, and raise what is not due to the trial
        problem = first_line(error.__context__ or error)  # the end of a capture that failed hides what it failed of
    before.restore()
    if problem:
        run.report(f"{run.recipe.name}: this stage runs without CUDA graphs: {problem}")
    return None if problem else graph


def _trial(run: TrainingRun, stage: ActiveStage, step: int, graph: StepGraph | None) -> list[Tensor]:
    """Take steps, and return their losses."""
    losses = []
    for number in range(step, step + STEPS):
        batch = read_batch(stage.split, stage.rows(number), run.device)
        with _without_waiting(run.device):
            of_step = gradients_of(run, stage, batch) if graph is None else graph.compute(batch)
            losses.append(torch.stack(list(of_step.values())))
            if graph is None:
                apply_gradients(stage)
            else:
                graph.apply()
            if stage.recipe.schedule_per == "step":
                stage.schedule.step()
    return losses


def _graph_of(run: TrainingRun, stage: ActiveStage, step: int) -> StepGraph:
    assert stage.rates is not None
    batch = read_batch(stage.split, stage.rows(step), run.device)

    def compute(batch: Batch) -> dict[str, Tensor]:
        return gradients_of(run, stage, batch)

    return StepGraph(
        batch, stage.optimizer, stage.rates, compute, lambda: update_parameters(stage), CAPTURES[run.device.type]
    )


def _keeps_no_state(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return comes_from(module, WITHOUT_STATE) and not any(hooks)


@contextmanager
def _side_stream(device: torch.device) -> Iterator[None]:
    """Launch kernels in a stream of their own, as the steps before a capture must be."""
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        torch.cuda.current_stream(device).wait_stream(stream)


@contextmanager
def _without_waiting(device: torch.device) -> Iterator[None]:
    """Raise RuntimeError for an operation that waits for the device, before a capture fails of it."""
    if device.type != "cuda":
        yield
        return
    before = torch.cuda.get_sync_debug_mode()
    _set_sync_debug_mode("error")
    try:
        yield
    finally:
        _set_sync_debug_mode(before)


def _set_sync_debug_mode(mode: int | str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype feature")
        torch.cuda.set_sync_debug_mode(mode)


def _peak_memory(device: torch.device) -> int:
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else 0
