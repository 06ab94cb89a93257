"""The stages of a training: loaders, models, criterion and optimizer; a stage inherits what it does not say."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo.importers.torchdistill.architectures import covers, trainable_parts
from zoo.importers.torchdistill.criteria import convert_criterion, loss_keys
from zoo.importers.torchdistill.features import FeatureReader
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import Item
from zoo.importers.torchdistill.models import Model
from zoo.importers.torchdistill.optimization import Invocation, convert_optimizer, convert_schedule
from zoo.importers.torchdistill.tasks import TaskParts
from zoo.importers.torchdistill.terms import Converted, Stage, is_old

EMPTY = "EmptyModule"
PASSES = (
    "forward_batch_only", "forward_batch_only_as_kwargs", "forward_batch_as_kwargs", "forward_batch_supp_dict",
    "forward_batch4sskd", "forward_all",
)  # fmt: skip
"""How torchdistill calls a model, where zoo's call is the same."""
_STAGE = re.compile(r"stage(?P<number>\d+)")
STAGE_KEYS = (
    "log_freq", "num_epochs", "train_data_loader", "val_data_loader", "teacher", "student", "model", "optimizer",
    "scheduler", "criterion",
)  # fmt: skip
LOADER_KEYS = (
    "dataset_id", "sampler", "batch_sampler", "collate_fn", "dataset_wrapper", "kwargs", "requires_supp",
    "cache_output", "random_sample", "batch_size", "num_workers", "drop_last", "pin_memory",
)  # fmt: skip
MODEL_KEYS = (
    "forward_proc", "sequential", "adaptations", "frozen_modules", "requires_grad", "forward_hook", "wrapper",
    "auxiliary_model_wrapper", "src_ckpt", "dst_ckpt",
)  # fmt: skip
OWN_LOOP = ("pre_epoch_process", "pre_forward_process", "post_forward_process", "post_epoch_process")


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """The parts of one stage, those that an earlier stage has set among them."""

    number: int
    config: Item
    loader: Item
    student: Item
    teacher: Item | None


def stage_configs(train: Item) -> list[StageConfig]:
    """Return the stages of `train`, which has them as `stage1` to `stageN`, or is a single stage itself."""
    numbered = sorted((int(match["number"]), item) for key, item in train.mapping.items()
                      if (match := _STAGE.fullmatch(key)))  # fmt: skip
    stages: list[StageConfig] = []
    before: dict[str, Item] = {}
    for number, item in numbered or [(1, train)]:
        own = {name: part for name in ("train_data_loader", "student", "model", "teacher", "optimizer")
               if (part := item.get(name)) is not None}  # fmt: skip
        known = {**before, **own}
        before = known
        student = known.get("student") or known.get("model") or Item(value={}, mark=item.mark)
        if "train_data_loader" not in known:
            raise item.blocked("the key 'train_data_loader' is missing")
        stages.append(StageConfig(number=number, config=item, loader=known["train_data_loader"], student=student,
                                  teacher=known.get("teacher")))  # fmt: skip
    return stages


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
            stages.append(_converted(config, stage, teacher, parts if is_last else None, run, found))
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
        rows=run.rows or _rows(config.loader), loader=config.loader, has_labels=parts.has_labels, side=parts.side,
        found=found, later_keys=later,
    )  # fmt: skip


def _reader(model: Model, config: Item | None, found: Findings) -> FeatureReader:
    config = config or Item(value={}, mark=model.mark)
    wrapper = config.get("auxiliary_model_wrapper")
    key = wrapper.get("key") if wrapper else None
    options = wrapper.get("kwargs") if wrapper else None
    if (forward := config.get("forward_proc")) is not None and forward.text not in PASSES:
        raise forward.blocked(f"{forward.text} calls the model in a way that a recipe cannot")
    return FeatureReader(model=model, config=config, found=found, aux=key.text if key else "",
                         options=options or Item(value={}, mark=config.mark))  # fmt: skip


def _rows(loader: Item) -> int:
    kwargs = loader.get("kwargs")
    size = loader.get("batch_size") or (kwargs.get("batch_size") if kwargs else None)
    if size is None:
        raise loader.blocked("the key 'batch_size' is missing")
    return size.whole


def _drops_last(loader: Item) -> bool:
    kwargs = loader.get("kwargs")
    drops = loader.get("drop_last") or (kwargs.get("drop_last") if kwargs else None)
    return drops is not None and drops.flag


