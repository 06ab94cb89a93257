"""The stages of a training: loaders, models, criterion and optimizer."""

import math
from collections.abc import Sequence
from typing import Any

from zoo.importers.torchdistill.architectures import FROZEN, covers, trainable_parts
from zoo.importers.torchdistill.criteria import convert_criterion, loss_keys
from zoo.importers.torchdistill.features import FeatureReader
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import Item
from zoo.importers.torchdistill.loaders import check_loader, drops_last, rows_of
from zoo.importers.torchdistill.model import Model
from zoo.importers.torchdistill.optimization import Invocation, Length, convert_optimizer, convert_schedule
from zoo.importers.torchdistill.stage_configs import StageConfig, check_frozen, check_keys, check_loop
from zoo.importers.torchdistill.tasks import TaskParts
from zoo.importers.torchdistill.term_names import with_own_names
from zoo.importers.torchdistill.terms import Converted, Stage

EMPTY = "EmptyModule"
PASSES = (
    "forward_batch_only", "forward_batch_only_as_kwargs", "forward_batch_as_kwargs", "forward_batch_supp_dict",
    "forward_batch4sskd", "forward_all",
)  # fmt: skip
"""How torchdistill calls a model, where zoo's call is the same."""
LEARNED_FILES = ("paraphraser_ckpt", "ss_module_ckpt", "var_estimator_ckpt")
"""Arguments of auxiliary wrappers with the file of a learned part."""


def convert_stages(
    configs: Sequence[StageConfig],
    student: Model,
    teacher: Model | None,
    parts: TaskParts,
    run: Invocation,
    found: Findings,
) -> list[dict[str, Any]]:
    """Return the stages of the recipe. A stage that cannot be converted is left out, and its problems added."""
    keys = [loss_keys(config.config) for config in configs]
    stages: list[dict[str, Any]] = []
    for position, config in enumerate(configs):
        with found.part():
            later = frozenset[str]().union(*keys[position + 1 :])
            stage = _stage(config, (student, teacher), parts, run, found, later)
            is_last = position == len(configs) - 1
            stages.append(_converted(config, stage, teacher, parts, run, is_last=is_last))
    return stages


def _stage(
    config: StageConfig,
    models: tuple[Model, Model | None],
    parts: TaskParts,
    run: Invocation,
    found: Findings,
    later: frozenset[str],
) -> Stage:
    readers = [
        _reader(model, item, found) if model is not None else None
        for model, item in zip(models, (config.student, config.teacher), strict=True)
    ]
    assert readers[0] is not None
    return Stage(
        number=config.number, config=config.config, student=readers[0], teacher=readers[1],
        rows=run.rows or rows_of(config.loader), loader=config.loader, has_labels=parts.has_labels, side=parts.side,
        found=found, later_keys=later,
    )  # fmt: skip


def _reader(model: Model, config: Item | None, found: Findings) -> FeatureReader:
    config = config or Item(value={}, mark=model.mark)
    wrapper = config.get("auxiliary_model_wrapper")
    key = wrapper.get("key") if wrapper else None
    options = wrapper.get("kwargs") if wrapper else None
    for name in LEARNED_FILES:
        if options is not None and (file := options.get(name)) is not None:
            found.assume(
                f"{file.text} was not there when torchdistill started: {name} would load that learned part, and saves"
                " it there; the recipe starts with a new one and keeps it between stages"
            )
    if (forward := config.get("forward_proc")) is not None and forward.text not in PASSES:
        raise forward.blocked(f"{forward.text} calls the model in a way that a recipe cannot")
    return FeatureReader(model=model, config=config, found=found, aux=key.text if key else "",
                         options=options or Item(value={}, mark=config.mark))  # fmt: skip


