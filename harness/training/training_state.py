"""The state of a training: it passes from stage to stage, and checkpoints save and restore it."""

from dataclasses import dataclass
from typing import Any

from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor

from harness.models.environment import environment
from harness.training.checkpointing import Checkpoint, CheckpointStore, rng_state, set_rng_state
from harness.training.deadline import Deadline
from harness.training.log import TrainingLog
from harness.training.row_order import steps_per_epoch
from harness.training.stage import ActiveStage
from harness.training.training_run import StateDicts, TrainingRun
from zoo.errors import UsageError, first_line


@dataclass(kw_only=True)
class TrainingState:
    """The values that a run passes from stage to stage and saves in every checkpoint."""

    store: CheckpointStore
    kept_parts: StateDicts
    """Terms and trained teachers that stages list in `keep`, until a later stage uses them."""
    last_epoch: dict[str, Tensor] | None
    micro_batch: int | None
    environments: list[dict[str, Any]]
    seconds: float
    """The seconds that the run took before it was resumed."""
    stage_generators: list[Checkpoint]
    """The random generators of every process when the current stage was built."""


def save_checkpoint(
    run: TrainingRun, state: TrainingState, log: TrainingLog, deadline: Deadline, **entries: Any
) -> None:
    """Save a checkpoint; every process calls this, and the main one writes.

    Raises:
        LockLostError: Another command has taken over the run.
    """
    with deadline.saving():
        if run.accelerator.is_main_process:
            run.check_lock()
            entries |= {"steps": log.step, "log": log.flush(), "log_sha256": log.digest}
            entries |= {"seconds": log.elapsed(), "epoch_losses": log.epoch_losses}
            names = ("kept_parts", "last_epoch", "micro_batch", "environments", "stage_generators")
            state.store.save({name: getattr(state, name) for name in names} | entries)


def resume(run: TrainingRun) -> tuple[Checkpoint, TrainingState]:
    """Return the newest checkpoint, empty for a new run, and the state to start from."""
    store = CheckpointStore(run.folder, run.report)
    newest = store.newest() if run.accelerator.is_main_process else None
    checkpoint: Checkpoint = broadcast_object_list([newest])[0] or {}
    current = environment(run.device)
    earlier = [other for other in checkpoint.get("environments", []) if other != current]
    if checkpoint:
        where = _position_of(run, checkpoint)
        run.report(f"{run.recipe.name}: resuming after step {checkpoint['steps']} of {run.steps}: {where}")
    return checkpoint, TrainingState(
        store=store,
        kept_parts=checkpoint.get("kept_parts", {}),
        last_epoch=checkpoint.get("last_epoch"),
        micro_batch=checkpoint.get("micro_batch", run.options.micro_batch),
        environments=[*earlier, current],
        seconds=checkpoint.get("seconds", 0.0),
        stage_generators=[],
    )


def _position_of(run: TrainingRun, checkpoint: Checkpoint) -> str:
    """Return in words where a checkpoint was saved."""
    number, step = checkpoint["stage"], checkpoint["step"]
    if number == len(run.recipe.stages):
        return "all steps are taken"
    epoch = step / steps_per_epoch(run.recipe.stages[number], run.splits[number])
    return run.position_text(number + 1, epoch)


def resume_stage(run: TrainingRun, stage: ActiveStage, checkpoint: Checkpoint) -> int:
    """Load a checkpoint within a stage, once; return the first step to take.

    Raises:
        UsageError: Another version of a loss or of torch saved the checkpoint.
    """
    first_step: int = checkpoint.pop("step", 0)
    if not first_step:
        return 0
    try:
        stage.load_state_dict(checkpoint)
    except (KeyError, ValueError, RuntimeError) as error:
        message = f"the checkpoint does not fit this version; delete the folder to start again: {first_line(error)}"
        raise UsageError(f"{run.folder}: {message}") from error
    set_rng_state(checkpoint["generators"][run.accelerator.process_index], run.device)
    return first_step


def all_generators(run: TrainingRun) -> list[Checkpoint]:
    """Return the random generators of every process."""
    local = [rng_state(run.device)]
    return gather_object(local) if run.accelerator.num_processes > 1 else local