def _converted(
    config: StageConfig, stage: Stage, teacher: Model | None, parts: TaskParts | None, run: Invocation,
    found: Findings,
) -> dict[str, Any]:  # fmt: skip
    _check_keys(config, found)
    _check_loop(config)
    optimizer = config.config.need("optimizer")
    accumulation = item.whole if (item := optimizer.get("grad_accum_step")) else 1
    if accumulation > 1:
        found.assume(f"grad_accum_step: {accumulation} is part of the batch size; BatchNorm sees the whole batch unless"
                     f" --micro-batch {stage.rows} cuts it")  # fmt: skip
    keys: dict[str, Any] = {"batch_size": stage.rows * accumulation * run.processes}
    keys |= {"drop_last": True} if _drops_last(config.loader) else {}
    with found.part():
        keys["epochs"] = config.config.need("num_epochs").whole
    with found.part():
        keys |= convert_optimizer(optimizer, run, found, has_teacher=teacher is not None)
    with found.part():
        keys |= convert_schedule(config.config.get("scheduler"), accumulation, found)
    listed = keys.pop("trainable", None)
    trainable = _trainable(config, stage, found)
    if trainable is None and listed and not covers(stage.student.model, listed):
        trainable = listed
    keys |= {"trainable": trainable} if trainable is not None else {}
    terms = convert_criterion(stage)
    if teacher is not None and any(term.uses_teacher for term in terms):
        keys["teacher"] = {"model": teacher.call, "weights": teacher.weights}
        _check_frozen(config, teacher, found)
    keys["criterion"] = {term.name: _term(term) for term in terms}
    kept = [term.name for term in terms if term.keeps]
    keys |= {"keep": kept} if kept and stage.later_keys else {}
    if parts is not None and parts.selected_on is not None:
        keys |= {"selection": "best", "selected_on": parts.selected_on, "selected_by": list(parts.selected_by)}
    return _ordered(keys)


def _ordered(keys: dict[str, Any]) -> dict[str, Any]:
    """Return the keys in the order of the shipped recipes."""
    order = ("epochs", "batch_size", "drop_last", "optimizer", "groups", "schedule", "schedule_per", "clip_norm",
             "trainable", "selection", "selected_on", "selected_by", "teacher", "criterion", "keep")  # fmt: skip
    return {key: keys[key] for key in order if key in keys}


def _term(term: Converted) -> dict[str, Any]:
    return {"loss": term.loss, **({} if term.weight == 1 else {"weight": term.weight})}


def _check_keys(config: StageConfig, found: Findings) -> None:
    """Add a problem for each key that is not known: it would have no effect in the recipe."""
    checks = (
        (config.config, (*STAGE_KEYS, *OWN_LOOP), "a stage"),
        (config.loader, LOADER_KEYS, "a data loader"),
        (config.student, MODEL_KEYS, "a model in a stage"),
        (config.teacher, MODEL_KEYS, "a model in a stage"),
    )
    for item, known, what in checks:
        with found.part():
            names = [key for key in item.mapping if _STAGE.fullmatch(key)] if item is not None else []
            if item is not None:
                item.check_keys((*known, *names), what)
    for item in (config.student, config.teacher):
        if item is not None and (checkpoint := item.get("src_ckpt")) is not None:
            found.refuse(checkpoint.mark, "a checkpoint that a stage starts from; name it in the model's src_ckpt")


def _check_loop(config: StageConfig) -> None:
    for name in OWN_LOOP:
        if (item := config.config.get(name)) is not None and not item.text.startswith("default_"):
            raise item.blocked(f"{item.text} replaces a part of torchdistill's loop, which a recipe cannot")


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


def _check_frozen(config: StageConfig, teacher: Model, found: Findings) -> None:
    """Raise BlockedError if the teacher itself learns."""
    item = config.teacher
    requires = item.get("requires_grad") if item else None
    frozen = item.get("frozen_modules") if item else None
    names = [part.text for part in frozen.list] if frozen else []
    learns = item is None or "requires_grad" not in item.mapping or (requires is not None and requires.flag)
    if learns and not {"model", "teacher_model"} & {*names}:
        message = f"the teacher {teacher.key} learns: its requires_grad is not False, and nothing of it is frozen"
        raise (item or config.config).blocked(f"{message}; write requires_grad: False")
    if teacher.family != "text" and not is_old(config.config.need("criterion")):
        found.differ(
            "zoo keeps the teacher in eval(). torchdistill 1.x leaves it in train(), so its BatchNorm uses the"
            " statistics of each batch and its dropout is on"
        )