def _converted(
    config: StageConfig, stage: Stage, teacher: Model | None, parts: TaskParts, run: Invocation, *, is_last: bool
) -> dict[str, Any]:  # fmt: skip
    found = stage.found
    check_keys(config, found)
    check_loader(config.loader, loss_keys(config.config), found)
    check_loop(config)
    optimizer = _optimizer(config, found)
    accumulation = item.at_least(1) if (item := optimizer.get("grad_accum_step")) else 1
    if accumulation > 1:
        found.assume(f"grad_accum_step: {accumulation} is part of the batch size; BatchNorm sees the whole batch unless"
                     f" --micro-batch {stage.rows} cuts it")  # fmt: skip
    keys: dict[str, Any] = {"batch_size": stage.rows * accumulation * run.processes}
    keys |= {"drop_last": True} if drops_last(config.loader) else {}
    with found.part():
        keys["epochs"] = config.config.need("num_epochs").at_least(1)
    with found.part():
        keys |= convert_optimizer(optimizer, run, found, has_teacher=teacher is not None)
    with found.part():
        length = Length(epochs=keys.get("epochs"), accumulation=accumulation, batches=_batches(config, parts, run))
        keys |= convert_schedule(config.config.get("scheduler"), length, found)
    listed = keys.pop("trainable", None)
    trainable = _trainable(config, stage, found)
    if trainable is None and listed and not covers(stage.student.model, listed):
        trainable = listed
        found.differ(FROZEN)
    keys |= {"trainable": trainable} if trainable is not None else {}
    terms = convert_criterion(stage)
    if teacher is not None and any(term.uses_teacher for term in terms):
        keys["teacher"] = {"model": teacher.call, "weights": teacher.weights}
        check_frozen(config, teacher, found)
    terms = with_own_names(terms, config.config)
    keys["criterion"] = {term.name: _term(term) for term in terms}
    kept = [term.name for term in terms if term.keeps]
    keys |= {"keep": kept} if kept and stage.later_keys else {}
    if is_last and parts.selected_on is not None:
        keys |= {"selection": "best", "selected_on": parts.selected_on, "selected_by": list(parts.selected_by)}
    return _ordered(keys)


def _optimizer(config: StageConfig, found: Findings) -> Item:
    if config.optimizer is None:
        raise config.config.blocked("the key 'optimizer' is missing")
    if config.keeps_schedule:
        message = f"stage{config.number} goes on with the optimizer and the schedule of the stage before"
        raise config.config.blocked(f"{message}, which a recipe cannot; write an optimizer and a scheduler of its own")
    if config.config.get("optimizer") is None:
        found.differ(
            f"stage{config.number} has no optimizer, so torchdistill goes on with that of the stage before, its"
            " momentum and its parameters included; the recipe starts one anew"
        )
    return config.optimizer


def _batches(config: StageConfig, parts: TaskParts, run: Invocation) -> int | None:
    """Return the batches of an epoch of one process, if the rows are known."""
    if parts.rows is None:
        return None
    rows, size = math.ceil(parts.rows / run.processes), rows_of(config.loader)
    return rows // size if drops_last(config.loader) else math.ceil(rows / size)


def _ordered(keys: dict[str, Any]) -> dict[str, Any]:
    """Return the keys in the order of the shipped recipes."""
    order = ("epochs", "batch_size", "drop_last", "optimizer", "groups", "schedule", "schedule_per", "clip_norm",
             "trainable", "selection", "selected_on", "selected_by", "teacher", "criterion", "keep")  # fmt: skip
    return {key: keys[key] for key in order if key in keys}


def _term(term: Converted) -> dict[str, Any]:
    return {"loss": term.loss, **({} if term.weight == 1 else {"weight": term.weight})}


def _trainable(config: StageConfig, stage: Stage, found: Findings) -> list[str] | None:
    """Return the student's parts that learn in a stage, or None if all do."""
    requires = config.student.get("requires_grad")
    is_frozen = "requires_grad" in config.student.mapping and (requires is None or not requires.flag)
    if stage.student.aux == EMPTY or is_frozen:
        return []
    frozen = config.student.get("frozen_modules")
    paths = [item.text for item in frozen.list] if frozen else []
    chosen = [part for part in stage.student.sequential if not part.startswith("+")]
    if not paths and not chosen:
        return None
    return trainable_parts(stage.student.model, chosen, paths, config.student, found)
